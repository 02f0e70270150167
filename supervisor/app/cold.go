package app

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
)

// coldAfter is how long after a child got ready the start counts as over.
const coldAfter = 200 * time.Millisecond

// cold gives the memory back that only the start needed: most of what we have
// mapped is code and tables that are used once, to read a configuration and to
// become what we are. They are pages of our own file (madvise(2), MADV_DONTNEED
// on a private mapping that is only read): what is needed again is mapped again
// from the page cache. It makes the idle supervisor small, and its end quick,
// since the kernel takes longest over the pages of a process that exits.
type cold struct {
	timer *time.Timer
	over  atomic.Bool   // it was given back, or will not be any more
	turn  chan struct{} // full while it is given back
}

func newCold(giveBack func()) *cold {
	c := &cold{turn: make(chan struct{}, 1)}
	c.timer = time.AfterFunc(time.Hour, func() {
		c.turn <- struct{}{}
		defer func() { <-c.turn }()
		if c.over.CompareAndSwap(false, true) {
			giveBack()
		}
	})
	c.timer.Stop()
	return c
}

// emit sees how the start goes on. Once that is over, or a signal came, it does
// nothing.
func (c *cold) emit(e event.Event) {
	switch e.(type) {
	case event.Ready:
		if !c.over.Load() {
			c.timer.Reset(coldAfter)
		}
	case event.SignalReceived, event.ShutdownBegun:
		c.over.Store(true) // a stop has other things to do
	}
}

// close waits until nothing of it is under way: it has a descriptor open, which
// is not in the books.
func (c *cold) close() {
	c.over.Store(true)
	c.timer.Stop()
	c.turn <- struct{}{}
}

func giveBack() {
	debug.FreeOSMemory() // of stacks and buffers too
	unmapCold()
}

func unmapCold() {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to, offset uintptr
		var mode, device, path string
		var inode uint64
		n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s %x %s %d %s", &from, &to, &mode, &offset, &device, &inode, &path)
		if n == 7 && inode != 0 && !strings.Contains(mode, "w") {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
