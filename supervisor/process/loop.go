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

	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// Options are what a loop needs from others.
type Options struct {
	FDs fdledger.Registrar
	// Deliver is called on the loop's thread, in order. It must not block, and owns the
	// facts from then on.
	Deliver func([]Fact)
	// Inherit: children inherit the descriptors beyond the standard streams that we were
	// given at our start.
	Inherit bool
	// Parent and ParentDeath make the kernel send us a signal when our parent
	// dies, which Parent was; 0: none.
	Parent      int
	ParentDeath unix.Signal
}

// Loop is the process loop. All exported methods may be called by any goroutine. Each
// part below is in the file of its concern. Unless a comment there says otherwise, the
// part belongs to the loop's thread.
type Loop struct {
	opt      Options
	tid      int // of the loop's thread
	handover *spawn.Handover

	inbox    // what wakes the loop
	ticks    // what it does by the time alone
	outbox   // the facts that are not delivered yet
	registry // the runs
	stops    // the stops that are under way
	probes   // the commands that are run to see how they end
	scans    // what reads /proc beside the loop
	tracing  // the processes that are watched
	trees    trees
	sweep    *sweep // nil: it has not begun, or is over
}

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
	if err := spawn.OpenPoller(); err != nil {
		return nil, err
	}
	var err error
	if l.handover, err = spawn.NewHandover(opt.FDs); err != nil {
		return nil, err
	}
	signal.Notify(l.chld, unix.SIGCHLD)
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
	defer l.end()
	if !l.opt.Inherit { // else children inherit what all threads share
		_ = l.handover.UnshareTable() // without a table of its own a fork is only slower
	}
	if err := l.dieWithParent(); err != nil {
		return err
	}
	for {
		if l.over() {
			return nil
		}
		if l.more || l.spin.on() {
			l.reap()
		} else if !l.wait() {
			return nil
		}
		for _, cmd := range l.cmds.Take() {
			cmd()
		}
		now := time.Now()
		l.dequeue(now)
		if l.sweep != nil || !l.due.IsZero() && !now.Before(l.due) {
			l.due = time.Time{}
			l.soon(l.tend(now))
		}
		l.arm(l.due)
		l.flush()
	}
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

// Close ends the loop. What is still running is left to itself.
func (l *Loop) Close() { close(l.quit) }

func (l *Loop) over() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

func (l *Loop) end() {
	signal.Stop(l.chld)
	l.timer.Stop()
	for _, r := range l.runs {
		l.release(r)
	}
	l.lookers.all.Go(l.handover.Close)
	l.lookers.all.Wait() // each reads a few files of /proc
}
