// Package process has the process loop: the only code that signals, traces and
// waits, and the only caller of the forks of package spawn. Others send it
// commands and get facts back.
//
// One goroutine on one OS thread does it all, since the parent death signal
// and ptrace belong to threads. That makes it simple: a registration cannot
// race with the reap, a pid cannot be recycled between a look and a signal,
// and no other waiter takes a ptrace stop away. The price is that the loop
// must never wait for anything: it does not write, log, resolve or sleep.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/ledger"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
	"tp0/supervisor/queue"
)

// Books keeps the supervisor's own descriptors.
type Books interface {
	Opened(fd int, kind, target string)
	Close(fd int, close func() error) error
}

// Options are what a loop needs from others.
type Options struct {
	Books   Books
	Deliver func([]Fact) // called on the loop's thread, in order; must not block, and keeps what it gets
	Inherit bool         // what descriptors we were given beyond the standard streams, children get too
	// Parent and ParentDeath make the kernel send us a signal when our parent
	// dies, which Parent was; 0: none.
	Parent      int
	ParentDeath unix.Signal
}

// net is how often we look for a death whose SIGCHLD was lost, while a stop is
// under way. Nothing is known to lose one; a stop must not hang if something
// does. An idle supervisor has no timer at all.
const net = 100 * time.Millisecond

// Loop is the process loop. All methods may be called by any goroutine.
type Loop struct {
	opt      Options
	cmds     *queue.Queue[func()]
	chld     chan os.Signal
	quit     chan struct{}
	handover *spawn.Handover
	tries    chan struct{} // full: the loop is to take some first
	lookers  *lookers
	sockets  sockets
	runtimes ledger.Runtimes

	executing sync.Map // pids that a look saw in an execve without end, see execve.go

	// Everything below belongs to the loop's thread.
	tid      int             // its number
	met      map[string]bool // programs
	runs     map[RunID]*run
	pids     map[int]*run
	turns    []*run // that wait for the look before their stop
	facts    []Fact // told and not delivered yet
	factsAt  time.Time
	trials   map[int]*trial // by pid
	more     bool           // there may be statuses to collect
	terminal bool           // a run has, or had, our terminal
	told     map[int]uint64
	sweep    *sweep
	due      time.Time // when to tend; zero: never
	spin     spin
	timer    *time.Timer

	tracing
	sent      map[identity]int // steps that were sent to processes one by one, of runs that are over
	trees     trees
	inherited []procfs.FD // see handedOn
}

// New prepares this process to be the parent of others: it takes SIGCHLD back
// where it was ignored (the kernel would reap in our place, wait(2)), becomes
// the reaper of orphans, and keeps inherited descriptors from leaking into
// children. One loop a process.
func New(opt Options) (*Loop, error) {
	l := &Loop{
		opt:     opt,
		cmds:    queue.New[func()](),
		lookers: newLookers(),
		chld:    make(chan os.Signal, 1),
		quit:    make(chan struct{}),
		tries:   make(chan struct{}, mostTries),
		met:     map[string]bool{},
		runs:    map[RunID]*run{},
		pids:    map[int]*run{},
		trials:  map[int]*trial{},
		told:    map[int]uint64{},
		timer:   time.NewTimer(time.Hour),

		sent:    map[identity]int{},
		trees:   newTrees(),
		tracing: newTracing(),
	}
	l.timer.Stop()
	if err := spawn.OpenPoller(); err != nil {
		return nil, err
	}
	var err error
	if l.handover, err = spawn.NewHandover(opt.Books); err != nil {
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
		l.takeTurns(now)
		if l.sweep != nil || !l.due.IsZero() && !now.Before(l.due) {
			l.due = time.Time{}
			l.soon(l.tend(now))
		}
		l.arm(l.due)
		l.flush()
	}
}

// Facts are delivered some at a time: whoever takes them is woken once, and for
// a thousand ends at once does a few rounds in place of a thousand.
const (
	batchFacts = 256
	batchTime  = 500 * time.Microsecond
)

// report delivers a fact, soon.
func (l *Loop) report(f Fact) {
	now := time.Now()
	if len(l.facts) == 0 {
		l.factsAt = now
	}
	l.facts = append(l.facts, f)
	if len(l.facts) >= batchFacts || now.Sub(l.factsAt) >= batchTime {
		l.flush()
	}
}

// flush delivers what was told.
func (l *Loop) flush() {
	if len(l.facts) > 0 {
		facts := l.facts
		l.facts = nil
		l.opt.Deliver(facts)
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

// wait waits for something to do; for the end, if it reports false.
func (l *Loop) wait() bool {
	select {
	case <-l.cmds.Wake():
	case <-l.chld:
		l.reap()
	case <-l.timer.C:
		l.reap()
	case <-l.quit:
		return false
	}
	return true
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

// soon has the loop tend at t, or before; zero: never. What makes something due says so: to
// look at every run whenever one of them moves would cost a stop of N N².
func (l *Loop) soon(t time.Time) {
	if l.due.IsZero() || !t.IsZero() && t.Before(l.due) {
		l.due = t
	}
}

// tend does what is due and says when it wants to be called again; zero:
// never.
func (l *Loop) tend(now time.Time) time.Time {
	var next time.Time
	due := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, r := range l.runs {
		if r.stopAt.IsZero() {
			continue
		}
		due(now.Add(net))
		due(l.tendTree(r, now))
		due(l.tendHeld(r, now))
		due(l.tendDelivery(r, now))
		if r.signalled && !r.awoken && !r.reaped && r.stands() { // a stop takes a moment, or came later
			l.awaken(r)
		}
	}
	for _, w := range l.watches {
		due(l.tendWatched(w, now))
	}
	if l.sweep != nil {
		due(l.tendSweep(now))
	}
	return next
}

func (l *Loop) arm(at time.Time) {
	if at.IsZero() {
		l.timer.Stop()
		return
	}
	l.timer.Reset(max(time.Until(at), 0))
}

// Spawn starts a run. [Spawned] or [SpawnFailed] follows. The descriptors of the
// spec may be closed as soon as it returns. Some dozens may be on their way at a
// time, no hundreds.
func (l *Loop) Spawn(id RunID, s Spec) {
	s.Barrier = s.Barrier || s.Watch == Exact
	p, err := spawn.Prepare(s.Spec, l.opt.Books)
	if err != nil {
		l.cmds.Put(func() { l.report(SpawnFailed{Run: id, Err: err}) })
		return
	}
	defer p.CloseChildEnd()
	l.hand(p.Files(), func(own []int, err error) { l.spawn(id, s, p, own, err) })
}

// Answers reports whether the loop does something that it is asked before ctx
// ends.
func (l *Loop) Answers(ctx context.Context) bool {
	answer := make(chan struct{})
	l.cmds.Put(func() { close(answer) })
	select {
	case <-answer:
		return true
	case <-l.quit:
		return true // it is over, as it should be
	case <-ctx.Done():
		return false
	}
}

// Signal sends a signal to a run as a rung of a stop; a run that is gone, or
// that could not be spawned, is none the worse for it. The first one starts the
// look at the run's descriptors, as proof asks. [Signalled] follows.
func (l *Loop) Signal(id RunID, sig unix.Signal, rung int, proof Proof) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			l.onceExecuted(r, sig, func() { l.signal(r, delivery{sig, rung}, proof) })
		}
	})
}

// Forward passes on to a run a signal that came to us, or another one in its
// place; 0: none. It is no rung, and no stop begins. [Signalled] follows.
func (l *Loop) Forward(id RunID, came, sig unix.Signal) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil && !r.reaped {
			l.onceExecuted(r, sig, func() { l.forward(r, came, sig) })
		}
	})
}

// Serves tells that a run has proved that it serves, so that it hears signals.
func (l *Loop) Serves(id RunID) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			r.serves = true
		}
	})
}

// Rescope changes whom the signals of a run reach from now on, and whether its
// descendants may outlive it.
func (l *Loop) Rescope(id RunID, scope Scope, leave bool) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			r.scope = scope
			if !r.reaped { // else the decision is made
				r.tree.leave = leave
			}
		}
	})
}

// Diagnose looks at what a run does that was sent sig a while ago. [Diagnosed]
// follows unless it ends first.
func (l *Loop) Diagnose(id RunID, sig unix.Signal) { l.ask(id, sig, l.diagnose) }

// Glance looks at a run that serves and that sig is to stop. [Glanced] follows
// unless it ends first, or its stop begins.
func (l *Loop) Glance(id RunID, sig unix.Signal) { l.ask(id, sig, l.glance) }

func (l *Loop) ask(id RunID, sig unix.Signal, what func(*run, unix.Signal)) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil {
			what(r, sig)
		}
	})
}

// Sweep ends whatever is left below us: SIGTERM now, after a look as proof
// asks, SIGKILL at killAt, and at giveUp it is over. [Swept] follows. Call it when no run is left, or none that
// could be ended; nothing may be spawned after it.
func (l *Loop) Sweep(killAt, giveUp time.Time, proof Proof) {
	l.cmds.Put(func() { l.startSweep(killAt, giveUp, proof) })
}
