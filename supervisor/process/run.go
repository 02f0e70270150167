package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// run is one pid's life. The loop's thread owns it.
type run struct {
	id   RunID
	name string
	pid  int // ours to signal until we reap it: nobody else can

	spawned   time.Time
	hold      time.Duration // see Spec
	probed    bool
	serves    bool // it proved it
	calm      int  // looks in a row that saw all its threads wait
	glances   int  // under way
	scope     Scope
	tree      runTree
	successor int // the process that is to take over when the main process ends; 0: none
	terminal  bool
	signalled bool // a rung of its stop was sent
	watch     Proof
	sockets   []procfs.FD    // that were handed on to it
	barrier   *spawn.Barrier // nil: it executed its command
	afterExec []func()       // what waits for that
	failure   error          // why it could not
	starting  bool           // somebody waits for that

	stopAt   time.Time // when the first signal of a stop was asked for
	stopTick uint64    // the same on the clock of procfs.Stat.Start
	proof    Proof     // how closely that stop is to be looked at
	killed   bool

	waiting []delivery // signals that wait for the look before the stop
	waitEnd time.Time  // zero: none waits
	held    bool       // they wait until it can hear them
	turnEnd time.Time  // zero: the look does not wait for its turn
	late    string     // why they went before the look was done; empty: they did not

	watched   *watched // nil: no stop began
	processes int      // below it when its stop began
	forked    int      // below it since then
	awoken    bool     // we sent SIGCONT to it

	reaped bool
	exited Exited
}

// spawn forks what was prepared for a spec. own are the descriptors that were
// handed over for it; err says why they were not.
func (l *Loop) spawn(id RunID, s Spec, p *spawn.Prepared, own []int, err error) {
	pid, mark := 0, uint64(0)
	switch {
	case err != nil:
	case s.Revoked != nil && s.Revoked.Load():
		err = ErrRevoked
	default:
		mark = l.trees.newMark()
		l.mark(mark)
		pid, err = p.Fork(own, l.opt.Inherit)
		l.mark(0)
	}
	if err != nil {
		if p.Barrier != nil {
			l.lookers.all.Go(p.Barrier.Close)
		}
		l.report(SpawnFailed{Run: id, Err: err})
		return
	}
	r := &run{
		id: id, name: s.Name, pid: pid, spawned: time.Now(), hold: s.Hold, probed: s.Probed,
		scope: s.Scope, tree: newRunTree(mark, s.Leave), terminal: s.Terminal && !s.Session, watch: s.Watch,
		barrier: p.Barrier, sockets: p.Inherited,
	}
	l.terminal = l.terminal || r.terminal
	l.runs[id], l.pids[pid] = r, r
	l.beginTree(r)
	if p.Barrier == nil {
		l.meet(s.Path, pid)
		l.spawned(r)
		return
	}
	l.attachAtSpawn(r)
	l.giveTerminal(r)
	l.awaitExec(r)
}

// meet has a look at a program that is new to us: what it is built on takes long
// to find out and is remembered, and so is how long the sockets take.
func (l *Loop) meet(program string, pid int) {
	if l.met[program] {
		return
	}
	l.met[program] = true
	l.lookers.do(func() { l.members(pid) })
}

// spawned tells of a run once it executed its command.
func (l *Loop) spawned(r *run) { l.report(Spawned{Run: r.id, Pid: r.pid, At: r.spawned}) }

// mostStatuses are collected at a time: where thousands end, who was looked at
// must not wait until all of them are reaped.
const mostStatuses = 64

// reap collects the statuses that there are; l.more says that there may be
// more. The first look leaves the zombie in place, so that its name can still be
// read; then exactly that pid is waited for.
func (l *Loop) reap() {
	l.lookAtJobs()
	defer l.followTrees()
	l.more = false
	for range mostStatuses {
		var info siginfo
		err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
		if err != nil || info.Pid == 0 {
			return
		}
		pid := int(info.Pid)
		var orphan procfs.Stat
		// A stranger that stands in a stop can be killed before we wait for it.
		if w := l.tids[pid]; l.pids[pid] == nil && (w == nil || w.pid == pid && info.dead()) {
			orphan, _ = procfs.ReadStat(pid)
		}
		if t := l.trials[pid]; t != nil {
			l.killTrial(t)
		}
		var status unix.WaitStatus
		var usage unix.Rusage
		got, err := wait4(pid, &status, &usage)
		switch {
		case err != nil || got != pid:
			return // somebody killed what stood in a stop; another SIGCHLD comes
		case status.Stopped():
			l.tracedJob(pid, status)
			l.stopped(pid, status)
		default:
			l.dead(pid, status, usage, orphan)
		}
	}
	l.more = true
}

func (l *Loop) dead(pid int, status unix.WaitStatus, usage unix.Rusage, orphan procfs.Stat) {
	exit := exitOf(status)
	if t := l.trials[pid]; t != nil {
		l.tried(t, exit)
		return
	}
	r := l.pids[pid]
	if r == nil {
		l.deadBelow(pid, status, orphan)
		return
	}
	delete(l.pids, pid)
	if group := r.tree.group; errors.Is(unix.Kill(-group, 0), unix.ESRCH) { // nobody is left in it
		delete(l.told, group)
	}
	l.trees.due = true
	l.trees.ended = append(l.trees.ended, r)
	l.takeTerminal(r)
	r.reaped = true
	l.lost(pid)
	if r.watched != nil {
		l.feed(r.watched, proof.End, cause{})
	}
	r.exited = Exited{Run: r.id, Pid: pid, Exit: exit, Status: status, At: time.Now(), Rusage: usage, Killed: r.killed}
	l.release(r)
}

// deadBelow handles the end of what is no run: a thread that we trace, gone
// without an exit stop; a process below a run, which its parent waits for once
// we have been told; an orphan, which is ours alone.
func (l *Loop) deadBelow(pid int, status unix.WaitStatus, stat procfs.Stat) {
	thread := stat.Thread || l.tids[pid] != nil && l.tids[pid].pid != pid
	l.lost(pid)
	delete(l.unborn, pid)
	if thread {
		return
	}
	if w := l.watches[pid]; w != nil {
		w.status = &status
		l.ended(w)
		if stat.PPid != os.Getpid() {
			return
		}
	}
	child := l.reapedAdopted(pid)
	l.report(OrphanReaped{Child: child, Pid: pid, Command: stat.Comm, Exit: exitOf(status)})
}

// release gives up what the loop holds for a run.
func (l *Loop) release(r *run) {
	if b := r.barrier; b != nil { // whoever waits for the exec need not any more
		l.lookers.all.Go(b.Cancel)
	}
}

// settle tells of the end of a run once nothing of it is under way.
func (l *Loop) settle(r *run) {
	w := r.watched
	if !r.reaped || !r.tree.scanned || r.tree.reported || r.starting {
		return
	}
	if !l.hurried() && r.glances > 0 || w != nil && !l.concluded(w) {
		return
	}
	r.tree.reported = true
	r.exited.Look = Look{Proof: None, Reason: "it ended by itself"}
	if w != nil {
		r.exited.Look = w.result()
		l.feed(w, proof.Reaped, cause{})
		if len(l.watches) > 0 {
			l.soon(time.Now().Add(leaveAfter))
		}
		r.exited.Threads, r.exited.ThreadsAtEnd = w.threads, w.threadsAtEnd
		r.exited.Processes, r.exited.Forked = r.processes, r.forked
	}
	if !r.tree.leave {
		for _, a := range l.survivors(r) {
			r.exited.Survivors = append(r.exited.Survivors, Survivor{a.stat.Pid, a.stat.Comm})
		}
	}
	if r.over() {
		l.endRun(r)
	}
	if errors.Is(r.failure, spawn.ErrNotExecuted) {
		r.failure = r.notExecuted()
	}
	if r.failure != nil { // as if the fork had failed
		l.report(SpawnFailed{Run: r.id, Err: r.failure})
		return
	}
	l.report(r.exited)
	if !r.over() {
		l.sendSurvivors(r)
	}
}

func exitOf(s unix.WaitStatus) event.Exit {
	if s.Signaled() {
		name := unix.SignalName(s.Signal())
		if name == "" { // a realtime signal
			name = fmt.Sprintf("signal %d", int(s.Signal()))
		}
		return event.Exit{Signal: name, Core: s.CoreDump()}
	}
	return event.Exit{Code: s.ExitStatus()}
}
