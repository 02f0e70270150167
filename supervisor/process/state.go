package process

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/mailbox"
	"tp0/supervisor/process/proof"
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
	cleanup  *orphanCleanup // nil: it has not begun, or is over
}

// inbox is what wakes the loop. All but more may be used by any goroutine.
type inbox struct {
	commands     *mailbox.Queue[func()]
	sigchld      chan os.Signal // SIGCHLD
	quit         chan struct{}  // closed by Close
	moreStatuses bool           // the last round of reaping may have left statuses
}

func newInbox() inbox {
	return inbox{
		commands: mailbox.New[func()](),
		sigchld:  make(chan os.Signal, 1),
		quit:     make(chan struct{}),
	}
}

// ticks are what the loop does by the time alone.
type ticks struct {
	nextTick time.Time // when the next tick is due; zero: never
	timer    *time.Timer
}

func newTicks() ticks {
	t := ticks{timer: time.NewTimer(time.Hour)}
	t.timer.Stop()
	return t
}

// outbox has the facts that are not delivered yet.
type outbox struct {
	facts   []Fact
	factsAt time.Time // when the first of them came
}

// registry has the runs that are not over.
type registry struct {
	processes map[ID]*childProcess
	byPid     map[int]*childProcess // by the pid of a main process that is not reaped
	terminal  bool                  // a run has, or had, our terminal
}

func newRegistry() registry {
	return registry{processes: map[ID]*childProcess{}, byPid: map[int]*childProcess{}}
}

// add adds a run that was forked.
func (g *registry) add(c *childProcess) {
	g.processes[c.id], g.byPid[c.pid] = c, c
	g.terminal = g.terminal || c.terminal
}

// stops is what the loop keeps for the stops that are under way.
type stops struct {
	scanQueue      []*childProcess // whose fd scan before the stop waits
	busyPoll       busyPoll
	groupSignalled map[int]uint64   // when each process group was sent its first step, as procfs.Stat.Start
	sentSteps      map[identity]int // steps that were sent to processes one by one, of runs that are over
}

func newStops() stops {
	return stops{groupSignalled: map[int]uint64{}, sentSteps: map[identity]int{}}
}

// probe is a command that is run to see how it ends. It is no run: the books
// count it neither as spawned nor as reaped, and nobody looks at what it has
// open. The loop's thread owns it.
type probe struct {
	pid       int         // 0: not spawned
	started   atomic.Bool // it was spawned; for others than the loop
	cancelled bool        // nobody wants it any more
	ended     chan error  // takes one
}

const (
	maxQueuedProbes = 16                     // that were handed over and not taken yet
	maxProbeOutput  = 200                    // bytes of its output that are kept
	killWait        = 100 * time.Millisecond // for the kernel to end what was killed; what it cannot end is let be
)

// probes are the trials that are under way.
type probes struct {
	slots   chan struct{}  // full: the loop is to take some first; for any goroutine
	running map[int]*probe // by pid
}

func newProbes() probes {
	return probes{slots: make(chan struct{}, maxQueuedProbes), running: map[int]*probe{}}
}

// scans is what is needed to read /proc beside the loop, and what is remembered of it.
type scans struct {
	// These have locks of their own.
	workers  *workerPool
	sockets  socketCache
	runtimes fdledger.Runtimes
	inExecve sync.Map // pids that a scan saw in an execve without end, see execve.go

	scannedPrograms map[string]bool // programs that were scanned once, see meet
	inherited       []procfs.FD     // see handedOn
}

func newScans() scans { return scans{workers: newWorkerPool(), scannedPrograms: map[string]bool{}} }

// tracing is what the loop knows of the processes that are watched.
type tracing struct {
	observed map[int]*observed // by pid
	tids     map[int]*observed // by traced thread
	// forkParents has the parents of what was forked and has not stopped for the first
	// time yet, by its pid.
	forkParents map[int]*observed
	holders     holders
	budget      proof.Budget
	orphanSet   traceSet // of the orphans that are in no tree
	privileged  bool     // we have CAP_SYS_PTRACE
	// perform carries out an action of the state machine of an observed process.
	perform func(*observed, proof.Action, stopCause)
	// mainEnded continues with a child process whose main process has ended, once no fd
	// scan of it is running.
	mainEnded func(*childProcess)
}

func newTracing() tracing {
	return tracing{observed: map[int]*observed{}, tids: map[int]*observed{}, forkParents: map[int]*observed{}}
}

// A descriptor that a process leaked may be open in another one: then the socket
// still listens, the lock is still held. Who that is takes a scan of the tables
// of all processes. It is asked once the process is gone, or about to be, and
// only for what counts; and one scan serves all who asked before it began.
type holders struct {
	queue    []*observed
	scanning bool
}

// trees knows which process tree each adopted process is in. The loop's thread
// owns it.
type trees struct {
	marks    marks
	lastMark uint64 // the number of the mark that was given last
	byMark   map[uint64]*childProcess
	byGroup  map[int]*childProcess // by the pid of the first main process, which is its group and session
	adopted  map[int]*adopted
	// unmarkedMembers are descendants without a mark that were seen while their main process
	// ran; see [Loop.inspect].
	unmarkedMembers map[identity]*childProcess
	// zombies are those that were found dead, until they are reaped: with hundreds of them, to read
	// each again after each round of reaping would take longer than the reaping.
	zombies map[int]bool
	scanDue bool            // something died since the last scan
	ended   []*childProcess // whose main process ended since the last scan
	changed []*childProcess // of which an adopted process was reaped since the last scan
}

func newTrees() trees {
	t := trees{
		byMark: map[uint64]*childProcess{}, byGroup: map[int]*childProcess{}, adopted: map[int]*adopted{},
		unmarkedMembers: map[identity]*childProcess{}, zombies: map[int]bool{},
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_LOCKS, &limit) == nil {
		t.marks = newMarks(limit.Cur, limit.Max)
	}
	return t
}

// newMark returns the number for the next run.
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

// orphanCleanup is the end of everything below us that is no run of ours.
type orphanCleanup struct {
	killAt, giveUp time.Time
	proof          event.Proof      // how closely it is looked at
	sentSteps      map[identity]int // the last step that each was sent
	progress       killProgress
	killBegun      bool
	nextKill       time.Time     // when it kills the next time
	nextTick       time.Time     // when it is due again; zero unless it kills
	extensions     int           // how often that came so late that we stood still
	reapTime       time.Duration // of what was killed; at least sweepLeast
	scansGivenUp   bool          // giveUp has passed: no fd scan is waited for any more
}

// scansGivenUp reports whether the time for fd scans is over.
func (l *Loop) scansGivenUp() bool { return l.cleanup != nil && l.cleanup.scansGivenUp }

// Close ends the loop. What is still running is left to itself.
func (l *Loop) Close() { close(l.quit) }

func (l *Loop) closed() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}
