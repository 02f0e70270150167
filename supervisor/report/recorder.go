package report

import (
	"strings"
	"sync"
	"time"

	"tp0/supervisor/event"
)

// Recorder is the sink that records a stop. Before a stop it keeps only the current process and
// the last end of each instance, because a supervisor can run for months. During the stop it
// keeps everything, up to a limit.
type Recorder struct {
	now func() time.Time

	mu        sync.Mutex
	began     time.Time // zero: no stop yet
	signal    string
	passed    bool // the last signal that came was for the command
	reason    string
	instances map[string]*instance
	ended     int // how many of them have no run
	live      map[int]*run
	runs      []*run // of the stop
	recent    *run   // before the stop: the run of the latest fact; only this run keeps its facts
	recentAt  time.Time
	orphans   []*orphan
	adopted   map[int]*orphan // those that live
	own       []fd
	signals   []moment
	warnings  []moment
	kept      int
	leftOut   int
}

type (
	instance struct {
		restarts int
		run      *run // the latest; there is one
	}
	run struct {
		instance       *instance
		child, command string
		pid            int
		spawned        time.Time
		ready          time.Duration
		serves         bool
		noHandler      *event.SignalNotHandled
		steps          []step
		ended          time.Time // zero: not yet
		reaped         event.Reaped
		noProof        string
		inStop         bool
		fds            []fd
		processes      []process
		slow           []slow
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
	process struct {
		event.DescendantEnded
		at time.Time
	}
	slow struct {
		event.SlowStop
		at time.Time
	}
	moment struct {
		at               time.Time
		child, what, why string
	}
)

const (
	limit         = 100_000 // entries of all lists of a stop together
	limitEnded    = 10_000  // instances without a run that are remembered
	limitBefore   = 100     // warnings from before the stop
	limitEndFacts = 10_000  // facts of the run that ended last before the stop
	limitSteps    = 64      // signals to one process; a ladder has a few

	// endToStop is the time within which an end begins the stop of everything.
	endToStop = 100 * time.Millisecond
)

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{
		now: time.Now, instances: map[string]*instance{}, live: map[int]*run{},
		adopted: map[int]*orphan{},
	}
}

// Emit implements [event.Sink].
func (r *Recorder) Emit(e event.Event) {
	at := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := e.(type) {
	case event.SignalReceived:
		r.received(e, at)
	case event.ShutdownBegun:
		r.reason = e.Reason
		r.beginWithEnd(at)
	case event.Spawned, event.Ready, event.SignalNotHandled, event.SignalSent, event.Restarting,
		event.Reaped, event.ConfigReloaded:
		r.life(e, at)
	case event.FDClosed, event.ProofUnavailable, event.DescendantEnded, event.SlowStop,
		event.OrphanReaped:
		r.find(e, at)
	default:
		r.warn(e, at)
	}
}

// received begins the stop with the signal that asks for it.
func (r *Recorder) received(e event.SignalReceived, at time.Time) {
	r.passed = e.Passed
	switch e.Signal {
	case "SIGTERM", "SIGINT", "SIGQUIT":
		if r.began.IsZero() && !e.Passed {
			r.signal = e.Signal
			r.begin(at)
		}
	}
	if !r.began.IsZero() && r.room() {
		r.signals = append(r.signals, moment{at, "", e.Signal, e.Meaning})
	}
}

func (r *Recorder) begin(at time.Time) {
	if !r.began.IsZero() {
		return
	}
	r.began = at
	for _, x := range r.live {
		r.runs = append(r.runs, x)
	}
}

// beginWithEnd begins the stop. The process whose end began it belongs to the stop.
func (r *Recorder) beginWithEnd(at time.Time) {
	if !r.began.IsZero() {
		return
	}
	if x := r.recent; x != nil && !x.ended.IsZero() && at.Sub(r.recentAt) <= endToStop {
		x.inStop = true
		r.runs = append(r.runs, x)
	}
	r.begin(at)
}

// follow keeps the facts of a run before the stop, and drops those of the run before it.
func (r *Recorder) follow(x *run, at time.Time) {
	if old := r.recent; old != nil && old != x {
		old.fds, old.processes, old.noProof = nil, nil, ""
	}
	r.recent, r.recentAt = x, at
}

// room reserves one entry, and reports whether the limit allows it.
func (r *Recorder) room() bool {
	if r.kept == limit {
		r.leftOut++
		return false
	}
	r.kept++
	return true
}

// life follows the processes of children, in the stop and before it.
func (r *Recorder) life(e event.Event, at time.Time) {
	switch e := e.(type) {
	case event.Spawned:
		i := r.instances[e.Child]
		switch {
		case i == nil:
			i = &instance{}
			r.instances[e.Child] = i
		case !i.run.ended.IsZero():
			r.ended--
		}
		x := &run{instance: i, child: e.Child, pid: e.Pid, command: e.Command, spawned: at}
		i.run, r.live[e.Pid] = x, x
		if !r.began.IsZero() {
			r.runs = append(r.runs, x)
		}
	case event.Ready:
		if x := r.live[e.Pid]; x != nil {
			x.ready, x.serves = e.Elapsed, true
		}
	case event.SignalNotHandled:
		if x := r.live[e.Pid]; x != nil {
			x.noHandler = &e
		}
	case event.SignalSent:
		r.sent(e, at)
	case event.Restarting:
		if i := r.instances[e.Child]; i != nil {
			i.restarts++
		}
	case event.Reaped:
		r.reaped(e, at)
	case event.ConfigReloaded:
		for _, name := range e.Removed {
			if i := r.instances[name]; i != nil && !i.run.ended.IsZero() {
				r.forget(name)
			}
		}
	}
}

func (r *Recorder) forget(name string) {
	delete(r.instances, name)
	r.ended--
}

func (r *Recorder) sent(e event.SignalSent, at time.Time) {
	if e.Step == 0 && r.began.IsZero() && !r.passed {
		return // a word to a run that goes on, as its reload_signal
	}
	x := step{e.Step, e.Signal, at}
	command := e.Orphan
	if e.Process != "" { // it outlived the main process
		command = e.Process
	}
	if command == "" {
		if run := r.live[e.Pid]; run != nil && len(run.steps) < limitSteps {
			run.steps = append(run.steps, x)
		}
		return
	}
	if r.began.IsZero() {
		return
	}
	if o := r.orphan(e.Pid, command); o != nil && len(o.steps) < limitSteps {
		o.steps = append(o.steps, x)
	}
}

// orphan returns the living orphan with a pid; nil means that the limit is reached.
func (r *Recorder) orphan(pid int, command string) *orphan {
	o := r.adopted[pid]
	if o == nil && r.room() {
		o = &orphan{pid: pid, command: command}
		r.adopted[pid] = o
		r.orphans = append(r.orphans, o)
	}
	return o
}

func (r *Recorder) reaped(e event.Reaped, at time.Time) {
	x := r.live[e.Pid]
	if x == nil {
		return
	}
	delete(r.live, e.Pid)
	x.ended, x.reaped = at, e
	if !r.began.IsZero() {
		return
	}
	r.follow(x, at)
	x.steps = nil
	if x.instance.run != x {
		return
	}
	if r.ended++; r.ended > limitEnded {
		r.forget(x.child)
	}
}

// find records descriptors, descendants and slow stops.
func (r *Recorder) find(e event.Event, at time.Time) {
	before := r.began.IsZero()
	if o, ok := e.(event.OrphanReaped); ok && !before {
		if x := r.orphan(o.Pid, o.Command); x != nil {
			x.ended, x.exit = at, o.Exit
		}
		delete(r.adopted, o.Pid)
		return
	}
	if f, ok := e.(event.FDClosed); ok && f.Owner == "supervisor" {
		if !before && r.room() {
			r.own = append(r.own, fd{f, at})
		}
		return
	}
	x := r.owner(e)
	switch {
	case x == nil:
		return
	case before:
		if len(x.fds)+len(x.processes) >= limitEndFacts {
			return
		}
		r.follow(x, at)
	case !r.room():
		return
	}
	switch e := e.(type) {
	case event.FDClosed:
		x.fds = append(x.fds, fd{e, at})
	case event.ProofUnavailable:
		x.noProof = e.Reason
	case event.DescendantEnded:
		x.processes = append(x.processes, process{e, at})
	case event.SlowStop:
		if !before {
			x.slow = append(x.slow, slow{e, at})
		}
	}
}

// owner returns the run that an event is about: the one of its pid, else the
// latest of its name, for it may be about a process below.
func (r *Recorder) owner(e event.Event) *run {
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
	if x := r.live[pid]; x != nil && x.child == name {
		return x
	}
	if i := r.instances[name]; i != nil {
		return i.run
	}
	return nil
}

// warn records warnings. Before the stop it records only those that can set the exit code.
func (r *Recorder) warn(e event.Event, at time.Time) {
	m := moment{at: at}
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
	if r.began.IsZero() {
		if !before {
			return
		}
		if len(r.warnings) == limitBefore {
			r.warnings = append(r.warnings[:0], r.warnings[1:]...)
		}
	} else if !r.room() {
		return
	}
	r.warnings = append(r.warnings, m)
}
