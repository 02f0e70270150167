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
	mostThreads = 64
	mostTargets = 8
)

// describeLimit bounds the fd scan of each process for a diagnosis, or for what is known of a run
// before its stop.
const describeLimit = 100 * time.Millisecond

// diagnose looks at what a run does while its stop takes long. A run whose signals wait,
// or that is held in its exit stop, waits for us.
func (l *Loop) diagnose(r *run, sig unix.Signal) {
	w := r.watched
	if w == nil || r.phase.MainEnded() || r.stop.delivery.State.Waits() || w.machine.State.IsHeld() {
		return
	}
	since := w.cpu
	l.beside(w, func() func() {
		d := Diagnosed{Process: r.id, Pid: r.pid, Signal: sig, Disposition: l.disposition(r.pid, sig)}
		if now, err := procfs.CPUTime(r.pid); err == nil {
			d.CPU = now - since
		}
		d.Threads = l.describe(r.pid, "")
		for _, pid := range procfs.Descendants(r.pid) {
			if len(d.Threads) >= mostThreads {
				d.Threads = append(d.Threads[:mostThreads], "and more")
				break
			}
			s, err := procfs.ReadStat(pid)
			if err != nil {
				continue
			}
			d.Threads = append(d.Threads, l.describe(pid, fmt.Sprintf("%s (pid %d): ", s.Comm, pid))...)
		}
		return func() {
			if !r.phase.MainEnded() {
				l.report(d)
			}
		}
	})
}

// describe says of each thread of a process what it does, with the descriptor
// that it waits for in plain words.
func (l *Loop) describe(pid int, before string) (lines []string) {
	threads, err := l.activity(pid)
	if err != nil {
		return nil
	}
	h := newHalt(time.Now().Add(describeLimit), spareFDs)
	fds, _ := l.table(pid, pid, h)
	l.resolve(pid, fds, time.Now(), h)
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
		for _, t := range targets[:min(len(targets), mostTargets)] {
			of = append(of, fmt.Sprintf("%d %s", t, words[t]))
		}
		if len(targets) > mostTargets {
			of = append(of, fmt.Sprintf("and %d more", len(targets)-mostTargets))
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

// passing is how long a stop of ours may take that we look into, for a signal
// that is on its way or a thread that is born; what stands longer job control
// stopped.
const passing = 20 * time.Millisecond

func (l *Loop) activity(pid int) (threads []procfs.Thread, err error) {
	ours := func(t procfs.Thread) bool { return t.State == 't' }
	for late := time.Now().Add(passing); ; {
		threads, err = procfs.ReadThreads(pid)
		if err != nil || !slices.ContainsFunc(threads, ours) || time.Now().After(late) {
			return threads, err
		}
		l.lookers.aside(func() { time.Sleep(time.Millisecond) })
	}
}

// glance looks once at a run that serves: what it holds, and what it will do
// about the signal that is to stop it. It is what is known of one that crashes.
func (l *Loop) glance(r *run, sig unix.Signal) {
	if r.phase.MainEnded() || r.stop.begun() {
		return
	}
	r.glances++
	marks := l.trees.marks
	l.lookers.do(func() {
		g := Inspected{Process: r.id, Pid: r.pid, At: time.Now(), Disposition: l.disposition(r.pid, sig)}
		_ = l.runtime(r.pid) // it is remembered, and a stop need not find out
		h := newHalt(g.At.Add(describeLimit), spareFDs)
		g.FDs, _ = l.table(r.pid, r.pid, h)
		l.resolve(r.pid, g.FDs, fresh(), h)
		unmarked := marks.without(procfs.Descendants(r.pid))
		l.cmds.Put(func() {
			r.glances--
			for _, id := range unmarked {
				if !r.over() {
					l.trees.members[id] = r
				}
			}
			if !r.phase.MainEnded() {
				l.report(g)
			}
			l.settle(r)
		})
	})
}
