package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What child.c notes.
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

type mark struct {
	value     uint64
	pid, kind uint32
}

// A place is where the children of one measurement leave their notes.
type place struct {
	dir   string
	notes []byte
	up    *os.File // a byte for each child that is up
	alive *os.File // ends when no child is left
}

func newPlace() (*place, error) {
	dir, err := os.MkdirTemp("", "bench-side-")
	if err != nil {
		return nil, err
	}
	p := &place{dir: dir}
	f, err := os.Create(filepath.Join(dir, "marks"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := 16 + maxMarks*markSize
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	if p.notes, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED); err != nil {
		return nil, err
	}
	for _, name := range []string{"up", "alive"} {
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			return nil, err
		}
	}
	if p.up, err = os.OpenFile(filepath.Join(dir, "up"), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	p.alive, err = os.OpenFile(filepath.Join(dir, "alive"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	return p, err
}

func (p *place) close() {
	p.up.Close()
	p.alive.Close()
	_ = unix.Munmap(p.notes)
	os.RemoveAll(p.dir)
}

// marks returns the notes of a kind.
func (p *place) marks(kind uint32) (all []mark) {
	n := min(atomic.LoadUint64((*uint64)(unsafe.Pointer(&p.notes[0]))), maxMarks)
	for i := range n {
		m := *(*mark)(unsafe.Pointer(&p.notes[16+i*markSize]))
		if m.kind == kind {
			all = append(all, m)
		}
	}
	return all
}

func (p *place) first(kind uint32) uint64 {
	least := uint64(0)
	for _, m := range p.marks(kind) {
		if least == 0 || m.value < least {
			least = m.value
		}
	}
	return least
}

func (p *place) last(kind uint32) uint64 {
	most := uint64(0)
	for _, m := range p.marks(kind) {
		most = max(most, m.value)
	}
	return most
}

// awaitUp waits until so many children said that they are up.
func (p *place) awaitUp(n int) error {
	if err := p.up.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := io.ReadFull(p.up, make([]byte, n))
	return err
}

// awaitGone waits until no child is left. There must have been one.
func (p *place) awaitGone() error {
	if err := p.alive.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, p.alive)
	return err
}

func now() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return uint64(t.Nano())
}

// A trial is a supervisor at work.
type trial struct {
	*place
	peer   peer
	cmd    *exec.Cmd
	began  uint64
	exited chan uint64 // when it ended
}

var errCannot = errors.New("it cannot do that")

// begin starts a supervisor on a work. wrap goes before its command; out is its
// standard output, nil for none.
func begin(p peer, w work, argv []string, wrap []string, out *os.File) (*trial, error) {
	at, err := newPlace()
	if err != nil {
		return nil, err
	}
	for i, a := range argv {
		argv[i] = strings.ReplaceAll(a, "DIR", at.dir)
	}
	command, err := p.command(w, at.dir, argv)
	if err == nil && command == nil {
		err = errCannot
	}
	if err != nil {
		at.close()
		return nil, err
	}
	command = append(wrap, command...)
	t := &trial{place: at, peer: p, cmd: exec.Command(command[0], command[1:]...),
		exited: make(chan uint64, 1)}
	t.cmd.Dir = at.dir
	t.cmd.Stdout = out
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.began = now()
	if err := t.cmd.Start(); err != nil {
		at.close()
		return nil, err
	}
	go func() {
		_ = t.cmd.Wait()
		t.exited <- now()
	}()
	return t, nil
}

// end tells the supervisor to end, and returns when the last of its children
// and it itself were gone, in nanoseconds since the signal.
func (t *trial) end() (uint64, error) {
	sent := now()
	if err := t.cmd.Process.Signal(t.peer.stop); err != nil {
		return 0, err
	}
	err := t.awaitGone()
	gone := now()
	select {
	case at := <-t.exited:
		return max(at, gone) - sent, err
	case <-time.After(limit):
		return 0, fmt.Errorf("%s does not end", t.peer.name)
	}
}

// clear ends what may be left, whatever it is.
func (t *trial) clear() {
	_ = syscall.Kill(-t.cmd.Process.Pid, syscall.SIGKILL)
	for _, pid := range below(t.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for _, m := range t.marks(markStart) {
		if pid := int(m.pid); pid > 1 && strings.HasPrefix(command(pid), childPath) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	t.close()
}

func command(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(b)
}

// below lists the processes below one, itself among them.
func below(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(b)) {
			var child int
			if _, err := fmt.Sscan(word, &child); err == nil {
				all = append(all, below(child)...)
			}
		}
	}
	return all
}

// helpers are the supervisor's own processes: not the children.
func (t *trial) helpers() (pids []int) {
	for _, pid := range below(t.cmd.Process.Pid) {
		if !strings.HasPrefix(command(pid), childPath) {
			pids = append(pids, pid)
		}
	}
	return pids
}
