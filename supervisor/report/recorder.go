package report

import (
	"strings"
	"sync"
	"time"

	"tp0/supervisor/event"
)

// Recorder is the sink that records a stop. Before the stop it keeps the latest process of each
// instance only, because a supervisor can run for months. During the stop it keeps every event, up
// to a limit.
type Recorder struct {
	now func() time.Time

	mu             sync.Mutex
	stopBegan      time.Time // zero: no stop has begun
	signal         string
	forwarding     bool // the latest signal was forwarded to the command of exec
	reason         string
	instances      map[string]*instance
	endedInstances int                   // number of instances that have no process
	running        map[int]*childProcess // processes that are not reaped yet, by pid
	processes      []*childProcess       // those of the stop
	latestEnd      *childProcess         // before the stop: the only process that keeps its facts
	latestEndAt    time.Time
	orphans        []*orphan       // those of the stop
	livingOrphans  map[int]*orphan // orphans that are not reaped yet, by pid
	ownFDs         []fd
	signals        []instant
	warnings       []instant
	entries        int // number of entries in the lists of the stop
	omitted        int // number of entries that exceeded the limit
}

type (
	instance struct {
		restarts int
		latest   *childProcess // never nil
	}
	childProcess struct {
		instance       *instance
		child, command string
		pid            int
		spawned        time.Time
		ready          time.Duration
		isReady        bool
		notHandled     *event.SignalNotHandled
		steps          []step
		ended          time.Time // zero: not reaped yet
		reaped         event.Reaped
		noProof        string
		inStop         bool // its end began the stop
		fds            []fd
		processes      []descendantEnd
		slow           []slowStop
	}
	orphan struct {
		pid     int
		command string
		steps   []step
		ended   time.Time
		exit    event.Exit
	}
	step struct {
		n      int
		signal string
		at     time.Time
	}
	fd struct {
		event.FDClosed
		at time.Time
	}
	descendantEnd struct {
		event.DescendantEnded
		at time.Time
	}
	slowStop struct {
		event.SlowStop
		at time.Time
	}
	instant struct {
		at               time.Time
		child, what, why string
	}
)

const (
	maxEntries        = 100_000 // in all lists of a stop together
	maxEndedInstances = 10_000  // instances without a process that are kept
	maxEarlyWarnings  = 100     // kept from before the stop
	maxFactsOfEnd     = 10_000  // of the process that ended last before the stop
	maxSteps          = 64      // signals to one process; a stop sequence has 16 at most

	// endToStopWindow is the longest time from the end of a process to the stop that it begins.
	endToStopWindow = 100 * time.Millisecond
)

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{
		now: time.Now, instances: map[string]*instance{}, running: map[int]*childProcess{},
		livingOrphans: map[int]*orphan{},
	}
}

// Emit implements [event.Sink].
func (r *Recorder) Emit(e event.Event) {
	at := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case event.SignalReceived:
		r.recordSignal(e, at)
	case event.ShutdownBegun:
		r.reason = e.Reason
		r.beginStopByEnd(at)
	case event.Spawned, event.Ready, event.SignalNotHandled, event.SignalSent, event.Restarting,
		event.Reaped, event.ConfigReloaded:
		r.recordProcess(e, at)
	case event.HookStarted:
		r.recordStopHook(e, at)
	case event.FDClosed, event.ProofUnavailable, event.DescendantEnded, event.SlowStop,
		event.OrphanReaped:
		r.recordFact(e, at)
	default:
		r.recordWarning(e, at)
	}
}

// recordSignal records a signal to the supervisor. A stop signal begins the stop.
func (r *Recorder) recordSignal(e event.SignalReceived, at time.Time) {
	r.forwarding = e.Forwarded
	switch {
	case e.Hangup, e.Signal == "SIGTERM", e.Signal == "SIGINT", e.Signal == "SIGQUIT":
		if r.stopBegan.IsZero() && !e.Forwarded {
			r.signal = e.Signal
			r.beginStop(at)
		}
	}
	if !r.stopBegan.IsZero() && r.reserveEntry() {
		r.signals = append(r.signals, instant{at, "", e.Signal, e.Meaning})
	}
}

// beginStop begins the stop with the processes that run. A second call does nothing.
func (r *Recorder) beginStop(at time.Time) {
	if !r.stopBegan.IsZero() {
		return
	}
	r.stopBegan = at
	for _, x := range r.running {
		r.processes = append(r.processes, x)
	}
}

// beginStopByEnd begins a stop without a signal. If a process ended just before, its end is the
// reason, so the process belongs to the stop.
func (r *Recorder) beginStopByEnd(at time.Time) {
	if !r.stopBegan.IsZero() {
		return
	}
	if x := r.latestEnd; x != nil && !x.ended.IsZero() && at.Sub(r.latestEndAt) <= endToStopWindow {
		x.inStop = true
		r.processes = append(r.processes, x)
	}
	r.beginStop(at)
}

// keepFactsOf keeps the facts of a process that ends before the stop, and drops the facts of the
// process that ended before it.
func (r *Recorder) keepFactsOf(x *childProcess, at time.Time) {
	if old := r.latestEnd; old != nil && old != x {
		old.fds, old.processes, old.noProof = nil, nil, ""
	}
	r.latestEnd, r.latestEndAt = x, at
}

// reserveEntry reserves one entry, and reports whether the limit allows it.
func (r *Recorder) reserveEntry() bool {
	if r.entries == maxEntries {
		r.omitted++
		return false
	}
	r.entries++
	return true
}

// recordProcess records the start, the signals and the end of the processes of children, in the
// stop and before it.
func (r *Recorder) recordProcess(e event.Event, at time.Time) {
	switch e := e.(type) {
	case event.Spawned:
		i := r.instances[e.Child]
		switch {
		case i == nil:
			i = &instance{}
			r.instances[e.Child] = i
		case !i.latest.ended.IsZero():
			r.endedInstances--
		}
		x := &childProcess{instance: i, child: e.Child, pid: e.Pid, command: e.Command, spawned: at}
		i.latest, r.running[e.Pid] = x, x
		if !r.stopBegan.IsZero() {
			r.processes = append(r.processes, x)
		}
	case event.Ready:
		if x := r.running[e.Pid]; x != nil {
			x.ready, x.isReady = e.Elapsed, true
		}
	case event.SignalNotHandled:
		if x := r.running[e.Pid]; x != nil {
			x.notHandled = &e
		}
	case event.SignalSent:
		r.recordStep(e, at)
	case event.Restarting:
		if i := r.instances[e.Child]; i != nil {
			i.restarts++
		}
	case event.Reaped:
		r.recordExit(e, at)
	case event.ConfigReloaded:
		for _, name := range e.Removed {
			if i := r.instances[name]; i != nil && !i.latest.ended.IsZero() {
				r.forgetInstance(name)
			}
		}
	}
}

func (r *Recorder) forgetInstance(name string) {
	delete(r.instances, name)
	r.endedInstances--
}

func (r *Recorder) recordStep(e event.SignalSent, at time.Time) {
	if e.Hook != "" {
		return
	}
	if e.Step == 0 && r.stopBegan.IsZero() && !r.forwarding {
		return // not part of a stop: the reload_signal of a child, for example
	}
	x := step{e.Step, e.Signal, at}
	command := e.Orphan
	if e.Process != "" { // a descendant that outlived the main process
		command = e.Process
	}
	if command == "" {
		if p := r.running[e.Pid]; p != nil && len(p.steps) < maxSteps {
			p.steps = append(p.steps, x)
		}
		return
	}
	if r.stopBegan.IsZero() {
		return
	}
	if o := r.livingOrphan(e.Pid, command); o != nil && len(o.steps) < maxSteps {
		o.steps = append(o.steps, x)
	}
}

// recordStopHook records a stop hook as the first step of the stop of its process: the stop hook
// runs in place of the first signal.
func (r *Recorder) recordStopHook(e event.HookStarted, at time.Time) {
	i := r.instances[e.Child]
	if e.Hook != "stop" || i == nil || !i.latest.ended.IsZero() || len(i.latest.steps) >= maxSteps {
		return
	}
	i.latest.steps = append(i.latest.steps, step{1, stopHook, at})
}

// stopHook stands for the signal of a step that runs the stop hook.
const stopHook = "the stop hook"

// orphan returns the living orphan with a pid; nil means that the limit is reached.
func (r *Recorder) livingOrphan(pid int, command string) *orphan {
	o := r.livingOrphans[pid]
	if o == nil && r.reserveEntry() {
		o = &orphan{pid: pid, command: command}
		r.livingOrphans[pid] = o
		r.orphans = append(r.orphans, o)
	}
	return o
}

func (r *Recorder) recordExit(e event.Reaped, at time.Time) {
	x := r.running[e.Pid]
	if x == nil {
		return
	}
	delete(r.running, e.Pid)
	x.ended, x.reaped = at, e
	if !r.stopBegan.IsZero() {
		return
	}
	r.keepFactsOf(x, at)
	x.steps = nil
	if x.instance.latest != x {
		return
	}
	if r.endedInstances++; r.endedInstances > maxEndedInstances {
		r.forgetInstance(x.child)
	}
}

// recordFact records descriptors, missing proofs, descendants, slow stops and orphans.
func (r *Recorder) recordFact(e event.Event, at time.Time) {
	before := r.stopBegan.IsZero()
	if o, ok := e.(event.OrphanReaped); ok && !before {
		if x := r.livingOrphan(o.Pid, o.Command); x != nil {
			x.ended, x.exit = at, o.Exit
		}
		delete(r.livingOrphans, o.Pid)
		return
	}
	if f, ok := e.(event.FDClosed); ok && f.Owner == "supervisor" {
		if !before && r.reserveEntry() {
			r.ownFDs = append(r.ownFDs, fd{f, at})
		}
		return
	}
	x := r.processOf(e)
	switch {
	case x == nil:
		return
	case before:
		if len(x.fds)+len(x.processes) >= maxFactsOfEnd {
			return
		}
		r.keepFactsOf(x, at)
	case !r.reserveEntry():
		return
	}
	switch e := e.(type) {
	case event.FDClosed:
		x.fds = append(x.fds, fd{e, at})
	case event.ProofUnavailable:
		x.noProof = e.Reason
	case event.DescendantEnded:
		x.processes = append(x.processes, descendantEnd{e, at})
	case event.SlowStop:
		if !before {
			x.slow = append(x.slow, slowStop{e, at})
		}
	}
}

// processOf returns the process of a child that an event is about. An event about a descendant has
// another pid: then it is the latest process of the instance.
func (r *Recorder) processOf(e event.Event) *childProcess {
	var name string
	var pid int
	switch e := e.(type) {
	case event.FDClosed:
		name, pid = e.Owner, e.Pid
	case event.ProofUnavailable:
		name, pid = e.Child, e.Pid
	case event.DescendantEnded:
		name, pid = e.Child, e.Parent
	case event.SlowStop:
		name, pid = e.Child, e.Pid
	}
	if x := r.running[pid]; x != nil && x.child == name {
		return x
	}
	if i := r.instances[name]; i != nil {
		return i.latest
	}
	return nil
}

// recordWarning records warnings. Before the stop it records only those that can set the exit code.
func (r *Recorder) recordWarning(e event.Event, at time.Time) {
	m := instant{at: at}
	before := false
	switch e := e.(type) {
	case event.Fault:
		m.what, m.why, before = "internal fault: "+e.What, e.Reason, true
	case event.Failed:
		m.child, m.what, m.why, before = e.Child, "child failed", e.Reason, true
	case event.Warning:
		m.what, m.why = e.What, e.Reason
	case event.UnexpectedEnd:
		m.child, m.what, m.why = e.Child, "child ended unexpectedly", strings.Join(
			append([]string{e.Reason}, e.Output...), "\n",
		)
	case event.SpawnFailed:
		m.child, m.what, m.why = e.Child, "spawn failed", e.Reason
	case event.HookEnded:
		if e.Failure == "" {
			return
		}
		m.child, m.what, m.why = e.Child, e.Hook+" hook failed", e.Failure
	case event.HookNotStarted:
		m.child, m.what, m.why = e.Child, e.Hook+" hook not started", e.Reason
	case event.SignalFailed:
		m.child, m.what, m.why = e.Child, "signal not sent: "+e.Signal, e.Reason
	case event.OutputDropped:
		m.what, m.why = "lines dropped: "+e.Dest, e.Reason
	case event.Leftover:
		m.what, m.why = "left behind: "+e.What, e.Detail
	case event.ReloadIgnored:
		m.what, m.why = "reload ignored", e.Reason
	default:
		return
	}
	if r.stopBegan.IsZero() {
		if !before {
			return
		}
		if len(r.warnings) == maxEarlyWarnings {
			r.warnings = append(r.warnings[:0], r.warnings[1:]...)
		}
	} else if !r.reserveEntry() {
		return
	}
	r.warnings = append(r.warnings, m)
}
