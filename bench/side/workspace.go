package main

import (
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kinds of a mark, as in child.c.
const (
	markStart = iota + 1
	markTerm
	markEnd
	markZombies
	markLines
	markTorn
)

const (
	maxMarks = 65536
	markSize = 16
	limit    = 2 * time.Minute // of one measurement
)

// childPath is the compiled child.c.
var childPath string

// A mark is one record of child.c. Most values are a time, in nanoseconds of CLOCK_MONOTONIC.
type mark struct {
	value     uint64
	pid, kind uint32
}

// A workspace is the directory that the children of one measurement share.
type workspace struct {
	dir    string
	shared []byte   // the file marks: a counter, then the marks
	up     *os.File // a FIFO: each child writes one byte when its handler is set
	alive  *os.File // a FIFO: EOF after the last child has ended
}

func newWorkspace() (*workspace, error) {
	dir, err := os.MkdirTemp(filepath.Dir(childPath), "run-")
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir}
	f, err := os.Create(filepath.Join(dir, "marks"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := 16 + maxMarks*markSize
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	if w.shared, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED); err != nil {
		return nil, err
	}
	for _, name := range []string{"up", "alive"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			return nil, err
		}
	}
	if w.up, err = os.OpenFile(filepath.Join(dir, "up"), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	w.alive, err = os.OpenFile(filepath.Join(dir, "alive"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	return w, err
}

func (w *workspace) close() {
	w.up.Close()
	w.alive.Close()
	_ = unix.Munmap(w.shared)
	os.RemoveAll(w.dir)
}

// marks returns the marks of a kind, in the order in which the children wrote them.
func (w *workspace) marks(kind uint32) (all []mark) {
	n := min(atomic.LoadUint64((*uint64)(unsafe.Pointer(&w.shared[0]))), maxMarks)
	for i := range n {
		m := *(*mark)(unsafe.Pointer(&w.shared[16+i*markSize]))
		if m.kind == kind {
			all = append(all, m)
		}
	}
	return all
}

// first returns the smallest value of a kind, or 0 without a mark.
func (w *workspace) first(kind uint32) uint64 {
	least := uint64(0)
	for _, m := range w.marks(kind) {
		if least == 0 || m.value < least {
			least = m.value
		}
	}
	return least
}

// last returns the largest value of a kind, or 0 without a mark.
func (w *workspace) last(kind uint32) uint64 {
	most := uint64(0)
	for _, m := range w.marks(kind) {
		most = max(most, m.value)
	}
	return most
}

// awaitUp waits until n more children have set their handlers.
func (w *workspace) awaitUp(n int) error {
	if err := w.up.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := io.ReadFull(w.up, make([]byte, n))
	return err
}

// awaitGone waits until every child has ended. At least one child must have been up before.
func (w *workspace) awaitGone() error {
	if err := w.alive.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, w.alive)
	return err
}

// now returns CLOCK_MONOTONIC in nanoseconds, the clock of the marks.
func now() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return uint64(t.Nano())
}
