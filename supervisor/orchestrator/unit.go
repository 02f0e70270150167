package orchestrator

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/output"
	"tp0/supervisor/probe"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// goal is what the fleet wants of an instance.
type goal uint8

const (
	toRun   goal = iota
	toRenew      // to start anew with the specification in unit.next
	toEnd
)

// timer is what an instance waits for.
type timer uint8

const (
	delayTimer timer = iota
	rungTimer
	readyTimer // of a run that says itself when it is ready
	killTimer  // after SIGKILL; see killPatience
)

func (f *Orchestrator) timerFired(m timerFired) {
	switch {
	case m.gen != m.u.gen: // stale
	case m.what == delayTimer:
		f.feed(m.u, lifecycle.DelayElapsed)
	case m.what == rungTimer:
		f.feed(m.u, lifecycle.StepTimedOut)
	case m.what == readyTimer:
		f.tooLate(m.u, m.u.due.Sub(m.u.spawned).Round(time.Millisecond), "no READY=1 came")
	case m.what == killTimer:
		m.u.disarm() // advance follows
	}
}

// unit is one instance.
type unit struct {
	spec      *config.Instance
	dependsOn []config.Dependency // by the last configuration that has the instance
	// outlivedBy are the children that are stopped after it, by the same
	// configuration; see config.OutlivedBy.
	outlivedBy []string
	edition    int // of that configuration
	goal       goal
	next       *config.Instance // what follows spec once the run is gone; nil: nothing else
	replacement

	state    lifecycle.State
	failed   bool // for good
	code     int  // of its last run, 128+n for signal n; 0: there was none
	restarts lifecycle.RestartHistory
	last     lifecycle.Decision // what the policy said to the end of the last run
	short    shortage
	held     *heldEnd // nil: none

	run                            process.ID      // while state.HasRun()
	pid                            int             // 0: not known yet
	successor                      int             // that its main process named last; 0: none
	handed                         []config.Listen // to that run
	relay                          *output.ChildOutput
	spawned                        time.Time
	stopped                        time.Time // when its ladder began; zero: it did not
	rung                           int
	killed                         time.Time          // when its last rung came; zero: it did not
	stopProbe                      context.CancelFunc // nil: none is under way
	stopChecks                     context.CancelFunc // nil: it is not checked
	why                            string             // it is Unready
	line                           *probe.LineMatcher // nil: no line makes it ready
	moments                        []*time.Timer      // when it is to be looked at
	outcome                        *outcome           // nil: its main process has not ended
	known                          *process.Inspected // what it held when it was ready
	vain                           string             // who it waits for in vain, as it was told last
	unheard                        string             // the disposition of its kill_signal that was told last
	status                         string             // as it says itself
	reloading, leaves, saidIgnored bool               // as well
	alive                          time.Time          // when it said so last
	watchdog                       *time.Timer        // nil: nobody waits for that
	timer                          *time.Timer        // nil: it waits for nothing
	due                            time.Time          // when that is over
	gen                            uint64             // of the timer; a message of an older one is stale
}

// wanted is the specification by the last configuration.
func (u *unit) wanted() *config.Instance {
	if u.next != nil {
		return u.next
	}
	return u.spec
}

// child is the name of the child that the instance belongs to, or will.
func (u *unit) child() string { return u.wanted().Child }

func (u *unit) sidecar() bool { return u.wanted().Policy.Sidecar }

// active reports whether it has a run, or another one is due.
func (u *unit) active() bool { return u.state.HasProcess() || u.timer != nil }

// meets reports whether the instance has come as far as that, and is not
// about to end.
func (u *unit) meets(until config.Until) bool {
	if u.goal != toRun {
		return false
	}
	switch until {
	case config.UntilCompleted:
		return u.state == lifecycle.Succeeded
	case config.UntilStarted:
		return u.state.Satisfied() || u.state == lifecycle.Starting && u.pid != 0
	default:
		return u.state.Satisfied()
	}
}

// leaving reports whether it has a run that is about to end, whatever follows.
func (f *Orchestrator) leaving(u *unit) bool {
	return u.state.HasProcess() && (u.goal == toEnd || u.goal == toRenew && u.turn && !f.overlaps(u)) || u.state == lifecycle.Replacing
}

// madeOf reports whether its run, or its next one, is made of that.
func (u *unit) madeOf(spec *config.Instance) bool {
	return reflect.DeepEqual(u.spec.Launch, spec.Launch)
}

// adopt takes the new specification over. Until its run is gone an instance
// has the one that the run was started with, and is stopped by it.
func (u *unit) adopt() {
	if u.next.Policy.KillSignal != u.spec.Policy.KillSignal {
		u.unheard = ""
	}
	u.spec, u.next, u.trial, u.anew = u.next, nil, true, true
	u.failed, u.restarts = false, lifecycle.RestartHistory{}
}

// feed gives an event to the machine and does what it says.
func (f *Orchestrator) feed(u *unit, e lifecycle.Event) {
	before := u.state
	next, action := lifecycle.Next(before, e)
	u.state = next
	if before != next && (before == lifecycle.BackingOff || !next.HasProcess()) {
		u.disarm()
	}
	if u.next != nil && u.goal == toRun && !next.HasProcess() {
		u.adopt()
	}
	switch action {
	case lifecycle.Spawn:
		f.spawn(u)
	case lifecycle.NextStep:
		f.climb(u, u.rung+1)
	case lifecycle.LastStep:
		f.climb(u, len(u.ladder()))
	case lifecycle.ScheduleRestart:
		if !u.short.waits() { // else it was told
			f.opt.Sink.Emit(event.Restarting{Child: u.spec.Name, Attempt: u.last.Attempt, Delay: u.last.Delay, Reason: u.last.Reason})
		}
		f.arm(u, delayTimer, u.last.Delay)
	case lifecycle.Complete:
		u.trial = u.trial && !u.spec.Policy.Oneshot
		f.opt.Sink.Emit(event.Completed{Child: u.spec.Name})
		f.endedCritical(u, 0)
		if u.spec.Policy.OnSuccess == config.ShutDown && f.groups[u.child()].succeeded() {
			f.begin("child completed: " + u.spec.Child)
		}
	case lifecycle.Fail:
		u.failed = true
		f.opt.Sink.Emit(event.Failed{Child: u.spec.Name, Attempts: u.restarts.Count(), Reason: u.last.Reason})
		f.endedCritical(u, u.code)
		if u.spec.Policy.OnFailure == config.ShutDown {
			f.begin("child failed: " + u.spec.Name)
		}
	}
}

// endedCritical ends all if a child without which nothing goes on has ended
// for good. code is what it leaves us with; 0: nothing of its own.
func (f *Orchestrator) endedCritical(u *unit, code int) {
	if u.spec.Policy.Critical && f.stop.phase == running {
		f.books.critical = code
		f.begin("critical child ended: " + u.spec.Name)
	}
}

func (f *Orchestrator) arm(u *unit, what timer, d time.Duration) {
	u.disarm()
	u.due = time.Now().Add(d)
	m := timerFired{u, u.gen, what}
	u.timer = time.AfterFunc(d, func() { f.mail.Put(m) })
}

func (u *unit) disarm() {
	u.gen++
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
}

// spawn makes a run. What fails here comes back as the fact that the process
// loop would have delivered, so there is one path for it.
func (f *Orchestrator) spawn(u *unit) {
	f.lastRun++
	l := &u.spec.Launch
	u.successor = 0
	u.run, u.pid, u.rung, u.stopped, u.code, u.why = f.lastRun, 0, 0, time.Time{}, 0, ""
	u.outcome, u.killed = nil, time.Time{}
	u.status, u.reloading, u.leaves, u.saidIgnored = "", false, false, false
	f.runs[u.run] = u
	sockets, err := f.takeSockets(u)
	lines := output.Spec{Instance: u.spec.Name, Format: l.Logs.Format, Stdout: l.Logs.Stdout, Stderr: l.Logs.Stderr}
	if u.line = nil; l.Ready != nil && l.Ready.Log != "" {
		u.line = probe.NewLineMatcher(regexp.MustCompile(l.Ready.Log)) // it was compiled as the file was read
		lines.Lines = u.line.Match
	}
	env := l.Env
	if err == nil && u.notifies() {
		env, err = f.notifyEnv(l)
	}
	var r *output.ChildOutput
	if err == nil {
		r, err = f.opt.Relays.Prepare(lines)
	}
	if err != nil {
		f.pending++ // until this is read
		f.mail.Put(process.SpawnFailed{Process: u.run, Err: err})
		return
	}
	u.relay = r
	f.keep(r)
	out, errs := r.ChildFiles()
	s := f.opt.ProcessDefaults
	s.Name, s.Path, s.Argv, s.Env, s.Dir = u.spec.Name, l.Path, append([]string{l.Command}, l.Args...), env, l.Dir
	s.Stdout, s.Stderr, s.Sockets = out, errs, sockets
	s.Attributes = spawn.Attributes(l.Attributes)
	// Go's fork waits for the exec in a raw system call. The start verb waits for
	// such a file in its place.
	s.Barrier = s.Barrier || l.OnRemoteFS
	s.KillHold, s.Probed = u.hold(), l.Ready != nil && len(l.Ready.Exec) == 0
	if scope := u.spec.Policy.KillScope; scope != "" { // else it is given for all
		s.Scope, s.LeaveDescendants = scope, u.spec.Policy.Descendants == config.LeaveDescendants
	}
	if !f.opt.KeepQueuedSpawns {
		s.Revoked = &f.late
	}
	f.pending++
	f.opt.Processes.Spawn(u.run, s)
}

// keep remembers a run's relay until it is done.
func (f *Orchestrator) keep(r *output.ChildOutput) {
	if len(f.relays) >= f.pruneAt { // not at each spawn: a start of N would cost N²
		f.relays = slices.DeleteFunc(f.relays, func(old *output.ChildOutput) bool {
			select {
			case <-old.Done():
				return true
			default:
				return false
			}
		})
		f.pruneAt = 2*len(f.relays) + 16
	}
	f.relays = append(f.relays, r)
}

// restartTimeout is the kill_timeout in a restart or a reload where the file gives none:
// a share of the deadline is meant for the final stop.
const restartTimeout = 5 * time.Second

// ladderNow is the ladder as it is in the phase that the fleet is in.
func (f *Orchestrator) ladderNow(u *unit) lifecycle.StopSequence {
	p := &u.spec.Policy
	if p.SharedTimeout && f.stop.phase == running {
		return lifecycle.NewStopSequence(p.KillSignal, restartTimeout, p.DiagnoseSignal)
	}
	return u.ladder()
}

func (u *unit) ladder() lifecycle.StopSequence {
	p := &u.spec.Policy
	if p.KillSequence != nil {
		return lifecycle.CustomStopSequence(p.KillSequence)
	}
	return lifecycle.NewStopSequence(p.KillSignal, p.KillTimeout, p.DiagnoseSignal)
}

// hold is how long the first signal waits at most: the next rung must find
// that it was sent.
func (u *unit) hold() time.Duration {
	p := &u.spec.Policy
	if p.KillSequence != nil {
		return min(p.KillHold, p.KillSequence[0].Wait/2)
	}
	return min(p.KillHold, p.KillTimeout/2)
}

// climb sends the signal of a rung and lets its time pass.
func (f *Orchestrator) climb(u *unit, rung int) {
	r, ok := f.ladderNow(u).Step(rung)
	if !ok || rung == u.rung {
		return // SIGKILL was sent; there is nothing more to be done
	}
	if u.rung == 0 {
		u.stopped = time.Now()
	}
	if r := u.spec.Launch.Ready; u.rung > 0 || time.Since(u.spawned) > young || r != nil && len(r.Exec) > 0 {
		f.unprobe(u) // else the signal may wait for what it finds
	}
	u.unwatch()
	u.rung = rung
	f.opt.Processes.Signal(u.run, r.Signal, rung, event.Proof(f.cfg.Shutdown.Proof))
	u.disarm()
	if r.Wait > 0 {
		f.arm(u, rungTimer, r.Wait)
		f.watchSlow(u, r.Wait)
		return
	}
	u.killed = time.Now()
	f.arm(u, killTimer, killPatience) // then advance looks again at what depends on its end
}

// young is a run to which the process loop may hold a signal back.
const young = time.Second

// probe begins to find out whether a run serves.
func (f *Orchestrator) probe(u *unit) {
	r := u.spec.Launch.Ready
	if r == nil {
		f.serves(u)
		return
	}
	if r.Notify {
		f.arm(u, readyTimer, time.Until(u.spawned.Add(r.Timeout)))
		return
	}
	f.probeUntil(u, r, u.spawned.Add(r.Timeout))
}

func (f *Orchestrator) probeUntil(u *unit, r *config.Ready, until time.Time) {
	ctx, cancel := context.WithDeadline(f.ctx, until)
	u.stopProbe = cancel
	wait, run := f.prover(u, r), u.run
	f.wg.Go(func() {
		defer cancel()
		f.mail.Put(probed{u, run, wait(ctx)})
	})
}

// prover is what waits until a run serves.
func (f *Orchestrator) prover(u *unit, r *config.Ready) func(context.Context) error {
	if u.line != nil {
		return u.line.Wait
	}
	look, most := f.looker(u, &r.Probe), probe.MaxPollInterval
	if len(r.Exec) > 0 {
		most = probe.MaxPollIntervalExec
	}
	return func(ctx context.Context) error { return look.Poll(ctx, most) }
}

// looker is a look at a run as it is now.
func (f *Orchestrator) looker(u *unit, p *config.Probe) probe.Probe {
	switch {
	case p.HTTP != "":
		return able(probe.HTTP(p.HTTP))
	case len(p.Exec) > 0:
		s := f.opt.ProcessDefaults.Spec
		s.Name, s.Path, s.Argv, s.Env, s.Dir = u.spec.Name, p.ExecPath, p.Exec, u.spec.Launch.Env, u.spec.Launch.Dir
		s.Attributes = spawn.Attributes(u.spec.Launch.Attributes)
		return able(func(ctx context.Context) error { return f.opt.Processes.RunProbe(ctx, s) })
	}
	return able(probe.TCP(p.TCP, u.pid))
}

func (f *Orchestrator) unprobe(u *unit) {
	if u.stopProbe != nil {
		u.stopProbe()
		u.stopProbe = nil
	}
}

func (f *Orchestrator) probed(m probed) {
	u := m.u
	if u.run != m.run || !u.state.HasProcess() || u.stopProbe == nil {
		return // it ended, or nobody wants to know any more
	}
	f.unprobe(u)
	if m.err == nil {
		f.opt.Processes.MarkReady(u.run)
	}
	if u.state != lifecycle.Starting {
		return // it is being stopped
	}
	if m.err == nil {
		f.serves(u)
		return
	}
	if f.probeAgain(u, m.err) {
		return
	}
	f.tooLate(u, u.spec.Launch.Ready.Timeout, m.err.Error())
}

// tooLate stops a run that was not ready in time.
func (f *Orchestrator) tooLate(u *unit, timeout time.Duration, reason string) {
	f.opt.Sink.Emit(event.NotReady{Child: u.spec.Name, Pid: u.pid, Timeout: timeout, Reason: reason})
	u.why = fmt.Sprintf("not ready within %v", timeout)
	back := f.mayRollBack(u)
	f.feed(u, lifecycle.ReadyTimedOut)
	if back {
		f.rollBack(u, u.why)
	}
}

func (f *Orchestrator) serves(u *unit) {
	if u.state == lifecycle.Starting {
		f.opt.Sink.Emit(event.Ready{Child: u.spec.Name, Pid: u.pid, Elapsed: time.Since(u.spawned)})
		f.later(u, glanceAfter, glanceMoment)
		u.trial = u.trial && u.spec.Policy.Oneshot
		if f.stop.phase == running {
			f.check(u)
			f.guard(u)
		}
	}
	f.feed(u, lifecycle.BecameReady)
}

func signalName(s unix.Signal) string {
	if n := unix.SignalName(s); n != "" {
		return n
	}
	return fmt.Sprintf("signal %d", int(s))
}
