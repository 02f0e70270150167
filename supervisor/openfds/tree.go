// Package openfds reads the open descriptors of process trees: counts by kind, descriptions in
// plain words, and the growth that means a leak. It reads /proc only while a request or a watch_fds
// asks for it. One reading runs at a time. It takes a slot of [limits.ReadSlots] for each process,
// because reads of children's output wait for these slots too.
package openfds

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
)

// Limits of one reading. A descriptor takes about 10 µs to describe, and 3 µs to count.
const (
	maxProcesses = 256     // of a process tree
	maxRead      = 1 << 20 // descriptors of a process tree, the default of fs.nr_open
	maxDescribed = 1 << 16 // descriptors of a process that are described
	maxListed    = 20_000  // descriptors of an answer
)

// turn is held during a reading. So readings keep one slot at most.
var turn = make(chan struct{}, 1)

// inTurn runs read on another goroutine, as one of the readings that run one at a time. It returns
// the result, or an error if ctx ends before. Nothing waits for a reading that /proc blocks.
func inTurn[T any](ctx context.Context, read func() T) (result T, err error) {
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return result, fmt.Errorf("an earlier request still reads descriptors, ask again later: %w",
			ctx.Err())
	}
	done := make(chan T, 1)
	go func() {
		defer func() { <-turn }()
		done <- read()
	}()
	select {
	case result = <-done:
		return result, nil
	case <-ctx.Done():
		return result, fmt.Errorf("the descriptors are not read: %w", ctx.Err())
	}
}

// tree returns a process and its descendants, parents first, and the number of descendants beyond
// maxProcesses that are known.
func tree(ctx context.Context, pid int) (pids []int, omitted int) {
	pids = []int{pid}
	limits.ReadSlots.Run(func() {
		for i := 0; i < len(pids) && ctx.Err() == nil; i++ {
			for _, child := range procfs.Children(pids[i]) {
				if s, err := procfs.ReadStat(child); err != nil || s.Dead() {
					continue
				}
				if len(pids) < maxProcesses {
					pids = append(pids, child)
				} else {
					omitted++
				}
			}
		}
	})
	return pids, omitted
}

const hasEnded = "the process has ended"

// whyUnreadable says why the descriptors of a process cannot be read.
func whyUnreadable(pid int, err error) string {
	s, e := procfs.ReadStatus(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist) || e != nil || s.Dead:
		return hasEnded
	case !errors.Is(err, fs.ErrPermission):
		return "they cannot be read: " + err.Error()
	case int(s.UID) != os.Geteuid() && os.Geteuid() != 0:
		return fmt.Sprintf("they cannot be read: the process has the user %d, the supervisor the "+
			"user %d", s.UID, os.Geteuid())
	}
	return "they cannot be read: the process changed its user itself, or has made itself " +
		"undumpable (prctl(2)). The supervisor needs CAP_SYS_PTRACE"
}
