package lifecycle

// Event is something that happens to an instance.
type Event uint8

// The events.
const (
	Start            Event = iota // its dependencies allow the start
	Prepare                       // as Start, and it has a pre_start hook
	Prepared                      // its pre_start hook succeeded
	BecameReady                   // its process is ready
	ReadyTimedOut                 // its process was not ready in time
	CheckFailed                   // a check or the watchdog of its process failed
	MainEnded                     // its main process ended, and descendants outlive it
	PostStopDue                   // its process tree is empty, and its post_stop hook follows
	EndedWell                     // its process ended; no other one follows
	EndedBadly                    // its process failed; no other one follows
	FailureHookDue                // as EndedBadly, and its on_failure hook follows
	EndedToRestart                // its process ended; the next one follows after a delay
	EndedUnwanted                 // its process ended; a stop, a replacement or a rollback is due
	FailureHookEnded              // its on_failure hook ended
	DelayElapsed                  // the restart delay is over
	Stop                          // it is to be stopped
	Replace                       // its process is to be replaced by one of a new specification
	StepTimedOut                  // the timeout of a step of the stop sequence is over
	Escalate                      // the next step is to be taken now
	Kill                          // the last step, SIGKILL, is to be taken now
)

var eventNames = [...]string{
	"start", "prepare", "prepared", "became ready", "ready timed out", "check failed",
	"main process ended", "post_stop due", "ended well", "ended badly",
	"on_failure due",
	"ended, restart due", "ended, not wanted", "on_failure ended", "delay elapsed", "stop",
	"replace", "step timed out", "escalate", "kill",
}

func (e Event) String() string { return eventNames[e] }

// Events lists all events.
func Events() []Event {
	all := make([]Event, len(eventNames))
	for i := range all {
		all[i] = Event(i)
	}
	return all
}

// Ended reports whether the event is the end of a process.
func (e Event) Ended() bool {
	switch e {
	case EndedWell, EndedBadly, FailureHookDue, EndedToRestart, EndedUnwanted:
		return true
	}
	return false
}

// Action is what the caller of Next has to do.
type Action uint8

// The actions.
const (
	Nothing         Action = iota
	Spawn                  // spawn a process
	RunPreStart            // run the pre_start hook
	RunPostStop            // run the post_stop hook
	NextStep               // take the first or the next step of the stop sequence
	LastStep               // take the last step of the stop sequence
	ScheduleRestart        // start the timer of the restart delay
	Complete               // report that the instance succeeded
	Fail                   // report that the instance failed, and run an on_failure hook
)

var actionNames = [...]string{
	"", "spawn", "run pre_start", "run post_stop", "next step", "last step",
	"schedule restart", "complete", "fail",
}

func (a Action) String() string { return actionNames[a] }

type transition struct {
	to State
	do Action
}

// table is the whole state machine. An event that is not listed for a state changes nothing:
// either it is stale (a timer fired while the process ended), or the state already says the same.
//
// A stop is possible in every state, and no process is spawned after it: Stopping and Stopped
// lead to Starting only through Replace, which no caller sends during a shutdown.
var table = map[State]map[Event]transition{
	Waiting: {
		Start:   {Starting, Spawn},
		Prepare: {Preparing, RunPreStart},
		Stop:    {Stopped, Nothing},
	},
	Preparing: {
		Prepared:       {Starting, Spawn},
		ReadyTimedOut:  {Unready, NextStep}, // the hook takes too long
		MainEnded:      {Ending, NextStep},  // the hook ended, and descendants outlive it
		PostStopDue:    {Ending, RunPostStop},
		EndedWell:      {Failed, Fail}, // a hook alone is no success
		EndedBadly:     {Failed, Fail},
		FailureHookDue: {Failing, Fail},
		EndedToRestart: {BackingOff, ScheduleRestart},
		EndedUnwanted:  {Stopped, Nothing},
		Stop:           {Stopping, NextStep},
		Replace:        {Replacing, NextStep},
	},
	Starting: {
		BecameReady:    {Ready, Nothing},
		ReadyTimedOut:  {Unready, NextStep},
		CheckFailed:    {Unready, NextStep}, // by WATCHDOG=trigger
		MainEnded:      {Ending, NextStep},
		PostStopDue:    {Ending, RunPostStop},
		EndedWell:      {Succeeded, Complete},
		EndedBadly:     {Failed, Fail},
		FailureHookDue: {Failing, Fail},
		EndedToRestart: {BackingOff, ScheduleRestart},
		EndedUnwanted:  {Stopped, Nothing},
		Stop:           {Stopping, NextStep},
		Replace:        {Replacing, NextStep},
	},
	Ready: {
		CheckFailed:    {Unready, NextStep},
		MainEnded:      {Ending, NextStep},
		PostStopDue:    {Ending, RunPostStop},
		EndedWell:      {Succeeded, Complete},
		EndedBadly:     {Failed, Fail},
		FailureHookDue: {Failing, Fail},
		EndedToRestart: {BackingOff, ScheduleRestart},
		EndedUnwanted:  {Stopped, Nothing},
		Stop:           {Stopping, NextStep},
		Replace:        {Replacing, NextStep},
	},
	Unready: {
		PostStopDue:    {Ending, RunPostStop},
		EndedWell:      {Failed, Fail}, // exit code 0 after a failed check is no success
		EndedBadly:     {Failed, Fail},
		FailureHookDue: {Failing, Fail},
		EndedToRestart: {BackingOff, ScheduleRestart},
		EndedUnwanted:  {Stopped, Nothing},
		Stop:           {Stopping, Nothing}, // the stop sequence has begun
		Replace:        {Replacing, Nothing},
		StepTimedOut:   {Unready, NextStep},
		Escalate:       {Unready, NextStep},
		Kill:           {Unready, LastStep},
	},
	Ending: {
		Prepared:       {Starting, Spawn},
		PostStopDue:    {Ending, RunPostStop},
		EndedWell:      {Succeeded, Complete},
		EndedBadly:     {Failed, Fail},
		FailureHookDue: {Failing, Fail},
		EndedToRestart: {BackingOff, ScheduleRestart},
		EndedUnwanted:  {Stopped, Nothing},
		Stop:           {Stopping, Nothing}, // the stop sequence has begun
		Replace:        {Replacing, Nothing},
		StepTimedOut:   {Ending, NextStep},
		Escalate:       {Ending, NextStep},
		Kill:           {Ending, LastStep},
	},
	BackingOff: {
		DelayElapsed: {Waiting, Nothing},
		Stop:         {Stopped, Nothing},
		Replace:      {Waiting, Nothing},
	},
	Replacing: {
		PostStopDue:      {Replacing, RunPostStop},
		EndedWell:        {Waiting, Nothing},
		EndedBadly:       {Waiting, Nothing},
		EndedToRestart:   {Waiting, Nothing},
		EndedUnwanted:    {Waiting, Nothing},
		FailureHookEnded: {Waiting, Nothing}, // the replacement was due while the hook ran
		Stop:             {Stopping, Nothing},
		StepTimedOut:     {Replacing, NextStep},
		Escalate:         {Replacing, NextStep},
		Kill:             {Replacing, LastStep},
	},
	Stopping: {
		PostStopDue:      {Stopping, RunPostStop},
		EndedWell:        {Stopped, Nothing},
		EndedBadly:       {Stopped, Nothing},
		EndedToRestart:   {Stopped, Nothing},
		EndedUnwanted:    {Stopped, Nothing},
		FailureHookEnded: {Stopped, Nothing},
		Replace:          {Replacing, Nothing}, // a reload removed it, the next one has it again
		StepTimedOut:     {Stopping, NextStep},
		Escalate:         {Stopping, NextStep},
		Kill:             {Stopping, LastStep},
	},
	Failing: { // a stop does not end the hook: it reports the failure that may be its reason
		FailureHookEnded: {Failed, Nothing},
		Replace:          {Replacing, Nothing},
		StepTimedOut:     {Failing, NextStep},
		Escalate:         {Failing, NextStep},
		Kill:             {Failing, LastStep},
	},
	Succeeded: {Stop: {Stopped, Nothing}, Replace: {Waiting, Nothing}},
	Failed:    {Stop: {Stopped, Nothing}, Replace: {Waiting, Nothing}},
	Stopped:   {Replace: {Waiting, Nothing}},
}

// Next returns the state that follows s on e, and what is to be done. It is a pure function.
func Next(s State, e Event) (State, Action) {
	if t, ok := table[s][e]; ok {
		return t.to, t.do
	}
	return s, Nothing
}
