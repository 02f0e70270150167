package config

import (
	"slices"

	"golang.org/x/sys/unix"
)

// remote are file systems that need not answer: another machine or another process
// has what is in them (statfs(2)).
var remote = []int64{
	unix.FUSE_SUPER_MAGIC, unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
	unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC,
}

// IsRemote reports whether a file is on a file system that need not answer, or that
// does not say what it is. The file system of the supervisor's own program counts as
// one that answers: nothing works where it does not. It is a FUSE file system in
// containers of fuse-overlayfs.
func IsRemote(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil && !slices.Contains(remote, int64(uint32(st.Type))) {
		return false
	}
	var file, own unix.Stat_t
	return unix.Stat(path, &file) != nil || unix.Stat("/proc/self/exe", &own) != nil || file.Dev != own.Dev
}
