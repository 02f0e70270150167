// Package orchestrator runs all children together: the order of their start and their
// stop, reloads, and the budget of a stop. One goroutine owns every instance's
// state; facts, timers and requests reach it as messages, so nothing here needs
// a lock and nothing is decided twice.
package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/control"
	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/mailbox"
	"tp0/supervisor/notify"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// Processes is the process loop. None of its methods waits.
type Processes interface {
	Spawn(process.ID, process.Spec)
	Signal(id process.ID, sig unix.Signal, rung int, proof event.Proof)
	MarkReady(process.ID)
	SetScope(id process.ID, scope lifecycle.Scope, leave bool)
	SetMainProcess(id process.ID, pid int)
	Inspect(process.ID, unix.Signal)
	Diagnose(process.ID, unix.Signal)
	Forward(id process.ID, came, sig unix.Signal)
	RunProbe(context.Context, spawn.Spec) error // waits
	SetDeadline(time.Time)
	CleanUpOrphans(killAt, giveUp time.Time, proof event.Proof)
}

// OutputRelay prepares the output of a run.
type OutputRelay interface {
	Prepare(output.Spec) (*output.ChildOutput, error)
}

// Options are what a fleet is made of.
type Options struct {
	Config           *config.Config
	Load             func() (*config.Config, error) // for a reload; called by a goroutine of the fleet
	Configure        func(*config.Config)           // a reload changed what is not the children's
	Processes        Processes
	Relays           OutputRelay
	Sockets          Sockets // nil: no child has any
	Sink             event.Sink
	ListenNotify     func(take func(pids []int, m notify.Message)) (Notifier, error) // see notify.Listen
	ProcessDefaults  process.Spec                                                    // what all runs have in common: standard input, scope, …
	Terminal         bool                                                            // somebody may be watching, who can press Ctrl-C again
	KeepQueuedSpawns bool                                                            // a stop does not take back a spawn that waits for its turn
	ShortageTimeout  time.Duration                                                   // how long a spawn that lacks something is tried again; 0: as long as it takes
	LeaveOrphans     bool                                                            // what is below us when no child runs any more is left alone
}

// Orchestrator is all children. Its methods may be called by any goroutine, and none
// of them waits unless it says so.
type Orchestrator struct {
	opt  Options
	mail *mailbox.Queue[any]
	wg   sync.WaitGroup // probes, last words: each is bounded; a load is not, and nobody waits for it
	ctx  context.Context
	end  context.CancelFunc
	late atomic.Bool // a stop began: spawns on their way are not wanted any more

	// Everything below belongs to the goroutine of Run.
	cfg       *config.Config
	units     []*unit // in the order of the file; those that are on their way out last
	groups    map[string]group
	edition   int               // of the configuration, counted from 0
	needed    needed            // see findNeeded
	lost      map[string]string // see findLost
	down      map[string]bool   // see findDown
	runs      map[process.ID]*unit
	lastRun   process.ID
	pending   int                   // runs that are being spawned
	relays    []*output.ChildOutput // those that may still have output
	pruneAt   int                   // how many of them make a look for those that have none worth while
	loading   bool
	again     bool // a further reload was asked for meanwhile
	reload    *reload
	stop      stop
	notifier  Notifier  // nil: no child notifies yet
	unclaimed *notified // whose run may not be known yet
	stranger  time.Time // when we told of one last
	up        bool      // we said that all are ready
	books     books
}

// tally counts what a verdict is made of.
type tally struct {
	killed       int
	forced       int // runs that a later signal than the first had to end
	left, proven int // descriptors that children left; those of them with an exact proof
}

// stop returns what was counted in the stop: the verdict judges that alone.
func (b *books) stop() tally {
	return tally{
		b.killed - b.before.killed, b.forced - b.before.forced,
		b.left - b.before.left, b.proven - b.before.proven,
	}
}

// begin notes that the stop begins: now, or with the end that is being judged.
func (b *books) begin() {
	b.before = b.tally
	if b.since != nil {
		b.before = *b.since
	}
}

// judging does something about an end, and all that was counted since before it is
// counted in the stop if it begins one.
func (b *books) judging(before tally, do func()) {
	b.since, b.lastEnd = &before, before
	do()
	b.since = nil
}

// books count what the end is judged by.
type books struct {
	spawned, reaped, orphans int
	tally
	before    tally  // that of all before the stop
	since     *tally // that of all before the end which is being judged; nil: none is
	lastEnd   tally  // that of all before the end which was judged last
	survived  int
	critical  int // the exit code of a critical child that ended all
	fault     bool
	status    unix.WaitStatus // of the last run
	unspawned error           // why there was none
}

// Messages to the goroutine of Run, beside the facts of the process loop.
type (
	timerFired struct {
		u    *unit
		gen  uint64
		what timer
	}
	probed struct {
		u   *unit
		run process.ID
		err error
	}
	watchdogOver struct {
		u   *unit
		run process.ID
	}
	asked struct {
		sig unix.Signal
		at  time.Time // it arrived
	}
	reloadNow struct{}
	loaded    struct {
		cfg *config.Config
		err error
	}
	stopTimer struct{ what stopEvent }
	drained   struct{}
	healthOf  struct{ answer chan<- control.Health }
)

// New makes a fleet; [Fleet.Run] starts it.
func New(opt Options) *Orchestrator {
	f := &Orchestrator{opt: opt, mail: mailbox.New[any](), cfg: opt.Config, runs: map[process.ID]*unit{}, down: map[string]bool{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	after := f.cfg.StoppedAfter()
	for _, c := range f.cfg.Children {
		for _, i := range c.Instances {
			f.units = append(f.units, &unit{spec: i, dependsOn: c.DependsOn, outlivedBy: after[c.Name]})
		}
	}
	f.regroup()
	return f
}

// Deliver takes facts of the process loop.
func (f *Orchestrator) Deliver(facts ...process.Fact) {
	all := make([]any, len(facts))
	for i, fact := range facts {
		all[i] = fact
	}
	f.mail.Put(all...)
}

// Signal asks for the end: the first time for a stop, the second time for its
// next rung, then for its last.
func (f *Orchestrator) Signal(sig unix.Signal) { f.mail.Put(asked{sig, time.Now()}) }

// Stop asks for the end because something of ours broke.
func (f *Orchestrator) Stop() { f.mail.Put(asked{}) }

// Reload asks for the configuration to be read and applied.
func (f *Orchestrator) Reload() { f.mail.Put(reloadNow{}) }

// Health says what is not as it should be. It waits until the fleet has a
// moment, or ctx ends.
func (f *Orchestrator) Health(ctx context.Context) control.Health {
	answer := make(chan control.Health, 1)
	f.mail.Put(healthOf{answer})
	select {
	case h := <-answer:
		return h
	case <-f.ctx.Done():
		return control.Health{Dead: "the supervisor has ended"}
	case <-ctx.Done():
		return control.Health{Dead: "the supervisor is busy"}
	}
}

// Supervise starts the children and returns when nothing runs and nothing is due, or
// when a stop is over. It must be called once.
func (f *Orchestrator) Supervise() error {
	defer f.wg.Wait()
	defer f.deafen()
	defer f.end()
	f.advance()
	for f.stop.phase != over {
		<-f.mail.Wake()
		for _, m := range f.mail.Take() {
			f.handle(m)
		}
		f.advance()
	}
	f.dropSockets()
	return nil
}

func (f *Orchestrator) handle(m any) {
	switch m := m.(type) {
	case process.Fact:
		f.learn(m)
	case timerFired:
		f.timerFired(m)
	case notified:
		f.notified(m)
	case watchdogOver:
		f.watchdogOver(m)
	case probed:
		f.probed(m)
	case checked:
		f.checked(m)
	case lookNow:
		f.lookNow(m)
	case asked:
		f.asked(m)
	case heldOver:
		f.heldOver(m)
	case forwarded:
		f.forward(m)
	case reloadNow:
		f.startReload()
	case loaded:
		f.loaded(m)
	case stopTimer:
		f.stopEvent(m.what)
	case drained:
		f.stop.phase = over
	case healthOf:
		m.answer <- f.health()
	default:
		f.opt.Sink.Emit(event.Fault{What: "fleet", Reason: fmt.Sprintf("unknown message %T", m)})
		f.books.fault = true
	}
}

// advance does what the last messages made possible. It looks at every
// instance: simple, and cheap beside the fork that each start costs. What one
// does can make room for another, so it looks again until nothing moves.
func (f *Orchestrator) advance() {
	for moved := true; moved; {
		if f.stop.phase > stopping {
			return
		}
		f.dropEnded()
		f.findDown()
		f.findLost()
		f.giveTurns()
		f.findNeeded()
		moved = false
		for _, u := range f.units {
			moved = f.nudge(u) || moved
		}
	}
	f.finishReload()
	f.dropSockets()
	f.tellUp()
	switch {
	case f.busy():
	case slices.ContainsFunc(f.units, (*unit).active):
		f.books.judging(f.books.lastEnd, func() { f.begin("only sidecars run and nothing else is due") })
		f.advance()
	default:
		f.startSweep()
	}
}

// nudge moves one instance on if it may, and reports whether it did.
func (f *Orchestrator) nudge(u *unit) bool {
	before := u.state
	switch u.goal {
	case toRun:
		if u.state != lifecycle.Waiting {
			u.vain = ""
			break
		}
		if f.stop.phase == running && f.pending < config.MaxStarting && f.mayStart(u) {
			f.feed(u, lifecycle.Start)
		}
		f.tellVain(u)
	case toEnd:
		if u.state != lifecycle.Stopping && !u.state.Final() && f.mayStop(u) {
			f.feed(u, lifecycle.Stop)
		}
	case toRenew:
		switch {
		case f.stop.phase != running || !u.turn:
		case f.overlaps(u):
			return f.overlap(u)
		case f.mayStop(u) && (f.hasCompleted(u) || f.dependsOnDown(u) || !u.state.HasProcess()):
			u.goal = toRun
			f.feed(u, lifecycle.Replace)
			return true
		}
	}
	return u.state != before
}

// health says what is not as it should be. What is being mended is not ready; what
// nobody mends is dead, unless all is about to end. A reload that does not go on
// leaves those that serve as they are: it is only noted, or a bad edit would take
// every replica of a service out of it.
func (f *Orchestrator) health() (h control.Health) {
	h.Note = f.isHalted()
	if f.stop.phase != running {
		h.Unready = "stopping"
		return h
	}
	f.findLost()
	for _, u := range f.units {
		if h.Note != "" && !u.stands() {
			continue // a new version that failed, beside the old one
		}
		text, dead := f.unwell(u)
		if text != "" && h.Unready == "" {
			h.Unready = text
		}
		if dead && h.Dead == "" && h.Note == "" { // a new start would begin with the bad edit
			h.Dead = text
		}
	}
	return h
}

// unwell says why an instance does not serve; empty: it does, or need not. dead:
// nothing mends that.
func (f *Orchestrator) unwell(u *unit) (text string, dead bool) {
	switch vain := f.inVain(u); {
	case !u.stands() && u.state != lifecycle.Failed:
	case vain != "":
		return fmt.Sprintf("%s waits for %s, which has failed", u.spec.Name, vain), true
	case !u.state.Satisfied():
		if u.status != "" {
			return fmt.Sprintf("%s is %s: %s", u.spec.Name, u.state, u.status), u.state == lifecycle.Failed
		}
		return fmt.Sprintf("%s is %s", u.spec.Name, u.state), u.state == lifecycle.Failed
	case u.spec.Policy.Oneshot && u.state != lifecycle.Succeeded:
		return fmt.Sprintf("%s has not completed", u.spec.Name), false
	}
	return "", false
}

// tellUp says when all are ready, for the first time and again.
func (f *Orchestrator) tellUp() {
	well := f.stop.phase == running && !slices.ContainsFunc(f.units, func(u *unit) bool {
		text, _ := f.unwell(u)
		return text != ""
	})
	if well && !f.up {
		f.opt.Sink.Emit(event.AllReady{Children: len(f.units)})
	}
	f.up = well
}

// Result is what the end is judged by. Call it after Run.
func (f *Orchestrator) Result() fdledger.Result {
	t := f.books.stop()
	o := fdledger.Result{
		Killed: t.killed + t.forced, FDsLeft: t.left, LeftProven: t.proven, Survived: f.books.survived,
		Critical: f.books.critical,
		Fault:    f.books.fault || f.books.spawned != f.books.reaped, Strict: f.cfg.Shutdown.Strict,
	}
	for _, u := range f.units {
		o.Failed = o.Failed || u.failed
	}
	return o
}

// Summary is the last event, but for the supervisor's own descriptors and the
// verdict. Call it after Run.
func (f *Orchestrator) Summary() event.ShutdownComplete {
	return event.ShutdownComplete{
		Spawned: f.books.spawned, Reaped: f.books.reaped, Orphans: f.books.orphans, Killed: f.books.stop().killed, Left: f.books.stop().left,
		KilledBefore: f.books.before.killed, LeftBefore: f.books.before.left,
		Elapsed: time.Since(f.stop.began), Deadline: f.cfg.Shutdown.Deadline,
	}
}

// Config is the configuration in force. Call it after Run.
func (f *Orchestrator) Config() *config.Config { return f.cfg }

// Deadline is the absolute end of the stop. Call it after Run.
func (f *Orchestrator) Deadline() time.Time { return f.stop.deadline }

func random() float64 { return rand.Float64() }
