package process

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// maxDiagnosedThreads bounds the threads of a diagnosis.
const maxDiagnosedThreads = 64

// describeLimit bounds the fd scan of each process for a diagnosis or an inspection.
const describeLimit = 100 * time.Millisecond

// diagnose determines what a child process does while its stop takes long. It does nothing
// while signals are pending or the process is in its exit stop: then the process waits for the
// supervisor.
func (l *Loop) diagnose(c *childProcess, sig unix.Signal) {
	o := c.main
	if o == nil || c.phase.MainEnded() || c.stop.delivery.State.Waits() ||
		o.machine.State.WaitsForScan() {
		return
	}
	since := o.cpuAtStop
	l.scan(o, func() func() {
		d := Diagnosed{
			Process:     c.id,
			Pid:         c.pid,
			Signal:      sig,
			Disposition: l.disposition(c.pid, sig),
		}
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
			d.Threads = append(
				d.Threads,
				l.describeThreads(pid, fmt.Sprintf("%s (pid %d): ", s.Comm, pid))...)
		}
		return func() {
			if !c.phase.MainEnded() {
				l.report(d)
			}
		}
	})
}

// describeThreads describes what each thread of a process does, with the name of the descriptor
// that it waits for.
func (l *Loop) describeThreads(pid int, before string) (lines []string) {
	threads, err := l.readThreads(pid)
	if err != nil {
		return nil
	}
	limit := newScanLimit(time.Now().Add(describeLimit), minScannedFDs)
	fds, _ := l.readFDs(pid, pid, limit)
	l.resolve(pid, fds, time.Now(), limit)
	name := procfs.FDNames(pid, fds)
	for _, t := range threads {
		if t.State == 't' {
			// Stopped by job control: no other ptrace stop takes that long.
			t.State = 'T'
		}
		lines = append(lines, before+t.Describe(name))
	}
	return lines
}

// maxPtraceStop is the longest time of a ptrace stop that the loop handles, for a signal or a
// new thread. A longer stop is one by job control.
const maxPtraceStop = 20 * time.Millisecond

// readThreads reads the threads of a process. While the loop handles a ptrace stop of one of
// them, it waits for maxPtraceStop at most.
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

// inspect scans the descriptors of a child process that is ready, and reads the disposition of
// its stop signal. If the process crashes later, this is what is known of it.
func (l *Loop) inspect(c *childProcess, sig unix.Signal) {
	if c.phase.MainEnded() || c.stop.started() {
		return
	}
	c.inspections++
	marks := l.trees.marks
	l.workers.submit(func() {
		g := Inspected{
			Process:     c.id,
			Pid:         c.pid,
			At:          time.Now(),
			Disposition: l.disposition(c.pid, sig),
		}
		_ = l.runtimeOf(c.pid) // to fill the cache before a stop
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
