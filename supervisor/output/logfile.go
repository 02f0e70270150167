package output

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/limits"
)

const (
	// fileRetry is the pause after a write to a file that accepted nothing.
	fileRetry = 10 * time.Millisecond
	// checkInterval is the shortest time between two checks of the path of a file that is written
	// to. Twenty stat(2) a second cost nothing, and a file without writes needs none.
	checkInterval = 50 * time.Millisecond
	// newFileMode is the mode of a file that did not exist.
	newFileMode = 0o640
)

// A Reopened says what became of a log file that is not at its path any more.
type Reopened struct {
	Path    string
	Deleted bool  // it was deleted, not renamed
	Err     error // why no other file could be opened; the lines go to the old one
}

// A logFile is the target of a log file. There can be many log files, so their writes share a
// bounded number of threads, and a file that accepts nothing (a FIFO, a terminal) is written again
// after a pause and not waited for in poll(2).
//
// A regular file that is renamed or deleted is replaced by the one at its path, which is created if
// necessary. The writer of the sink checks that: see [sink.requestCheck] and checkInterval.
type logFile struct {
	descriptor
	path   string
	owners []uint32 // the users besides our own whose files are opened, see [files.Dir.Append]
	ledger fdledger.Registrar
	report func(Reopened)

	first     unix.Stat_t // of the first file: its owner and its mode
	current   identity    // of the open file
	checkedAt time.Time   // zero: the first write checks the path, since the open can be old
	failure   string      // the reason of the last failed attempt; empty: it succeeded
	rotator   rotator
	compress  compressor
}

// newLogFile returns the log file of a descriptor. uid is the user of the child, nil for our own.
func newLogFile(
	fd int, path string, uid *uint32, ledger fdledger.Registrar, report func(Reopened),
) *logFile {
	ledger.Opened(fd, "file", path)
	f := &logFile{path: path, ledger: ledger, report: report}
	f.owners = ownersOf(uid)
	f.use(fd)
	_ = unix.Fstat(fd, &f.first) // after an error f is no regular file, and is not replaced
	return f
}

// use makes fd the open file.
func (f *logFile) use(fd int) {
	var st unix.Stat_t
	_ = unix.Fstat(fd, &st) // it cannot fail: fd was just opened
	f.descriptor, f.current = *newDescriptor(fd, -1, nil), identityOf(&st)
	f.noWait = true
	f.rotator.opened(fd)
}

// close closes the open file. The renamed ones are compressed no further.
func (f *logFile) close() {
	f.compress.stop()
	f.closeFD()
}

func (f *logFile) closeFD() {
	fd := f.fd
	// A failed close(2) loses nothing that a write did not report.
	_ = f.ledger.Close(fd, func() error { return unix.Close(fd) })
}

func (f *logFile) write(bufs [][]byte) (n int, err error) {
	limits.FileSlots.Run(func() {
		bufs = f.rotateBefore(bufs)
		n, err = f.descriptor.write(bufs)
	})
	f.rotator.wrote(bufs, n)
	if n == 0 && err == nil {
		time.Sleep(fileRetry)
	}
	return n, err
}

// rotateBefore rotates the file if that is due, and returns the lines that fit into it. If the
// rotation fails, the file grows, and a later write tries again.
func (f *logFile) rotateBefore(bufs [][]byte) [][]byte {
	r := &f.rotator
	if r.rules == nil || f.first.Mode&unix.S_IFMT != unix.S_IFREG {
		return bufs
	}
	rules, now := r.rules(), time.Now()
	if r.isDue(rules, int64(lineLength(bufs)), now) {
		var st unix.Stat_t
		if unix.Fstat(f.fd, &st) == nil && st.Size < r.size {
			r.opened(f.fd) // another program has truncated it
		}
	}
	if r.isDue(rules, int64(lineLength(bufs)), now) {
		f.compress.names.Lock()
		fd, err := rotate(f.path, f.current, &f.first, rules.Keep)
		f.compress.names.Unlock()
		if err != nil {
			f.notRotated(err, now)
			return bufs
		}
		f.ledger.Opened(fd, "file", f.path)
		f.closeFD()
		f.use(fd)
		r.failure = ""
		if rules.Compress {
			f.compress.start(rules.Keep)
		}
	}
	if rules.Size > 0 && !now.Before(r.retryAt) {
		return wholeLines(bufs, rules.Size-r.size)
	}
	return bufs
}

// notRotated reports each reason once.
func (f *logFile) notRotated(err error, now time.Time) {
	r := &f.rotator
	r.retryAt = now.Add(rotateRetry)
	if errors.Is(err, errMoved) { // the check of the path opens the other file
		r.retryAt = now.Add(checkInterval)
		return
	}
	if r.failure != err.Error() {
		r.failure = err.Error()
		r.report(err)
	}
}

// checkPath compares the open file with the one at the path. It does so if a check is requested, or
// before a write if the last check is checkInterval ago. It returns true if it opened another file.
// If that fails, the lines go to the old file, and each later check tries again.
func (f *logFile) checkPath(requested, writing bool) bool {
	if f.first.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	now := time.Now()
	if !requested && (!writing || now.Sub(f.checkedAt) < checkInterval) {
		return false
	}
	f.checkedAt = now
	fd, deleted := -1, false
	var err error
	limits.FileSlots.Run(func() { fd, deleted, err = f.openMoved() })
	switch {
	case err != nil:
		if f.failure != err.Error() {
			f.failure = err.Error()
			f.report(Reopened{f.path, deleted, err})
		}
		return false
	case fd < 0:
		f.failure = ""
		return false
	}
	f.ledger.Opened(fd, "file", f.path)
	f.closeFD()
	f.use(fd)
	f.failure = ""
	f.report(Reopened{f.path, deleted, nil})
	return true
}

// openMoved opens the file at the path if it is not the open one. fd is negative if it is.
func (f *logFile) openMoved() (fd int, deleted bool, err error) {
	var st unix.Stat_t
	err = unix.Stat(f.path, &st)
	if err == nil && identityOf(&st) == f.current {
		return -1, false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, false, &os.PathError{Op: "stat", Path: f.path, Err: err}
	}
	deleted = isDeleted(f.fd)
	fd, err = f.openAgain()
	if err == nil && sameFile(fd, f.fd) { // it was renamed back meanwhile
		return -1, false, unix.Close(fd)
	}
	return fd, deleted, err
}

// isDeleted reports whether an open file has no name any more. A FUSE file system, such as the
// layers of a container of another user, can report one link for a deleted file too. There the link
// in /proc/self/fd decides (proc_pid_fd(5)).
func isDeleted(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Nlink > 1 {
		return false
	}
	var fs unix.Statfs_t
	if st.Nlink == 0 || unix.Fstatfs(fd, &fs) != nil || fs.Type != unix.FUSE_SUPER_MAGIC {
		return st.Nlink == 0
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && strings.HasSuffix(name, " (deleted)")
}

// openAgain opens the file at the path. It creates it with the owner and the mode of the first
// one. Without the right to change the owner, the file is ours.
func (f *logFile) openAgain() (int, error) {
	d, name, err := files.OpenParent(f.path)
	if err != nil {
		return -1, err
	}
	defer d.Close()
	fd, created, err := d.Append(name, 0o600, f.owners...)
	if err != nil || !created {
		return fd, err
	}
	_ = unix.Fchown(fd, int(f.first.Uid), int(f.first.Gid))
	if err := unix.Fchmod(fd, f.first.Mode&0o777); err != nil {
		return -1, errors.Join(&os.PathError{Op: "chmod", Path: f.path, Err: err}, unix.Close(fd))
	}
	return fd, nil
}

// ownersOf returns the users besides our own that the log file of a child can belong to.
func ownersOf(uid *uint32) []uint32 {
	if uid == nil {
		return nil
	}
	return []uint32{*uid}
}
