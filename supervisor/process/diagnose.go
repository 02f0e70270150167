package process

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// A diagnosis names so many threads and so many members of an epoll at most.
const (
	maxDiagnosedThreads = 64
	maxEpollTargets     = 8
)

// describeLimit bounds the fd scan of each process for a diagnosis, or for what is known of a run
// before its stop.
const describeLimit = 100 * time.Millisecond

// diagnose looks at what a run does while its stop takes long. A run whose signals wait,
// or that is held in its exit stop, waits for us.
func (l *Loop) diagnose(c *childProcess, sig unix.Signal) {
	o := c.observed
	if o == nil || c.phase.MainEnded() || c.stop.delivery.State.Waits() || o.machine.State.IsHeld() {
		return
	}
	since := o.cpuAtStop
	l.scanInWorker(o, func() func() {
		d := Diagnosed{Process: c.id, Pid: c.pid, Signal: sig, Disposition: l.disposition(c.pid, sig)}
		if now, err := procfs.CPUTime(c.pid); err == nil {
			d.CPU = now - since
		}
		d.Threads = l.describeThreads(c.pid, "")
		for _, pid := range procfs.Descendants(c.pid) {
			if len(d.Threads) >= maxDiagnosedThreads {
				d.Threads = append(d.Threads[:maxDiagnosedThreads], "and more")
				break
			}
			s, err := procfs.ReadStat(pid)
			if err != nil {
				continue
			}
			d.Threads = append(d.Threads, l.describeThreads(pid, fmt.Sprintf("%s (pid %d): ", s.Comm, pid))...)
		}
		return func() {
			if !c.phase.MainEnded() {
				l.report(d)
			}
		}
	})
}

// describeThreads says of each thread of a process what it does, with the descriptor
// that it waits for in plain words.
func (l *Loop) describeThreads(pid int, before string) (lines []string) {
	threads, err := l.readThreads(pid)
	if err != nil {
		return nil
	}
	limit := newScanLimit(time.Now().Add(describeLimit), minScannedFDs)
	fds, _ := l.readFDs(pid, pid, limit)
	l.resolve(pid, fds, time.Now(), limit)
	words := map[int]string{}
	for _, f := range fds {
		words[f.Num] = f.Kind
		if f.Target != "" && f.Kind != "epoll" {
			words[f.Num] = f.Target
		}
	}
	name := func(fd int) string {
		if words[fd] != "epoll" {
			return words[fd]
		}
		targets, err := procfs.EpollTargets(pid, pid, fd)
		if err != nil {
			return "epoll"
		}
		var of []string
		for _, t := range targets[:min(len(targets), maxEpollTargets)] {
			of = append(of, fmt.Sprintf("%d %s", t, words[t]))
		}
		if len(targets) > maxEpollTargets {
			of = append(of, fmt.Sprintf("and %d more", len(targets)-maxEpollTargets))
		}
		return "epoll: " + strings.Join(of, ", ")
	}
	for _, t := range threads {
		if t.State == 't' {
			// By job control, and we listen to it: no other ptrace stop takes that long.
			t.State = 'T'
		}
		lines = append(lines, before+t.Describe(name))
	}
	return lines
}

// maxPtraceStop is how long a stop of ours may take that we look into, for a signal
// that is on its way or a thread that is born; what stands longer job control
// stopped.
const maxPtraceStop = 20 * time.Millisecond

func (l *Loop) readThreads(pid int) (threads []procfs.Thread, err error) {
	ours := func(t procfs.Thread) bool { return t.State == 't' }
	for late := time.Now().Add(maxPtraceStop); ; {
		threads, err = procfs.ReadThreads(pid)
		if err != nil || !slices.ContainsFunc(threads, ours) || time.Now().After(late) {
			return threads, err
		}
		l.workers.waitOutside(func() { time.Sleep(time.Millisecond) })
	}
}

// inspect looks once at a run that serves: what it holds, and what it will do
// about the signal that is to stop it. It is what is known of one that crashes.
func (l *Loop) inspect(c *childProcess, sig unix.Signal) {
	if c.phase.MainEnded() || c.stop.started() {
		return
	}
	c.inspections++
	marks := l.trees.marks
	l.workers.submit(func() {
		g := Inspected{Process: c.id, Pid: c.pid, At: time.Now(), Disposition: l.disposition(c.pid, sig)}
		_ = l.runtimeOf(c.pid) // it is remembered, and a stop need not find out
		limit := newScanLimit(g.At.Add(describeLimit), minScannedFDs)
		g.FDs, _ = l.readFDs(c.pid, c.pid, limit)
		l.resolve(c.pid, g.FDs, recently(), limit)
		unmarked := marks.withoutMark(procfs.Descendants(c.pid))
		l.commands.Put(func() {
			c.inspections--
			for _, id := range unmarked {
				if !c.isOver() {
					l.trees.unmarkedMembers[id] = c
				}
			}
			if !c.phase.MainEnded() {
				l.report(g)
			}
			l.reportExit(c)
		})
	})
}
