// Package examine reads what a process does, and whether what it runs is still what is on disk. It
// reads /proc and files, which can block for any time. So one examination runs at a time, on a
// goroutine of its own. The caller abandons it when its context ends.
package examine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"tp0/supervisor/explain"
	"tp0/supervisor/openfds"
	"tp0/supervisor/procfs"
)

// turn is held during an examination. A file system that blocks for good keeps it.
var turn = make(chan struct{}, 1)

// Process examines a process. It waits until ctx ends at the latest.
func Process(ctx context.Context, s explain.Subject) explain.Process {
	if s.Pid == 0 {
		return explain.Process{}
	}
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return explain.Process{Unknown: "an earlier examination has not ended yet. Ask again later"}
	}
	done := make(chan explain.Process, 1)
	go func() {
		defer func() { <-turn }()
		done <- examine(ctx, s)
	}()
	select {
	case p := <-done:
		return p
	case <-ctx.Done():
		return explain.Process{Unknown: "/proc or a file system does not answer in time"}
	}
}

func examine(ctx context.Context, s explain.Subject) (p explain.Process) {
	if stat, err := procfs.ReadStat(s.Pid); err == nil {
		p.Stopped = stat.Stopped()
	}
	if s.Signal > 0 {
		p.Disposition = disposition(s.Pid, syscall.Signal(s.Signal))
	}
	if s.Threads {
		p.Threads = threads(ctx, s.Pid)
		return p // it is about to end, or not ready: what is on disk explains nothing
	}
	p.Program = replacedProgram(s)
	p.Libraries = replacedLibraries(s.Pid)
	fds, _ := openfds.Describe(ctx, s.Pid) // an error leaves nothing out
	p.Files = changedFiles(s, func(file string) bool {
		return slices.ContainsFunc(fds, func(f procfs.FD) bool {
			return f.Target == file && strings.Contains(f.Detail.Mode, "w")
		})
	})
	return p
}

// disposition returns how a process handles a signal. Empty: it cannot be read.
func disposition(pid int, sig syscall.Signal) string {
	signals, err := procfs.ReadSignals(pid)
	if err != nil {
		return ""
	}
	d := signals.Disposition(sig)
	if d == "default" && procfs.InSigwait(pid) {
		return "awaited"
	}
	return d
}

// threads says what the threads of a process and of its descendants do.
func threads(ctx context.Context, pid int) (lines []string) {
	const most = 64
	for i, p := range append([]int{pid}, procfs.Descendants(pid)...) {
		if ctx.Err() != nil || len(lines) >= most {
			break
		}
		before := ""
		if i > 0 {
			s, err := procfs.ReadStat(p)
			if err != nil || s.Dead() {
				continue
			}
			before = fmt.Sprintf("%s (pid %d): ", s.Comm, p)
		}
		fds, _ := openfds.Describe(ctx, p) // an error leaves the names out
		name := procfs.FDNames(p, fds)
		all, _ := procfs.ReadThreads(p)
		for _, t := range all {
			lines = append(lines, before+t.Describe(name))
		}
	}
	return lines[:min(len(lines), most)]
}
