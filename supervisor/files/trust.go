package files

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// isOurs reports whether a user is root or that of the supervisor.
func isOurs(uid uint32) bool {
	return uid == 0 || int(uid) == unix.Geteuid() || int64(uid) == unmappedUser()
}

// unmappedUser returns the user that all users outside of a user namespace have in it, root among
// them (user_namespaces(7)). No process in the namespace has this user. The result is negative
// without a namespace, and if a process of the namespace can have this user.
var unmappedUser = sync.OnceValue(func() int64 {
	text, _ := os.ReadFile("/proc/sys/kernel/overflowuid")
	unmapped, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	users, e := os.ReadFile("/proc/self/uid_map")
	if err != nil || e != nil {
		return -1
	}
	return unmappedIn(string(users), unmapped)
})

func unmappedIn(users string, unmapped int64) int64 {
	for line := range strings.Lines(users) {
		var first, outside, n int64
		_, err := fmt.Sscan(line, &first, &outside, &n)
		if err != nil || first <= unmapped && unmapped < first+n {
			return -1
		}
	}
	return unmapped
}

// othersMayWrite reports whether others may write to an open file or directory. The group root, and
// the group of a supervisor that does not run as root, count as its user. With an access control
// list the bits of the group are the mask of the list (acl(5)), so every user can be in it.
func othersMayWrite(fd int, st *unix.Stat_t) bool {
	if st.Mode&0o022 == 0 || isReadOnly(fd) {
		return false
	}
	group := st.Gid == 0 || unix.Geteuid() != 0 && int(st.Gid) == unix.Getegid()
	return st.Mode&0o002 != 0 || !group || hasACL(fd)
}

// isReadOnly reports whether the file system of a descriptor is mounted read-only. The directories
// of a ConfigMap of Kubernetes are such mounts, with the mode 0777.
func isReadOnly(fd int) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(fd, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}

func isFUSE(fd int) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.FUSE_SUPER_MAGIC
}

// hasACL reports whether a file has an access control list, or this cannot be found out.
func hasACL(fd int) bool {
	_, err := unix.Getxattr(ThroughFD(fd), "system.posix_acl_access", nil)
	return !isOneOf(err, unix.ENODATA, unix.EOPNOTSUPP)
}
