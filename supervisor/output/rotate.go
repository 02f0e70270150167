package output

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
)

// rotateRetry is the pause after a rotation that failed.
const rotateRetry = time.Second

// Rotation says when a log file is renamed to NAME.1 and replaced by a new one. The zero value
// never does so.
type Rotation struct {
	Size     int64         // bytes; 0 for no limit
	Age      time.Duration // of the first line; 0 for no limit
	Keep     int           // the number of renamed files
	Compress bool          // the renamed files but the newest one
}

// rotator decides when the open file is rotated. The writer of the sink owns it.
type rotator struct {
	rules   func() Rotation
	report  func(error)
	size    int64     // bytes in the file
	begun   time.Time // when the first line was written; zero for an empty file
	midLine bool      // the last byte that was written is no newline
	retryAt time.Time
	failure string // the reason of the last failed rotation; empty: it succeeded
}

// opened takes the size and the age of a file that was opened.
func (r *rotator) opened(fd int) {
	r.size, r.begun, r.midLine = 0, time.Time{}, false
	var st unix.Statx_t
	const mask = unix.STATX_SIZE | unix.STATX_BTIME
	if unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &st) != nil || st.Size == 0 {
		return
	}
	r.size, r.begun = int64(st.Size), time.Now()
	if st.Mask&unix.STATX_BTIME != 0 {
		r.begun = time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
	}
}

// wrote counts n bytes of bufs.
func (r *rotator) wrote(bufs [][]byte, n int) {
	if n <= 0 {
		return
	}
	if r.size == 0 {
		r.begun = time.Now()
	}
	r.size += int64(n)
	for _, b := range bufs {
		if n <= len(b) {
			r.midLine = b[n-1] != '\n'
			return
		}
		n -= len(b)
	}
}

// isDue reports whether the file is rotated before the next line, which has length bytes. In the
// middle of a line it is not, unless that line has no end.
func (r *rotator) isDue(rules Rotation, length int64, now time.Time) bool {
	switch {
	case r.size == 0 || now.Before(r.retryAt):
		return false
	case r.midLine:
		return rules.Size > 0 && r.size >= 2*rules.Size
	default:
		return rules.Size > 0 && r.size+length > rules.Size ||
			rules.Age > 0 && now.Sub(r.begun) >= rules.Age
	}
}

// lineLength returns the length of the first line of bufs, with its newline.
func lineLength(bufs [][]byte) int {
	if n := bytes.IndexByte(bufs[0], '\n'); n >= 0 {
		return n + 1
	}
	return len(bufs[0])
}

// wholeLines returns the beginning of bufs that has room bytes at most and ends with a line, and at
// least one line.
func wholeLines(bufs [][]byte, room int64) [][]byte {
	for i, b := range bufs {
		if int64(len(b)) <= room {
			room -= int64(len(b))
			continue
		}
		n := bytes.LastIndexByte(b[:max(room, 0)], '\n') + 1
		if n == 0 && i == 0 {
			n = lineLength(bufs)
		}
		if n == 0 {
			return bufs[:i]
		}
		return append(bufs[:i:i], b[:n])
	}
	return bufs
}

// errMoved says that the file is not at its path any more: another program has rotated it.
var errMoved = errors.New("it was renamed by another program")

// rotate renames the open file and returns the new one, which has the owner and the mode of first.
// The new file is created before the old one is renamed, so a full disk or a directory without
// write permission changes nothing. After a crash between two steps a number is free or the file
// has no name; the next rotation and the next open continue from there.
func rotate(path string, current identity, first *unix.Stat_t, keep int) (fd int, err error) {
	d, name, err := files.OpenParent(path)
	if err != nil {
		return -1, err
	}
	defer d.Close()
	st, err := d.Stat(name)
	if err != nil || identityOf(&st) != current {
		return -1, errMoved
	}
	created := name + ".new"
	if _, err := d.Stat(created); err == nil { // left by a crash
		if err := d.Remove(created); err != nil {
			return -1, err
		}
	}
	if fd, err = d.Create(created, first.Mode&0o777); err != nil {
		return -1, err
	}
	_ = unix.Fchown(fd, int(first.Uid), int(first.Gid)) // without the right, the file is ours
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND|unix.O_NONBLOCK)
	if err == nil {
		err = shift(d, name, keep)
	}
	if err == nil {
		err = d.Rename(name, name+".1")
	}
	if err == nil {
		if err = d.RenameNew(created, name); err != nil {
			_ = d.RenameNew(name+".1", name) // an error means that the name exists again
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		_ = d.Remove(created)
		return -1, err
	}
	return fd, nil
}

// shift makes the number 1 free: each file up to the first free number gets the next number. The
// files above keep are removed. A compressed file counts as the plain one.
func shift(d *files.Dir, name string, keep int) error {
	for n := keep + 1; ; n++ { // keep was larger before
		found := existing(d, numberedName(name, n))
		if len(found) == 0 {
			break
		}
		for _, file := range found {
			if err := d.Remove(file); err != nil {
				return err
			}
		}
	}
	free := 1
	for free < keep && len(existing(d, numberedName(name, free))) > 0 {
		free++
	}
	// What has the last number is replaced. A file of the other kind would stay there.
	for n := free; n > 1; n-- {
		for _, file := range existing(d, numberedName(name, n)) {
			if err := d.Remove(file); err != nil {
				return err
			}
		}
		for _, file := range existing(d, numberedName(name, n-1)) {
			to := numberedName(name, n) + strings.TrimPrefix(file, numberedName(name, n-1))
			if err := d.Rename(file, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// existing returns the names under which a renamed file exists: plain, compressed, or both.
func existing(d *files.Dir, plain string) (names []string) {
	for _, name := range []string{plain, plain + compressedSuffix} {
		if _, err := d.Stat(name); err == nil {
			names = append(names, name)
		}
	}
	return names
}
