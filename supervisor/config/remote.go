package config

import (
	"slices"

	"golang.org/x/sys/unix"
)

// remoteTypes are the types of file systems whose content comes from another machine or from
// another process (statfs(2)). A read of such a file system can block without limit.
var remoteTypes = []int64{
	unix.FUSE_SUPER_MAGIC, unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
	unix.CIFS_SUPER_MAGIC, unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC,
	unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC,
}

// IsRemote reports whether a read of the file can block without limit: the file is on a remote
// file system, or the type of its file system is unknown. The file system of the
// supervisor's own program counts as local, because the supervisor cannot run without it.
// In containers of fuse-overlayfs it is a FUSE file system.
func IsRemote(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil && !slices.Contains(remoteTypes, int64(uint32(st.Type))) {
		return false
	}
	var file, own unix.Stat_t
	return unix.Stat(path, &file) != nil || unix.Stat("/proc/self/exe", &own) != nil ||
		file.Dev != own.Dev
}
