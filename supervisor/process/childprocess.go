package process

import (
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/mailbox"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/process/tracehelper"
	"tp0/supervisor/procfs"
)

// childProcess is one process of a child, from its fork until nothing is left of its process
// tree. The loop's thread owns it.
type childProcess struct {
	id        ID
	name      string
	pid       int // of the main process; valid until it is reaped
	scope     lifecycle.Scope
	traceFrom event.Proof // Exact: traced from its first instruction on
	sockets   []procfs.FD // inherited, of the listen blocks
	terminal  bool        // its process group is in the foreground of the supervisor's terminal

	phase  phase.Phase
	exited Exited // how the main process ended; the zero value before
	execution
	handling handling
	tree     treeState
	// successor is the pid that becomes the main process when the main process ends.
	successor   int
	stop        stop
	main        *observed // the main process; nil if it is not observed
	inspections int       // running
}

// isOver reports whether the loop waits for nothing of the process tree any more. With
// [Spec.LeaveDescendants] survivors can still be alive then.
func (c *childProcess) isOver() bool {
	return c.phase == phase.Over || c.phase == phase.Outlived && c.tree.survivorCount == 0
}

// pendingKill returns the SIGKILL among the pending signals. Without one it returns a SIGKILL
// that is not a step of the stop sequence.
func (c *childProcess) pendingKill() pendingSignal {
	last := pendingSignal{signal: unix.SIGKILL}
	for _, d := range c.stop.pending {
		if d.signal == unix.SIGKILL {
			last = d
		}
	}
	return last
}

// execution is the state of the barrier, and the result of the execve.
type execution struct {
	barrier   *spawn.Barrier // nil without one, or when the result is known
	afterExec []func()       // what to do after the execve
	failure   error          // why the command could not be executed
}

// handling is what the loop knows about the signal handlers of a program.
type handling struct {
	startedAt   time.Time     // the zero time stands for long ago
	limit       time.Duration // of the delay of the first signal; Spec.KillHold
	probed      bool          // MarkReady will be called
	ready       bool          // MarkReady was called
	idleSamples int           // consecutive samples in which all threads wait
}

// treeState is what the loop knows of the process tree of a child process. The processes are in
// trees.adopted and tracing.observations.
type treeState struct {
	mark          uint64 // 0 if none could be made
	group         int    // the process group of the main process at its start
	leave         bool   // survivors are not stopped, and nothing waits for them
	survivorCount int    // number of survivors
	steps         []sentStep
	sent          map[identity]int // the last step in a signal to the whole tree
	killing       killProgress
	sockets       treeSockets
	// nextContinue is the time of the next SIGCONT to survivors that job control stopped.
	nextContinue time.Time
}

func newTreeState(mark uint64, leave bool) treeState {
	return treeState{mark: mark, leave: leave, sent: map[identity]int{}}
}

// sentStep is a step of the stop sequence that was sent to a child process.
type sentStep struct {
	pendingSignal
	scope lifecycle.Scope
	kernelTime
}

// A child process ends with its process tree. When a main process ends, the kernel makes the
// supervisor the parent of its children, and later of the children of each descendant that
// ends. The adopted processes that belong to the child process are its survivors. They get the
// current step of the stop sequence. The child process is over when the last survivor is
// reaped.
//
// The kernel does not announce an adoption. But a process is adopted before its parent can be
// reaped (exit_notify in kernel/exit.c), so a listing after each round of reaping misses none.
// The kernel gives orphans to the main thread of the supervisor (find_new_reaper), and the loop
// forks on another thread. So the children of the main thread are the adopted processes.
//
// adopted is a process that became a child of the supervisor because its parent ended.
type adopted struct {
	stat  procfs.Stat   // as it was at the first listing
	owner *childProcess // nil if it is unknown or over
	step  int           // the last step sent to it as a survivor; 0 before the first
	// stopped says that job control stopped it before it was traced.
	stopped bool
}

// stop is the stop of a child process. In the zero value the stop has not started.
type stop struct {
	requestedAt   time.Time   // time of the request for the first step
	requestedTick uint64      // the same in ticks since boot
	proof         event.Proof // that is asked for

	delivery    phase.Delivery
	pending     []pendingSignal // empty unless the state of delivery says otherwise
	scanSkipped string          // why the signals did not wait for the fd scan

	firstSentAt    time.Time     // time of the first step
	delayedKillDue time.Time     // time of delayedKill; the zero time without one
	delayedKill    pendingSignal // a SIGKILL that was requested too soon after the first step

	continuation continuation
	killed       bool // the main process was sent SIGKILL
	processes    int  // descendants at the start of the stop
	forked       int  // descendants forked since then
}

// started reports whether the stop has started.
func (s *stop) started() bool { return !s.requestedAt.IsZero() }

// signalled records that a step of the stop sequence was sent.
func (s *stop) signalled() {
	if s.continuation == notSignalled {
		s.continuation = continueIfStopped
	}
}

// continuation says whether the main process gets SIGCONT. A process that job control stopped
// cannot handle a signal, so it would be killed at the timeout. systemd sends SIGCONT as well,
// see systemd.kill(5). The main process gets it once: a second stop by job control is intended.
type continuation uint8

const (
	notSignalled      continuation = iota // the main process may stay stopped
	continueIfStopped                     // it got a step of its stop sequence
	continued                             // it got SIGCONT
)

// pendingSignal is a signal that is to be sent to a child process.
type pendingSignal struct {
	signal unix.Signal
	step   int // of the stop sequence; 0 if it is not a step
}

// observed is a process that the loop traces or samples: a main process, a descendant or an
// orphan. Its state machine has its state and the data of that state. The loop's thread owns
// it.
type observed struct {
	owner        *childProcess // nil if it is unknown
	pid          int
	parentPid    int
	comm         string // its name at the last scan
	firstSeen    time.Time
	forkedInStop bool          // it was forked after the start of the stop
	threads      int           // number of threads at the first scan
	cpuAtStop    time.Duration // CPU time that it had used at the start of its stop

	machine proof.Machine
	tracees
	evidence     proof.Evidence
	threadsAtEnd int              // number of threads at its exit stop; 0 without one
	status       *unix.WaitStatus // of the thread that exited last
	pendingScans
	traceSet traceSet     // of its process tree, for a main process
	sockets  *treeSockets // of its process tree
	counted  bool
}

// pendingScans are the fd scans of a process that are running.
type pendingScans struct {
	running        int           // number of all scans
	firstScans     int           // number of scans that tell what it opened or inherited
	firstScanLimit *scanLimit    // of the scan before the signal
	exitScanLimit  *scanLimit    // of the scan in the exit stop
	signalDelay    time.Duration // longest wait of the signal for the first scan
	afterScan      func()        // called after the scan, or at afterScanDue
	afterScanDue   time.Time
}

// isMain reports whether the process is the main process of a child process.
func (o *observed) isMain() bool { return o.owner != nil && o.owner.pid == o.pid }

// inState reports whether the process is in a state.
func (o *observed) inState(s proof.State) bool { return o.machine.State == s }

// hasEnded reports whether the end of the process was seen.
func (o *observed) hasEnded() bool {
	return o.inState(proof.Ended) || o.inState(proof.Judged) || o.inState(proof.Reported)
}

// tracees are the threads of a process that the loop traces.
type tracees struct {
	helper  *traceHelper // that traces them; nil if the loop's thread does
	traced  []int
	primary int   // the thread in its exit stop; 0 without one
	exiting []int // released in their exit stop: they use no descriptors any more
}

// exitScan is the result of one fd scan in an exit stop.
type exitScan struct {
	proof.Siblings
	final    bool // the last scan, whatever its result
	fds      []procfs.FD
	sockets  map[int]proof.Socket // see sharedSockets
	comm     string
	runtime  fdledger.Runtime
	children []int
	err      error
}

// stopCause is what an event is about: the thread that stopped and the signal that it is to
// get, or the result of a scan.
type stopCause struct {
	tid  int
	sig  unix.Signal
	scan *exitScan
}

// traceSet counts the traced processes of a process tree, without the main process, and has the
// pids of those that are not traced because there are too many.
type traceSet struct {
	traced   int
	untraced map[int]bool // by pid
}

// addUntraced records processes that are not traced.
func (x *traceSet) addUntraced(pids ...int) {
	if x.untraced == nil && len(pids) > 0 {
		x.untraced = map[int]bool{}
	}
	for _, pid := range pids {
		x.untraced[pid] = true
	}
}

// killProgress is how far the SIGKILL to a set of processes has come.
type killProgress struct {
	rounds    int
	idle      int               // consecutive rounds that killed no process
	nextRound time.Time         // time of the next round
	refused   map[identity]bool // their refusal is reported once
	killed    map[identity]bool // each is reported once
}

// markKilled records that a process got SIGKILL.
func (k *killProgress) markKilled(p procfs.Stat) {
	if k.killed == nil {
		k.killed = map[identity]bool{}
	}
	k.killed[identityOf(p)] = true
}

// mergeKilled takes over what was killed for the given child processes.
func (k *killProgress) mergeKilled(children map[ID]*childProcess) {
	k.killed = map[identity]bool{}
	for _, c := range children {
		maps.Copy(k.killed, c.tree.killing.killed)
	}
}

// lastStep returns the last step that an adopted process got, with its group or alone.
func (t *treeState) lastStep(a *adopted) int {
	return max(a.step, t.lastGroupStep(a.stat))
}

// lastGroupStep returns the last step that a process got with its process group, or in a signal
// to the whole process tree.
func (t *treeState) lastGroupStep(p procfs.Stat) int {
	step := t.sent[identityOf(p)]
	for _, s := range t.steps {
		if s.scope != lifecycle.ScopeProcess && p.PGrp == t.group && s.kernelTime.existed(p) {
			step = max(step, s.step)
		}
	}
	return step
}

// helperIDs are the ids of the processes that a trace helper traces.
type helperIDs struct{ uid, gid uint32 }

// traceHelper is a trace helper. The loop's thread owns it, except for commands and closed.
type traceHelper struct {
	ids      helperIDs
	pid      int  // 0 before the fork
	started  bool // it has answered
	over     bool // it ended, or was given up
	commands *mailbox.Queue[tracehelper.Command]
	closed   chan struct{} // closed when it is over
	seizing  map[int]*observed
	pings    []helperPing // that are not answered, the oldest first
	lastPing uint64
	// idleSince is when it had nothing to do for the first time.
	idleSince time.Time
}

// helperPing is a question whose answer says that all commands before it are done.
type helperPing struct {
	number uint64
	due    time.Time
	then   func() // called after the answer, or when the helper is over; may be nil
}

// reasonEnded is the reason of a process that ended before it was scanned or traced.
const reasonEnded = "it had ended already"
