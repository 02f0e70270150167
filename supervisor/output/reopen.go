package output

import "golang.org/x/sys/unix"

// Programs open /dev/stdout and /dev/stderr, which are links to /proc/self/fd/1 and 2. The kernel
// then checks the mode of the pipe, which is 0600 and belongs to its creator (pipe(7)): a process
// of another user, or one that changes its user itself, gets EACCES. Other users have
// no access to the directory /proc/PID/fd (ptrace(2), "Ptrace access mode checking").

const (
	reopenable  = 0o622 // mode of our pipes: a process that reaches one can write to it
	writeByRest = 0o022
)

// letReopen lets a process of any user open a pipe of ours by its path. With a uid, the
// pipe belongs to that user, as docker run --user does it.
func letReopen(fd int, uid *uint32) {
	// An error means that a security module forbids it. The pipe itself works all the same.
	_ = unix.Fchmod(fd, reopenable)
	if uid != nil {
		_ = unix.Fchown(fd, int(*uid), -1) // an error means that we have no CAP_CHOWN
	}
}

// letReopenInherited does that for a descriptor of our parent, if it is an anonymous pipe: a pipe
// that no path of a file system leads to. It keeps its owner, as children of several
// users can have it. Terminals and files stay as they are, because they are not ours.
func letReopenInherited(fd int, uid *uint32) {
	var st unix.Stat_t
	if uid != nil && isAnonymousPipe(fd) && unix.Fstat(fd, &st) == nil {
		_ = unix.Fchmod(fd, st.Mode&0o7777|writeByRest) // an error means that we may not
	}
}

// isAnonymousPipe reports whether a descriptor is a pipe, and no FIFO of a file system.
func isAnonymousPipe(fd int) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.PIPEFS_MAGIC
}
