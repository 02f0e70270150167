package process

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/mailbox"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/sigchld"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// Options are what a loop needs from its caller.
type Options struct {
	FDs fdledger.Registrar
	// Deliver is called by any goroutine, but by one at a time and in order. It must not block or
	// call the loop, and owns the facts from then on.
	Deliver func([]Fact)
	// NamesOrphans reports whether the names of the orphans that end now are needed. Any goroutine
	// calls it. The read of a name takes longer than the reap. nil means that they are needed.
	NamesOrphans func() bool
	// Inherit lets children inherit the descriptors beyond the standard streams that the
	// supervisor was started with.
	Inherit bool
	// ParentDeath is the signal that the kernel sends to the supervisor when its parent,
	// the process with the pid Parent, dies. 0 disables it.
	Parent      int
	ParentDeath unix.Signal
}

// Loop is the process loop. Every goroutine may call the exported methods. The parts below
// belong to the goroutine that holds turn unless their comment says otherwise. The methods that use
// a part are in the file of their concern.
type Loop struct {
	opt      Options
	tid      int // of the loop's thread
	handover *spawn.Handover
	// turn is held by the goroutine that uses the state of the loop: the loop itself, except while
	// it waits for work. Another goroutine may only try to get it; see turn.go.
	turn    sync.Mutex
	sigchld *sigchld.Watch

	inbox
	ticks
	outbox
	registry
	stops
	probes
	scans
	tracing
	trees   trees
	cleanup *orphanCleanup // nil: not started, or done
}

// inbox is what wakes the loop. Every goroutine may use it, except for moreStatuses.
type inbox struct {
	commands     *mailbox.Queue[func()]
	statuses     chan struct{} // there may be statuses for the loop
	quit         chan struct{} // closed by Close
	moreStatuses bool          // the last round of reaping may have left some
}

func newInbox() inbox {
	return inbox{
		commands: mailbox.New[func()](),
		statuses: make(chan struct{}, 1),
		quit:     make(chan struct{}),
	}
}

// ticks is the timer of the loop.
type ticks struct {
	nextTick time.Time // of the next tick; the zero time disables it
	timer    *time.Timer
}

func newTicks() ticks {
	t := ticks{timer: time.NewTimer(time.Hour)}
	t.timer.Stop()
	return t
}

// outbox has the facts that are not delivered yet.
type outbox struct {
	facts       []Fact
	factsAt     time.Time   // the time of the first of them
	orphansDue  time.Time   // when the next orphans may be delivered; see deliverOrphans
	orphanTimer *time.Timer // delivers them then
	timerIsSet  bool
}

// registry has the child processes that are not over.
type registry struct {
	processes map[ID]*childProcess
	byPid     map[int]*childProcess // by the pid of a main process that is not reaped
	terminal  bool                  // a child process has, or had, the supervisor's terminal
}

func newRegistry() registry {
	return registry{processes: map[ID]*childProcess{}, byPid: map[int]*childProcess{}}
}

// add adds a child process that was forked.
func (g *registry) add(c *childProcess) {
	g.processes[c.id], g.byPid[c.pid] = c, c
	g.terminal = g.terminal || c.terminal
}

// stops is what the loop keeps for the stops in progress.
type stops struct {
	scanQueue      []*childProcess  // those that wait for the fd scan before their stop
	groupSignalled map[int]uint64   // when each group got its first step, in ticks since boot
	sentSteps      map[identity]int // to single processes, of child processes that are over
}

func newStops() stops {
	return stops{groupSignalled: map[int]uint64{}, sentSteps: map[identity]int{}}
}

// probe is a probe command that is running. The totals count it neither as spawned nor as
// reaped, and its descriptors are not scanned. The loop's thread owns it.
type probe struct {
	pid       int         // 0 before the spawn
	started   atomic.Bool // every goroutine may read it
	cancelled bool        // the caller does not wait for it
	ended     chan error  // takes one error
	prepared  *spawn.Prepared
	failure   chan error // takes the error of the start verb; nil without one
}

const (
	maxQueuedProbes = 16                     // handed over to the loop and not yet forked
	maxProbeOutput  = 200                    // bytes of output that are kept
	killWait        = 100 * time.Millisecond // for the end of a killed command
)

// probes has the probe commands that are running.
type probes struct {
	slots   chan struct{}  // limits the queued probes; for every goroutine
	running map[int]*probe // by pid
}

func newProbes() probes {
	return probes{slots: make(chan struct{}, maxQueuedProbes), running: map[int]*probe{}}
}

// scans is what the fd scans need: the workers that read /proc on other threads, and the
// caches.
type scans struct {
	// The first five have locks of their own.
	workers  *workerPool
	sockets  socketCache
	runtimes fdledger.Runtimes
	large    largeScans
	inExecve sync.Map // pids with an execve that does not end; see awaitExecve

	scannedPrograms map[string]bool // see scanNewProgram
	inherited       []procfs.FD     // see inheritedFDs
}

func newScans() scans { return scans{workers: newWorkerPool(), scannedPrograms: map[string]bool{}} }

// tracing has the observed processes: those that the loop traces or samples.
type tracing struct {
	observations map[int]*observed // by pid
	tids         map[int]*observed // by traced thread
	// forkParents has the parent of each forked process that has not stopped for the
	// first time, by the pid of the forked process.
	forkParents map[int]*observed
	holders     holders
	budget      proof.Budget
	orphanSet   traceSet // of the orphans without a known process tree
	// orphanSockets are the sockets of these orphans.
	orphanSockets treeSockets
	privileged    bool // the supervisor has CAP_SYS_PTRACE
	proofAsked    bool // a stop with an exact proof has started at some time
	helpers       helpers
	// perform is performAction, and tryReportExit is reportExit. They are fields because both
	// functions call handleEvent, and the files of the package form no cycle.
	//
	// perform carries out an action of the state machine of an observed process.
	perform func(*observed, proof.Action, stopCause)
	// tryReportExit reports the end of a main process, unless an fd scan of it is running.
	tryReportExit func(*childProcess)
}

func newTracing() tracing {
	return tracing{
		observations: map[int]*observed{},
		tids:         map[int]*observed{},
		forkParents:  map[int]*observed{},
		helpers:      newHelpers(),
	}
}

// holders is the search for other processes that have a leaked descriptor open. In such a
// process the socket still listens and the lock is still held. A search scans the descriptors
// of all processes. It starts when a process with a leak has ended, or is in its exit stop. One
// search serves all processes that were in the queue when it started.
type holders struct {
	queue    []*observed
	scanning bool
}

// trees knows the process tree of each adopted process. The loop's thread owns it.
type trees struct {
	marks    marks
	lastMark uint64 // the number given last
	byMark   map[uint64]*childProcess
	byLeader map[int]*childProcess // by the process group, which is its session too
	adopted  map[int]*adopted
	// unmarkedMembers are descendants without a mark that were found while their main
	// process was alive; see [Loop.inspect].
	unmarkedMembers map[identity]*childProcess
	// zombies are dead processes that are not reaped yet. With hundreds of them, reading
	// each again after each round of reaping takes longer than the reaping.
	zombies             map[int]bool
	scanDue             bool            // a process died since the last listing
	endedSinceListing   []*childProcess // their main process ended since the last listing
	changedSinceListing []*childProcess // an adopted process of theirs was reaped since then
}

func newTrees() trees {
	t := trees{
		byMark: map[uint64]*childProcess{}, byLeader: map[int]*childProcess{},
		adopted:         map[int]*adopted{},
		unmarkedMembers: map[identity]*childProcess{}, zombies: map[int]bool{},
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_LOCKS, &limit) == nil {
		t.marks = newMarks(limit.Cur, limit.Max)
	}
	return t
}

// newMark returns the number of the mark for the next child process; 0 if no mark can be made.
func (t *trees) newMark() uint64 {
	if !t.marks.usable || len(t.byMark) >= maxMark {
		return 0
	}
	for {
		t.lastMark = t.lastMark%maxMark + 1
		if t.byMark[t.lastMark] == nil {
			return t.lastMark
		}
	}
}

// orphanCleanup ends all processes below the supervisor, once no child process can be stopped
// any more.
type orphanCleanup struct {
	killAt, giveUp time.Time
	proof          event.Proof      // that is asked for
	sentSteps      map[identity]int // the last step that each process got
	progress       killProgress
	nextListing    time.Time // no process is listed for SIGTERM before
	killStarted    bool
	nextKill       time.Time     // time of the next round of SIGKILL
	nextTick       time.Time     // time of the next tick; zero before the first SIGKILL
	extensions     int           // how often a tick was so late that the supervisor was stopped
	reapTime       time.Duration // time to reap killed processes, minReapTime at least
	scansGivenUp   bool          // giveUp has passed: the loop waits for no fd scan

	unlistedSteps map[int]int // the last step by pid, see tickUnlisted
}

// scansGivenUp reports whether the loop no longer waits for fd scans.
func (l *Loop) scansGivenUp() bool { return l.cleanup != nil && l.cleanup.scansGivenUp }

// Close ends the loop. Processes that are still running are not signalled.
func (l *Loop) Close() { close(l.quit) }

func (l *Loop) closed() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}
