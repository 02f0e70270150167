// Package process has the process loop: the only code that signals, traces and
// waits, and the only caller of the forks of package spawn. Others send it
// commands and get facts back.
//
// One goroutine on one OS thread does it all, since the parent death signal
// and ptrace belong to threads. That makes it simple: a registration cannot
// race with the reap, a pid cannot be recycled between a check and a signal,
// and no other waiter takes a ptrace stop away. The price is that the loop
// must never wait for anything: it does not write, log, resolve or sleep.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// New prepares this process to be the parent of others: it takes SIGCHLD back
// where it was ignored (the kernel would reap in our place, wait(2)), becomes
// the reaper of orphans, and keeps inherited descriptors from leaking into
// children. One loop a process.
func New(opt Options) (*Loop, error) {
	l := &Loop{
		opt:      opt,
		inbox:    newInbox(),
		ticks:    newTicks(),
		registry: newRegistry(),
		stops:    newStops(),
		probes:   newProbes(),
		scans:    newScans(),
		tracing:  newTracing(),
		trees:    newTrees(),
	}
	l.perform, l.mainEnded = l.performAction, l.reportExit
	if err := spawn.OpenPoller(); err != nil {
		return nil, err
	}
	var err error
	if l.handover, err = spawn.NewHandover(opt.FDs); err != nil {
		return nil, err
	}
	signal.Notify(l.sigchld, unix.SIGCHLD)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot become the reaper of orphans: %w", err)
	}
	if s, err := procfs.ReadStatus(os.Getpid()); err == nil {
		l.privileged = s.Effective&(1<<unix.CAP_SYS_PTRACE) != 0
	}
	if opt.Inherit {
		return l, nil
	}
	// Before Linux 5.11 the flag is unknown; then those that we inherited stay
	// as they were.
	err = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return nil, fmt.Errorf("cannot mark inherited descriptors close-on-exec: %w", err)
	}
	return l, nil
}

// Run is the loop. It returns after [Loop.Close], and must be called once. Its
// thread is never given back: when it ends, the kernel sends every child that
// is left its parent death signal.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	l.tid = unix.Gettid()
	if l.tid == os.Getpid() { // the main thread's table is what /proc/PID/fd shows
		defer runtime.UnlockOSThread()
		over := make(chan error, 1)
		go func() { over <- l.Run() }() // on another one, since we keep this
		return <-over
	}
	defer l.shutDown()
	if !l.opt.Inherit { // else children inherit what all threads share
		_ = l.handover.UnshareTable() // without a table of its own a fork is only slower
	}
	if err := l.dieWithParent(); err != nil {
		return err
	}
	for {
		if l.closed() {
			return nil
		}
		if l.moreStatuses || l.busyPoll.active() {
			l.reap()
		} else if !l.awaitWork() {
			return nil
		}
		for _, cmd := range l.commands.Take() {
			cmd()
		}
		now := time.Now()
		l.dequeueScans(now)
		if l.cleanup != nil || !l.nextTick.IsZero() && !now.Before(l.nextTick) {
			l.nextTick = time.Time{}
			l.schedule(l.runDue(now))
		}
		l.armTimer(l.nextTick)
		l.flush()
	}
}

// awaitWork waits for something to do; for the end, if it reports false.
func (l *Loop) awaitWork() bool {
	select {
	case <-l.commands.Wake():
	case <-l.sigchld:
		l.reap()
	case <-l.timer.C:
		l.reap()
	case <-l.quit:
		return false
	}
	return true
}

// runDue does what is due, and returns the time of the next tick; zero: none is needed.
func (l *Loop) runDue(now time.Time) time.Time {
	var next time.Time
	due := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, c := range l.processes {
		if !c.stop.started() {
			continue
		}
		due(now.Add(reapPoll))
		due(l.tickTree(c, now))
		due(l.tickDelivery(c, now))
		l.continueDue(c)
	}
	for _, o := range l.observed {
		due(l.tickObserved(o, now))
	}
	if l.cleanup != nil {
		due(l.tickOrphanCleanup(now))
	}
	return next
}

// dieWithParent asks for a signal at the death of our parent. The kernel keeps
// that for each thread (prctl(2), PR_SET_PDEATHSIG), and ours stays. A parent
// that died before has to be noticed.
func (l *Loop) dieWithParent() error {
	if l.opt.ParentDeath == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(l.opt.ParentDeath), 0, 0, 0); err != nil {
		return fmt.Errorf("cannot ask for a signal at the death of our parent: %w", err)
	}
	if os.Getppid() != l.opt.Parent {
		_ = unix.Kill(os.Getpid(), l.opt.ParentDeath)
	}
	return nil
}

func (l *Loop) shutDown() {
	signal.Stop(l.sigchld)
	l.timer.Stop()
	for _, c := range l.processes {
		l.closeBarrier(c)
	}
	l.workers.goroutines.Go(l.handover.Close)
	l.workers.goroutines.Wait() // each reads a few files of /proc
}
