// Package process has the process loop: the only code that signals, traces and reaps, and the
// only caller of the forks of package spawn. Package orchestrator starts and stops the children:
// it sends the loop commands, and gets facts back. Package guard ends a stop whose loop is
// blocked.
//
// One goroutine on one OS thread does all of it, since the parent death signal and ptrace belong
// to threads. The exception is reapDuringSeize: it reaps dead threads while that thread waits in
// PTRACE_SEIZE. So a registration cannot race with a reap, a pid cannot be recycled between a
// check and a signal, and no other waiter takes a ptrace stop. In return the loop must never wait:
// it does not write, log, resolve names or sleep.
package process

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/sigchld"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// New prepares the supervisor to be the parent of other processes. It takes SIGCHLD back where
// it was ignored, since the kernel would reap then (wait(2)). It makes the supervisor the
// reaper of orphans, and sets close-on-exec on inherited descriptors. Call it once.
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
	l.orphanTimer = newStoppedTimer(l.orphansAreDue)
	l.perform, l.tryReportExit = l.performAction, l.reportExit
	l.helpers.handle, l.helpers.giveUp = l.handleReport, l.giveUpHelper
	if err := spawn.OpenPoller(); err != nil {
		return nil, err
	}
	var err error
	if l.handover, err = spawn.NewHandover(opt.FDs); err != nil {
		return nil, err
	}
	if l.sigchld, err = sigchld.Open(); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot become the reaper of orphans: %w", err)
	}
	if s, err := procfs.ReadStatus(os.Getpid()); err == nil {
		l.privileged = s.Effective&(1<<unix.CAP_SYS_PTRACE) != 0
	}
	if opt.Inherit {
		return l, nil
	}
	if unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return l, nil
	}
	// Linux before 5.11 does not know the flag, and a seccomp profile can forbid the call.
	inherited, err := spawn.NotCloseOnExec()
	if err != nil {
		return nil, fmt.Errorf("cannot mark inherited descriptors close-on-exec: %w", err)
	}
	for _, f := range inherited {
		unix.CloseOnExec(f.Num)
	}
	return l, nil
}

// Run runs the loop until [Loop.Close]. Call it once. Run never returns its thread to the
// scheduler: when the thread ends, the kernel sends the parent death signal to every child that
// is left.
func (l *Loop) Run() error {
	runtime.LockOSThread()
	l.tid = unix.Gettid()
	if l.tid == os.Getpid() { // /proc/PID/fd shows the table of the main thread
		defer runtime.UnlockOSThread()
		over := make(chan error, 1)
		// On another thread, since this goroutine keeps the main thread.
		go func() { over <- l.Run() }()
		return <-over
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	var reaper sync.WaitGroup
	reaper.Go(func() { l.sigchld.Run(l.statusesArrived) })
	defer reaper.Wait()
	defer l.shutDown()
	if !l.opt.Inherit { // else children inherit the table of all threads
		_ = l.handover.UnshareTable() // an error only makes forks slower
	}
	if err := l.dieWithParent(); err != nil {
		return err
	}
	for {
		if l.closed() {
			return nil
		}
		if l.moreStatuses {
			l.reap()
		} else if !l.awaitWork() {
			return nil
		}
		for _, cmd := range l.commands.Take() {
			cmd()
		}
		l.endTurn()
	}
}

// awaitWork waits for work. It returns false when the loop is to end.
func (l *Loop) awaitWork() bool {
	l.turn.Unlock()
	mayReap := false
	select {
	case <-l.commands.Wake():
	case <-l.statuses:
		mayReap = true
	case <-l.timer.C:
		mayReap = true
	case <-l.quit:
		l.turn.Lock()
		return false
	}
	l.turn.Lock()
	if mayReap {
		l.reap()
	}
	return true
}

// dieWithParent asks for a signal at the death of the parent. The kernel keeps that request for
// each thread (prctl(2), PR_SET_PDEATHSIG), and the loop's thread stays. If the parent is dead
// already, the signal is sent now.
func (l *Loop) dieWithParent() error {
	if l.opt.ParentDeath == 0 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(l.opt.ParentDeath), 0, 0, 0); err != nil {
		return fmt.Errorf("cannot set the parent death signal: %w", err)
	}
	if os.Getppid() != l.opt.Parent {
		_ = unix.Kill(os.Getpid(), l.opt.ParentDeath)
	}
	return nil
}

// shutDown releases what the loop has, and waits for the workers. Each of them reads a few
// files of /proc.
func (l *Loop) shutDown() {
	l.sigchld.Close()
	l.orphanTimer.Stop()
	l.timer.Stop()
	for _, c := range l.processes {
		l.closeBarrier(c)
	}
	l.killHelpers()
	l.workers.goroutines.Go(l.handover.Close)
	l.workers.goroutines.Wait()
}
