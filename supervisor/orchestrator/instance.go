package orchestrator

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/openfds"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/output"
	"tp0/supervisor/probe"
	"tp0/supervisor/process"
	"tp0/supervisor/timeout"
)

// instance is one replica of a child.
type instance struct {
	spec *config.Instance // the specification of its process
	next *config.Instance // replaces spec once the process has ended; nil: nothing does
	order
	goal     rollout.Goal
	state    lifecycle.State
	held     *api.Requester // who stopped it, and keeps it stopped; nil: the goal is not Hold
	failed   bool           // its last process failed, and no restart follows
	complete bool           // its last process succeeded by spec, and none follows
	startDue bool           // a request starts it once its present process has ended
	endedBy  unix.Signal    // the reload_signal that ended its last process; 0: none did
	restarts restarts
	// failedDependency is the failed instance that was reported last as the reason of the wait.
	failedDependency string

	process  currentProcess
	hook     *hook // nil: none runs
	stop     stopProgress
	exit     exitStatus
	health   health
	inspect  inspection
	notified notifications
	update   update
	handOver handOver
	timer    timer
}

// order is the place of an instance in the start and stop order, by the last configuration that
// contains the instance.
type order struct {
	dependsOn []config.Dependency
	// stoppedAfter names the children that are stopped after the instance: see plan.StoppedAfter.
	stoppedAfter []string
	revision     int // of that configuration
}

// restarts are the restarts of an instance.
type restarts struct {
	history  lifecycle.RestartHistory
	last     lifecycle.Decision // about the last process that ended
	spawned  int                // processes of the instance since the supervisor started
	lastExit *api.Exit          // of its last process that ended; nil: none ended
	cause    string             // of that end, beside its exit status; empty: nothing is known
	shortage shortage
}

// shortage is about spawns that failed for lack of a resource, since the last successful spawn.
type shortage struct {
	failed  int
	since   time.Time // the first failure
	logFile string    // whose open had not returned at the last one; empty: another resource
}

func (s *shortage) active() bool { return s.failed > 0 }

// currentProcess is the process of an instance, valid while state.HasProcess().
type currentProcess struct {
	id        process.ID
	pid       int             // 0: the spawn is not reported yet
	successor int             // the pid that MAINPID named last; 0: none
	sockets   []config.Listen // that it inherits
	listens   []string        // the addresses of its own listeners, if a reload looked for them
	notify    NotifySocket    // nil: it does not notify
	output    *output.ChildOutput
	spawned   time.Time
	ran       ran
	reloadDue bool // its reload_signal is sent once it is ready and has its handlers
	reloaded  bool // the process loop got the request to send its reload_signal
}

// ran contains points in time of a process: for how long the supervisor had run by then.
type ran struct{ spawned, ready time.Duration }

// stopProgress is the progress of the stop sequence.
type stopProgress struct {
	step     int       // 0: the stop sequence has not begun
	hooked   bool      // the stop hook is the first step
	unsent   bool      // the stop hook succeeded in place of the first signal, which was not sent
	beganAt  time.Time // zero: the stop sequence has not begun
	killedAt time.Time // SIGKILL was requested; zero: it was not
}

// exitStatus is how the process of an instance ended.
type exitStatus struct {
	code     int          // of the last process, 128+n for signal n; 0 also if none ended
	waiting  *waitingExit // nil: no exit waits for the output or the successor of its process
	outcome  *outcome     // nil: the main process has not ended
	deferred *deferredEnd // nil: the judgement of the end is not deferred
	report   *endReport   // nil: no report of the end waits for the last output
	postStop *outcome     // nil: no post_stop hook ran
	tree     bool         // the process tree ended while the stop hook runs
}

// waitingExit is the exit of a process that is not handled yet: see Orchestrator.onExited.
type waitingExit struct {
	exited    process.Exited
	treeEnded bool
}

// endReport is the report of an unexpected end that waits for the last output of the process.
type endReport struct {
	event     event.UnexpectedEnd
	output    *output.ChildOutput
	treeEnded bool // what follows the end waits for the report
}

// outcome is how a main process ended.
type outcome struct {
	success bool
	reason  string
	cause   string // "; killed by …"; empty: nothing is known beside the reason
	at      time.Time
	wanted  bool   // no stop or replacement of the instance was requested before
	before  counts // the counts before the end
	after   func() // what follows the post_stop hook
}

// deferredEnd is the end of a process that is not judged yet: see deferWindow.
type deferredEnd struct {
	process   process.ID
	signal    unix.Signal
	at        time.Time
	report    event.UnexpectedEnd
	output    *output.ChildOutput
	treeEnded bool
	timer     *time.Timer // nil: the process tree has not ended yet
}

// health is what is known of the readiness of a process.
type health struct {
	cancelProbe  context.CancelFunc // nil: no probe of the ready block runs
	cancelChecks context.CancelFunc // nil: no check runs
	line         *probe.LineMatcher // nil: the ready block has no log pattern
	failure      string             // why the instance is Unready
	readyAt      time.Time          // the process became ready; zero: it did not
	steady       bool               // it was still ready inspectAfter later
	checks       map[string]*api.Check
	fdWatch      *fdWatch // nil: the descriptors are not counted
}

// fdWatch is the watch_fds of a process: one timer from the end of a count to the next one. A count
// runs beside the orchestrator, one at a time for each process.
type fdWatch struct {
	ctx      context.Context // a result is stale if it is done
	cancel   context.CancelFunc
	interval time.Duration
	timer    *time.Timer
	watch    openfds.Watch
	reported bool // that the descriptors cannot be counted
}

// inspection is the result of the fd scans and of the signal dispositions of a process.
type inspection struct {
	timers      []*timeout.Timer // of the scheduled actions
	last        *process.Inspected
	disposition string       // of kill_signal, as it was reported last
	atReady     *api.FDCount // by the first inspection; nil: there was none
}

// notifications are the state of a process by its messages (sd_notify(3)).
type notifications struct {
	status          string
	reloading       bool
	stop            announcedStop
	ignoredReported bool
	watchdog        *timeout.Timer // nil: the watchdog is off
	interval        *time.Duration // of the watchdog, by WATCHDOG_USEC; nil: by the ready block
}

// announcedStop is the stop of a process that has sent STOPPING=1 while the supervisor did not stop
// it.
type announcedStop struct {
	at    time.Time     // zero: the process has announced no stop
	limit time.Duration // from at; 0 disables it
}

// update is the state of an instance in a reload.
type update struct {
	hasSlot       bool
	unconfirmed   bool // a reload changed spec, and no process of it was ready for min_ready yet
	givenUp       bool // its update was halted: spec is of an older configuration
	gotNewProcess bool // it got another process since the last reload was reported
	surge         *instance
	surgeOf       *instance // nil: the instance is no surge
	retired       bool      // another instance took its place
	restart       bool      // a request restarts it, so its process is replaced
}

// handOver is the part of an instance in the hand-overs of the last reload: see plan.HandOvers.
type handOver struct {
	takes    []takeOver       // the next process waits for them
	gives    bool             // an instance takes something over from the process
	awaited  bool             // that instance has no process, or has an update slot
	blocks   bool             // the end of an awaited process waits for the end of this one
	reported event.StartWaits // the wait that was reported last
}

// takeOver is something that the next process of an instance takes over.
type takeOver struct {
	plan.HandOver
	claim *claim
}

// claim is what one or more processes give up. It is free once all of them have ended.
type claim struct {
	givers  []giver // those at the front that have ended are removed
	awaited bool    // the givers have awaited set
}

// giver is a process that gives something up, and its instance.
type giver struct {
	inst    *instance
	process process.ID
	spec    *config.Instance // of the process
}

// timer is the one timer of an instance.
type timer struct {
	stop       func()               // nil: off
	due        time.Time            // its end, unless the supervisor is paused
	left       func() time.Duration // of a timeout; nil: none runs
	readyLimit time.Duration        // the timeout of the ready block, from the spawn on
	generation uint64               // a message of an older generation is stale
}

// hook is a hook of an instance that runs, or waits for its spawn. An instance has at most one. The
// stop hook runs beside the main process; each other one runs in place of it. The process loop
// treats it as a process of a child: it has a process tree, which is ended and reaped.
type hook struct {
	name     string // as package config has it
	command  config.Hook
	inst     *instance
	id       process.ID // 0: it waits for its spawn
	pid      int        // 0: the spawn is not reported yet
	spawned  time.Time
	limit    time.Duration // of the time from its request to SIGKILL; of a stop hook, see killHook
	timedOut bool
	step     int                 // the last signal that the stop hook got; 0: none
	failure  string              // why it has failed; empty: it succeeded
	before   counts              // the counts before its end
	then     func()              // what follows its end
	output   *output.ChildOutput // nil: it was spawned, or the spawn failed
}

// wanted returns the specification by the last configuration.
func (inst *instance) wanted() *config.Instance {
	if inst.next != nil {
		return inst.next
	}
	return inst.spec
}

// child returns the name of the child that the instance belongs to by the last configuration.
func (inst *instance) child() string { return inst.wanted().Child }

func (inst *instance) sidecar() bool { return inst.wanted().Policy.Sidecar }

// active reports whether the instance has a process, or a timer is to start one.
func (inst *instance) active() bool { return inst.state.HasProcess() || inst.timer.stop != nil }

// current reports whether the instance is neither a surge nor retired.
func (inst *instance) current() bool { return inst.update.surgeOf == nil && !inst.update.retired }

// satisfies reports whether the instance has reached a condition of its dependents, and is not
// about to end.
func (inst *instance) satisfies(until config.Until) bool {
	if surge := inst.update.surge; surge != nil {
		return surge.satisfies(until) // it need not have been ready for min_ready
	}
	if inst.goal == rollout.Hold && until == config.UntilCompleted {
		return inst.complete // a stop does not undo a completion
	}
	if inst.goal != rollout.Run || inst.state == lifecycle.Ready && !inst.serves() {
		return false
	}
	switch until {
	case config.UntilCompleted:
		return inst.state == lifecycle.Succeeded
	case config.UntilStarted:
		started := inst.state == lifecycle.Starting && inst.process.pid != 0
		return started || inst.state.Satisfied()
	default:
		return inst.state.Satisfied()
	}
}

// confirmed reports whether the process has proved spec: it is ready, and was ready for min_ready,
// or it has completed.
func (inst *instance) confirmed() bool {
	return inst.state.Satisfied() && !inst.update.unconfirmed
}

// serves reports whether the process is ready and has not announced its stop.
func (inst *instance) serves() bool {
	return inst.state == lifecycle.Ready && inst.notified.stop.at.IsZero()
}

// launchedLike reports whether the process is launched as spec says.
func (inst *instance) launchedLike(spec *config.Instance) bool {
	return plan.SameLaunch(inst.spec, spec)
}

// adoptNext makes the next specification the present one. An instance keeps the specification of
// its process until that has ended: it is stopped by the policy that it was started with.
func (inst *instance) adoptNext() {
	if inst.next.Policy.KillSignal != inst.spec.Policy.KillSignal {
		inst.inspect.disposition = ""
	}
	inst.spec, inst.next = inst.next, nil
	inst.update.unconfirmed, inst.update.gotNewProcess = true, true
	if inst.complete = false; inst.goal != rollout.Hold { // else the next start forgets them
		inst.forgetEnds()
	}
}

// forgetEnds makes the restart policy begin anew.
func (inst *instance) forgetEnds() {
	inst.failed, inst.complete, inst.startDue = false, false, false
	inst.endedBy, inst.restarts.history = 0, lifecycle.RestartHistory{}
	inst.update.restart = false
}

// stops reports whether no process is to follow the present one.
func (inst *instance) stops() bool {
	return inst.goal == rollout.End || inst.goal == rollout.Hold
}

// retire ends an instance that another one replaces.
func (inst *instance) retire() {
	inst.goal = rollout.End
	inst.update.hasSlot, inst.update.surgeOf, inst.update.retired = false, nil, true
}

// dropSurge retires the surge of the instance, if there is one.
func (inst *instance) dropSurge() {
	if inst.update.surge != nil {
		inst.update.surge.retire()
		inst.update.surge = nil
	}
}

// usesNotify reports whether the ready block of the instance says notify.
func (inst *instance) usesNotify() bool {
	r := inst.spec.Launch.Ready
	return r != nil && r.Notify
}

// usesExecProbe reports whether the ready block of the instance runs a command.
func (inst *instance) usesExecProbe() bool {
	r := inst.spec.Launch.Ready
	return r != nil && len(r.Exec) > 0
}

func signalName(s unix.Signal) string {
	if n := unix.SignalName(s); n != "" {
		return n
	}
	return fmt.Sprintf("signal %d", int(s))
}
