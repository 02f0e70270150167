package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

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
	exists, err := checkPidFile(path)
	if err != nil {
		return nil, err
	}
	p := &pidFile{path: path}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("cannot write the pid file: %w", err)
	}
	_, err = fmt.Fprintf(temporary, "%d\n", os.Getpid())
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if err == nil {
		p.info, err = temporary.Stat()
	}
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = renamePidFile(temporary.Name(), path, exists)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return nil, fmt.Errorf("cannot write the pid file: %w", err)
	}
	return p, nil
}

// renamePidFile renames a file. If none existed under the new name, none is replaced: of two
// supervisors that start at the same time, one fails. A file system without RENAME_NOREPLACE gets a
// plain rename.
func renamePidFile(from, to string, exists bool) error {
	if !exists {
		const flags = unix.RENAME_NOREPLACE
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
			return err
		}
	}
	return os.Rename(from, to)
}

// maxPidFile is more than the size in bytes of any pid file.
const maxPidFile = 64

// checkPidFile reports whether there is a file under the name of a pid file. The error is a
// [*pidFileInUse] if it belongs to another process that is alive.
func checkPidFile(path string) (exists bool, err error) {
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK // of a FIFO no open waits for the writer
	f, err := os.OpenFile(path, os.O_RDONLY|flags, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case errors.Is(err, unix.ELOOP):
		return true, nil // the rename replaces the link, not the file behind it
	case err != nil:
		return false, fmt.Errorf("cannot read the pid file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		return false, fmt.Errorf("cannot write the pid file: %s is not a regular file", path)
	}
	content := make([]byte, maxPidFile)
	n, e := io.ReadFull(f, content)
	if err == nil && !errors.Is(e, io.EOF) && !errors.Is(e, io.ErrUnexpectedEOF) {
		err = e
	}
	content = bytes.TrimSpace(content[:n])
	if err != nil {
		return false, fmt.Errorf("cannot read the pid file: %w", err)
	}
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

// remove removes the file if it is still the one that this supervisor wrote.
func (p *pidFile) remove() error {
	info, err := os.Lstat(p.path)
	if err != nil {
		return err
	}
	if !os.SameFile(info, p.info) {
		return fmt.Errorf("another process has replaced %s", p.path)
	}
	content, err := os.ReadFile(p.path)
	if err == nil && string(bytes.TrimSpace(content)) != strconv.Itoa(os.Getpid()) {
		err = fmt.Errorf("another process has written to %s", p.path)
	}
	if err != nil {
		return err
	}
	return os.Remove(p.path)
}
