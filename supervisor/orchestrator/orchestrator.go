// Package orchestrator runs all children together: the order of their start and stop, reloads, and
// the time budget of a stop. One goroutine owns the state of every instance. Facts, timers and
// requests reach that goroutine as messages, so the package needs no lock.
package orchestrator

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/mailbox"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/timeout"
)

// Orchestrator runs all children. Its methods may be called by any goroutine. None of them waits
// unless its comment says so.
type Orchestrator struct {
	opt       Options
	startedAt time.Time
	mail      *mailbox.Queue[any]
	wg        sync.WaitGroup // bounded work: probes, checks, last output; a load is not part of it
	ctx       context.Context
	cancel    context.CancelFunc
	clock     *timeout.Clock // of the timeouts of children
	stopBegan atomic.Bool    // revokes queued spawns

	// All fields below belong to the goroutine of Supervise.
	cfg       *config.Config
	revision  int         // of cfg, counted from 0
	instances []*instance // in the order of the file; those that are being removed last
	groups    map[string]group
	failed    map[string]string // by child: an instance that failed; see findFailed
	blockers  blockers
	processes processTable
	hooks     hooks
	outputs   outputs
	reloads   reloads
	shutdown  shutdown
	rejected  time.Time // the last report of a rejected notification
	allReady  allReady
	pauses    pauses
	totals    totals

	operations operations
}

// group is the current instances of one child.
type group []*instance

// satisfy reports whether all instances have reached a condition, and none is about to end.
func (g group) satisfy(until config.Until) bool {
	return !slices.ContainsFunc(g, func(inst *instance) bool { return !inst.satisfies(until) })
}

// allSucceeded reports whether all instances have succeeded.
func (g group) allSucceeded() bool {
	failed := func(inst *instance) bool { return inst.state != lifecycle.Succeeded }
	return !slices.ContainsFunc(g, failed)
}

// processTable finds the instance of a process.
type processTable struct {
	byID    map[process.ID]*instance
	last    process.ID
	pending int // spawns that are not reported yet
}

// hooks are the hooks of all instances.
type hooks struct {
	byID   map[process.ID]*hook
	queued []*hook // they wait for their spawn: only a few processes are spawned at a time
}

// outputs are the outputs of processes, until they are read to their end.
type outputs struct {
	open    []*output.ChildOutput
	pruneAt int // the length of open at which finished ones are removed
}

// reloads is the state of reloads.
type reloads struct {
	loading           bool            // a configuration is being read
	requested         bool            // another reload was requested meanwhile
	active            *reload         // nil: none is being applied
	loads             int             // the number of loads that were started
	last              api.Result      // of the reload that was fully applied last
	childrenGoingDown map[string]bool // see rollout.Down; nil: no reload is active
}

// reload is a configuration that is being applied.
type reload struct {
	lastApplied    *config.Config // the configuration that was fully applied last
	rollbackReason string         // why lastApplied is being restored; empty: it is not
	// held are the instances that a request stopped and that the reload removed, by name.
	held           map[string]*api.Requester
	halted         map[string]string // by child: why its update is halted
	cannotRollBack bool
	restartOnly    bool     // no configuration is applied: a request restarts instances
	restarts       []string // the instances that requests restart
}

// pauseOver says that the supervisor was paused: see package timeout.
type pauseOver struct{ length time.Duration }

// pauses are the pauses that are not reported yet.
type pauses struct {
	length   time.Duration
	reported time.Time // the last report
}

// phase is a phase of the shutdown of the supervisor.
type phase uint8

const (
	running        phase = iota
	stopping             // the children are stopped, in reverse order
	cleaningUp           // orphan cleanup
	drainingOutput       // the last output is read and written
	finished
)

// shutdown is the stop of everything.
type shutdown struct {
	phase    phase
	requests int         // signals that requested the stop
	signal   unix.Signal // the first of them
	signalAt time.Time   // its arrival
	forced   bool        // SIGKILL was sent to all processes: no hook starts any more
	beganAt  time.Time
	deadline time.Time
	length   time.Duration // from beganAt to deadline; 0: neither a stop nor a request set it
	reserve  time.Duration // see at
	timers   []*time.Timer
}

// at returns the deadline minus the reserve divided by divisor. The reserve is 5 % of the deadline,
// 500 ms at most: the time that is left if the stop sequences use all of theirs. A half of the
// reserve is for the end of killed processes, a quarter for the orphan cleanup, an eighth for the
// last output, and the rest for the last line.
func (s *shutdown) at(divisor time.Duration) time.Time {
	return s.deadline.Add(-s.reserve / divisor)
}

// allReady says whether all instances are ready or completed.
type allReady struct {
	now      bool // it was so, and was reported
	reported bool // it was reported once
}

// notification says that messages of a process wait in its notification socket.
type notification struct{ process process.ID }

// blockers are the instances that others have to wait for before they may be stopped.
type blockers struct {
	apps       bool // one of them is no sidecar
	byApps     dependents
	bySidecars dependents
}

// dependents maps a child to the oldest revision of the instances that depend on it.
type dependents map[string]int

// block reports whether d has a dependent that the instance waits for. An instance does not wait
// for a dependent of a newer revision: see mayStop.
func (d dependents) block(inst *instance) bool {
	oldest, found := d[inst.child()]
	return found && oldest <= inst.revision
}

// New returns an Orchestrator. [Orchestrator.Supervise] starts the children.
func New(opt Options) *Orchestrator {
	o := &Orchestrator{
		opt: opt, startedAt: time.Now(), mail: mailbox.New[any](), cfg: opt.Config,
		processes: processTable{byID: map[process.ID]*instance{}},
		hooks:     hooks{byID: map[process.ID]*hook{}},
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	o.clock = timeout.New(opt.Now, func(d time.Duration) { o.mail.Put(pauseOver{d}) })
	after := plan.StoppedAfter(o.cfg)
	for _, c := range o.cfg.Children {
		for _, spec := range c.Instances {
			inst := &instance{spec: spec}
			inst.dependsOn, inst.stoppedAfter = c.DependsOn, after[c.Name]
			o.instances = append(o.instances, inst)
		}
	}
	o.regroup()
	return o
}

// Config returns the configuration in force. Call it after Supervise.
func (o *Orchestrator) Config() *config.Config { return o.cfg }

// Deadline returns the deadline of the stop. Call it after Supervise.
func (o *Orchestrator) Deadline() time.Time { return o.shutdown.deadline }

// regroup sets groups by the present instances.
func (o *Orchestrator) regroup() {
	o.groups = map[string]group{}
	for _, inst := range o.instances {
		if inst.current() {
			o.groups[inst.child()] = append(o.groups[inst.child()], inst)
		}
	}
}

// removeEnded removes the instances that a reload ended.
func (o *Orchestrator) removeEnded() {
	if o.shutdown.phase != running {
		return
	}
	n := len(o.instances)
	o.instances = slices.DeleteFunc(o.instances, func(inst *instance) bool {
		return inst.goal == rollout.End && inst.state.Final()
	})
	if len(o.instances) != n {
		o.regroup()
	}
}
