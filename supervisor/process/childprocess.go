package process

import (
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// childProcess is one process of a child, from its fork until nothing is left of its process
// tree. The loop's thread owns it.
type childProcess struct {
	id        ID
	name      string
	pid       int // of the main process; ours to signal until it is reaped: no other process has it
	scope     lifecycle.Scope
	traceFrom event.Proof // from its spawn on
	sockets   []procfs.FD // that were handed on to it
	terminal  bool        // its process group is in the foreground of our terminal

	phase  phase.Phase
	exited Exited // how the main process ended; zero before
	execution
	handling handling
	tree     processTree
	// successor is the process that takes over when the main process ends; 0: none.
	successor   int
	stop        stop
	observed    *observed // the main process; nil: it is not watched
	inspections int       // under way
}

// isOver reports whether nothing of a run is left, or nothing that it waits for.
func (c *childProcess) isOver() bool {
	return c.phase == phase.Over || c.phase == phase.Outlived && c.tree.alive == 0
}

// pendingKill is the SIGKILL that waits for the fd scan before the stop of a run, or one without a step.
func (c *childProcess) pendingKill() pendingSignal {
	last := pendingSignal{signal: unix.SIGKILL}
	for _, d := range c.stop.pending {
		if d.signal == unix.SIGKILL {
			last = d
		}
	}
	return last
}

// execution is what belongs to the phases at the barrier, and the result.
type execution struct {
	barrier   *spawn.Barrier // nil: there is none, or the result is known
	afterExec []func()       // what waits for the result
	failure   error          // why the command could not be executed
}

// handling is what is known of whether the program of a run handles signals by now.
type handling struct {
	startedAt   time.Time     // when the program was started; zero: long ago
	limit       time.Duration // the first signal waits no longer; Hold of Spec
	probed      bool          // Serves will be called once it handles them
	ready       bool          // Serves was called
	idleSamples int           // looks in a row that saw all its threads wait
}

// processTree is what a run knows of its process tree.
type processTree struct {
	mark    uint64 // 0: none could be made
	group   int    // the process group that the run was given
	leave   bool   // survivors run on, and nothing waits for them
	alive   int    // adopted processes of it
	steps   []sentStep
	sent    map[identity]int // the last step of those that were sent it one by one
	killing killProgress
	// nextContinue is when survivors that job control stopped are continued next.
	nextContinue time.Time
}

func newProcessTree(mark uint64, leave bool) processTree {
	return processTree{mark: mark, leave: leave, sent: map[identity]int{}}
}

// sentStep is a step of the stop sequence that was sent to a run.
type sentStep struct {
	pendingSignal
	scope lifecycle.Scope
	kernelTime
}

// The end of a run is the end of its process tree. When a main process ends, the
// kernel makes its children ours, and so it does with the children of each
// descendant that ends later. What is ours then and belongs to the run are its
// survivors: they are told the step of the stop sequence that the run has come
// to, and once the last of them is reaped the run is over.
//
// Nothing announces an adoption. But a process is adopted before its parent can
// be reaped (exit_notify in kernel/exit.c), so a scan after each round of reaping
// misses none. The kernel gives the children of others to our main thread
// (find_new_reaper there), and we fork on another one, so the list of the main
// thread's children is that of the adopted processes.

// adopted is a process that became our child because its parent ended.
type adopted struct {
	stat  procfs.Stat   // when it was seen first
	owner *childProcess // whose tree it is in; nil: not known, or of a run that is over
	step  int           // the last step that it was sent by itself; 0: none
	// stopped: job control stopped it, as it was seen before it was traced.
	stopped bool
}

// stop is the stop of a run. The zero value is that of a run whose stop has not begun.
type stop struct {
	requestedAt   time.Time   // when the first step was asked for; zero: the stop has not begun
	requestedTick uint64      // the same, as procfs.Stat.Start
	proof         event.Proof // that is asked for

	delivery    phase.Delivery
	pending     []pendingSignal // the signals that wait; none unless the state of delivery says so
	scanSkipped string          // why the signals did not wait for the fd scan; empty: they did

	firstSentAt    time.Time     // when the first step was sent
	delayedKillDue time.Time     // when last is sent; zero: none is postponed
	delayedKill    pendingSignal // SIGKILL that came too soon after the first step

	continuation continuation
	killed       bool // the main process was sent SIGKILL
	processes    int  // below the main process when the stop began
	forked       int  // below it since then
}

// started reports whether the stop has begun.
func (s *stop) started() bool { return !s.requestedAt.IsZero() }

// signalled notes that a step of the stop sequence was sent.
func (s *stop) signalled() {
	if s.continuation == notSignalled {
		s.continuation = continueIfStopped
	}
}

// continuation says whether the main process gets SIGCONT. A process that job control
// stopped cannot act on a signal before that, and would be sent SIGKILL when its time is
// over. (systemd does the same, systemd.kill(5).) It gets SIGCONT once: a second stop is
// taken for intended.
type continuation uint8

const (
	notSignalled      continuation = iota // it may stay stopped
	continueIfStopped                     // it was sent a step of its stop sequence
	continued                             // it was sent SIGCONT
)

// pendingSignal is a signal on its way to a run.
type pendingSignal struct {
	signal unix.Signal
	step   int // the step of the stop sequence; 0: none
}

// observed is a process that is watched while it is stopped: a run's own, one
// below it, or an orphan. Its state, and what belongs to that, are its machine's.
// The loop's thread owns it.
type observed struct {
	owner        *childProcess // whose tree it is in; nil: nobody's that we know
	pid          int
	parentPid    int
	comm         string // its name, when it was seen last
	firstSeen    time.Time
	forkedInStop bool          // it was forked after the stop began
	threads      int           // that it had when it was seen first
	cpuAtStop    time.Duration // that it had used when its stop began

	machine proof.Machine
	tracees
	evidence     proof.Evidence
	threadsAtEnd int              // when its exit was seen; 0: it was not
	status       *unix.WaitStatus // of the thread that exited last
	pendingScans
	traceSet traceSet // of the tree, where w is the process that its run is
	counted  bool
}

// pendingScans is what is known of the fd scans of a process that are under way.
type pendingScans struct {
	running             int           // how many
	firstScans          int           // of them that are to tell what it has from where
	firstScan, exitScan *scanLimit    // of the scan before the signal, and of that in the exit stop
	signalDelay         time.Duration // of the scan before the signal
	afterScan           func()        // what waits for the scan of it, until thenAt
	afterScanDue        time.Time
}

// isMain reports whether w is the process that its run is.
func (o *observed) isMain() bool { return o.owner != nil && o.owner.pid == o.pid }

// inState reports whether w is in a state.
func (o *observed) inState(s proof.State) bool { return o.machine.State == s }

// tracees are the threads of a process that we trace.
type tracees struct {
	traced  []int
	primary int   // the one that is held in its exit stop; 0: none
	exiting []int // that were let go in their exit: they touch no descriptor any more
}

// exitScan is what one scan in an exit stop saw.
type exitScan struct {
	proof.Siblings
	final    bool // the last scan, whatever it saw
	fds      []procfs.FD
	comm     string
	runtime  fdledger.Runtime
	children []int
	err      error
}

// stopCause is what an event is about: the thread that stopped and the signal that
// is on its way to it, or the scan that saw something.
type stopCause struct {
	tid  int
	sig  unix.Signal
	scan *exitScan
}

// traceSet is how many processes of a tree, without its main process, are traced, and which ones
// are not since they are too many.
type traceSet struct {
	traced   int
	untraced map[int]bool // by pid
}

// addUntraced notes processes that are not traced.
func (x *traceSet) addUntraced(pids ...int) {
	if x.untraced == nil && len(pids) > 0 {
		x.untraced = map[int]bool{}
	}
	for _, pid := range pids {
		x.untraced[pid] = true
	}
}

// killProgress is how far SIGKILL to many processes has come.
type killProgress struct {
	rounds    int
	idle      int               // of them in a row that killed nobody
	nextRound time.Time         // when the next one is due
	refused   map[identity]bool // told once
	killed    map[identity]bool // each counts once
}

// markKilled notes that a process got SIGKILL.
func (k *killProgress) markKilled(p procfs.Stat) {
	if k.killed == nil {
		k.killed = map[identity]bool{}
	}
	k.killed[identityOf(p)] = true
}

// mergeKilled adds to a killing what was killed by runs.
func (k *killProgress) mergeKilled(runs map[ID]*childProcess) {
	k.killed = map[identity]bool{}
	for _, c := range runs {
		maps.Copy(k.killed, c.tree.killing.killed)
	}
}

// lastStep is the last step that a process was sent, with its group or by itself.
func (t *processTree) lastStep(a *adopted) int {
	return max(a.step, t.lastGroupStep(a.stat))
}

func (t *processTree) lastGroupStep(p procfs.Stat) int {
	step := t.sent[identityOf(p)]
	for _, s := range t.steps {
		if s.scope != lifecycle.ScopeProcess && p.PGrp == t.group && s.kernelTime.existed(p) {
			step = max(step, s.step)
		}
	}
	return step
}
