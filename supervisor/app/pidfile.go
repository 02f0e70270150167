package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
	"tp0/supervisor/procfs"
)

// pidFile is the pid file that this supervisor has written. The file is known by its inode: another
// supervisor may have replaced it.
type pidFile struct {
	path string
	info fs.FileInfo
}

// pidFileInUse is the error of a pid file of another process that is alive.
type pidFileInUse struct {
	path string
	pid  int
}

func (e *pidFileInUse) Error() string {
	return fmt.Sprintf("the pid file %s belongs to process %d, which is alive. Stop it first, or "+
		"use another --pid-file", e.path, e.pid)
}

// writePidFile writes the pid of the supervisor to a file. The file appears under its name with its
// content, by a rename(2), so no reader sees a part of it and no symbolic link is followed. An
// existing file is replaced only if it is the pid file of a process that has ended.
func writePidFile(path string) (*pidFile, error) {
	dir, name, err := files.OpenEntry(path)
	if err != nil {
		return nil, fmt.Errorf("cannot write the pid file: %w", err)
	}
	defer dir.Close()
	exists, err := checkPidFile(dir, name)
	if err != nil {
		return nil, err
	}
	p := &pidFile{path: path}
	temporary := fmt.Sprintf(".supervisor-pid-%016x", rand.Uint64())
	fd, err := dir.Create(temporary, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot write the pid file: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if err == nil {
		p.info, err = f.Stat()
	}
	err = errors.Join(err, f.Close())
	switch {
	case err != nil:
	case exists:
		err = dir.Rename(temporary, name)
	default: // of two supervisors that start at the same time, one fails
		err = dir.RenameNew(temporary, name)
	}
	if err != nil {
		_ = dir.Remove(temporary)
		return nil, fmt.Errorf("cannot write the pid file: %w", err)
	}
	return p, nil
}

// maxPidFile is more than the size in bytes of any pid file.
const maxPidFile = 64

// checkPidFile reports whether there is a file under the name of a pid file. The error is a
// [*pidFileInUse] if it belongs to another process that is alive.
func checkPidFile(dir *files.Dir, name string) (exists bool, err error) {
	path := filepath.Join(dir.Path(), name)
	f, info, err := openPidFile(dir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case f == nil:
		return true, nil // the rename replaces the link, not the file behind it
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxPidFile))
	if err != nil {
		return false, fmt.Errorf("cannot read the pid file: %w", err)
	}
	content = bytes.TrimSpace(content)
	pid, err := strconv.Atoi(string(content))
	if len(content) == 0 {
		return true, nil // a crash left it
	}
	if err != nil || pid <= 0 {
		return false, fmt.Errorf("cannot write the pid file: %s exists and has no pid in it, so "+
			"it is another file", path)
	}
	if pid != os.Getpid() && livedAt(pid, info.ModTime()) {
		return false, &pidFileInUse{path, pid}
	}
	return true, nil
}

// livedAt reports whether the process that has a pid is alive and had it at a time. A pid is used
// again after a restart of the machine or of a container.
func livedAt(pid int, at time.Time) bool {
	stat, err := procfs.ReadStat(pid)
	if err != nil {
		return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	}
	if stat.Dead() {
		return false
	}
	now, err := procfs.Uptime()
	if err != nil {
		return true
	}
	const tick = time.Second / 100 // proc_pid_stat(5), USER_HZ
	age := time.Duration(now-stat.StartTime) * tick
	const slack = 2 * time.Second // a file system with times in seconds, a clock that was set
	return !time.Now().Add(-age).After(at.Add(slack))
}

// openPidFile opens an existing regular file to read. The file is nil if it is a symbolic link. It
// can belong to any user: the supervisor only reads a pid from it.
func openPidFile(dir *files.Dir, name string) (*os.File, fs.FileInfo, error) {
	failed := func(err error) error { return fmt.Errorf("cannot read the pid file: %w", err) }
	st, err := dir.Stat(name)
	if err != nil {
		return nil, nil, failed(err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil, nil, nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, nil, fmt.Errorf("cannot write the pid file: %s is not a regular file",
			filepath.Join(dir.Path(), name))
	}
	fd, err := dir.OpenRead(name, st.Uid)
	if err != nil {
		return nil, nil, failed(err)
	}
	f := os.NewFile(uintptr(fd), name)
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(failed(err), f.Close())
	}
	return f, info, nil
}

// remove removes the file if it is still the one that this supervisor wrote.
func (p *pidFile) remove() error {
	dir, name, err := files.OpenEntry(p.path)
	if err != nil {
		return err
	}
	defer dir.Close()
	f, info, err := openPidFile(dir, name)
	if err != nil {
		return err
	}
	if f == nil {
		return fmt.Errorf("another process has replaced %s", p.path)
	}
	defer f.Close()
	if !os.SameFile(info, p.info) {
		return fmt.Errorf("another process has replaced %s", p.path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxPidFile))
	if err == nil && string(bytes.TrimSpace(content)) != strconv.Itoa(os.Getpid()) {
		err = fmt.Errorf("another process has written to %s", p.path)
	}
	if err != nil {
		return err
	}
	return dir.Remove(name)
}
