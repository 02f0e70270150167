// Package lifecycle is what one instance does and why: a pure state machine, the
// ladder of a stop, and the restart policy. It knows no process and no clock.
package lifecycle

// Ended reports whether the event is the end of a run.
func (e Event) Ended() bool {
	switch e {
	case EndedWell, EndedBadly, EndedToRestart, EndedBeforeStop:
		return true
	}
	return false
}

// State is where an instance stands.
type State uint8

// The states. A run exists in Starting, Ready, Unready, Ending, Replacing and
// Stopping, and only there: from its spawn until nothing is left of its process
// tree.
const (
	Waiting    State = iota // wants to run, and may as soon as what it depends on lets it
	Starting                // has a run that is not ready yet
	Ready                   // has a run that serves
	Unready                 // its run was not ready in time, or a check failed, and it is being stopped
	Ending                  // its main process has ended, and descendants that outlived it are being stopped
	BackingOff              // its run failed; another one follows after a delay
	Replacing               // its run is being stopped, so that a new one can follow
	Stopping                // its run is being stopped for good
	Succeeded               // ended well, and is not started again
	Failed                  // failed for good
	Stopped                 // was stopped for good
)

var stateNames = [...]string{
	"waiting", "starting", "ready", "unready", "ending", "backing off", "renewing", "stopping", "succeeded", "failed", "stopped",
}

func (s State) String() string { return stateNames[s] }

// States lists them all.
func States() []State {
	all := make([]State, len(stateNames))
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// HasProcess reports whether a process of the instance exists, or is being made.
func (s State) HasProcess() bool {
	switch s {
	case Starting, Ready, Unready, Ending, Replacing, Stopping:
		return true
	}
	return false
}

// Satisfied reports whether what depends on the instance may start.
func (s State) Satisfied() bool { return s == Ready || s == Succeeded }

// Final reports whether only a new configuration can change the state.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Stopped }

// Event is what happens to an instance.
type Event uint8

// The events.
const (
	Start           Event = iota // it may start: what it depends on is ready
	BecameReady                  // its run is ready
	ReadyTimedOut                // its run was not ready in time
	CheckFailed                  // its run was ready, and does not serve any more
	MainEnded                    // its main process ended, and descendants outlive it
	EndedWell                    // its run ended, and no other follows
	EndedBadly                   // its run ended, and failed for good
	EndedToRestart               // its run ended, and another one follows after a delay
	EndedBeforeStop              // its run ended before the stop that was meant for it began
	DelayElapsed                 // the delay is over
	Stop                         // it is to end for good
	Replace                      // it is to start anew, with a new specification
	StepTimedOut                 // the time of the rung is over
	Escalate                     // the next rung is wanted now
	Kill                         // the last rung is wanted now
)

var eventNames = [...]string{
	"start", "serves", "too late", "fails", "main ended", "ended well", "ended badly", "ended, again", "ended first", "delay over", "stop", "renew", "rung over",
	"hasten", "kill",
}

func (e Event) String() string { return eventNames[e] }

// Events lists them all.
func Events() []Event {
	all := make([]Event, len(eventNames))
	for i := range all {
		all[i] = Event(i)
	}
	return all
}

// Action is what is to be done about an event.
type Action uint8

// The actions.
const (
	Nothing         Action = iota
	Spawn                  // make a run
	NextStep               // begin the ladder, or go to its next rung
	LastStep               // go to the ladder's last rung
	ScheduleRestart        // let the restart policy's delay pass
	Complete               // tell that it succeeded
	Fail                   // tell that it failed for good
)

var actionNames = [...]string{"", "spawn", "climb", "climb to the last rung", "delay", "complete", "give up"}

func (a Action) String() string { return actionNames[a] }

type transition struct {
	to State
	do Action
}

// table is the whole machine. An event that is not listed for a state changes
// nothing: it is stale (a timer that fired while its run ended), or means what
// is the case already.
//
// In every state a stop is possible, and after it no run begins: Stopping and
// Stopped have no way to Starting but through Renew, which nobody asks for in a
// stop.
var table = map[State]map[Event]transition{
	Waiting: {
		Start: {Starting, Spawn},
		Stop:  {Stopped, Nothing},
	},
	Starting: {
		BecameReady:     {Ready, Nothing},
		ReadyTimedOut:   {Unready, NextStep},
		MainEnded:       {Ending, NextStep},
		EndedWell:       {Succeeded, Complete},
		EndedBadly:      {Failed, Fail},
		EndedToRestart:  {BackingOff, ScheduleRestart},
		EndedBeforeStop: {Stopped, Nothing},
		Stop:            {Stopping, NextStep},
		Replace:         {Replacing, NextStep},
	},
	Ready: {
		CheckFailed:     {Unready, NextStep},
		MainEnded:       {Ending, NextStep},
		EndedWell:       {Succeeded, Complete},
		EndedBadly:      {Failed, Fail},
		EndedToRestart:  {BackingOff, ScheduleRestart},
		EndedBeforeStop: {Stopped, Nothing},
		Stop:            {Stopping, NextStep},
		Replace:         {Replacing, NextStep},
	},
	Unready: {
		EndedWell:       {Failed, Fail}, // it ended as asked, but that does not make it a success
		EndedBadly:      {Failed, Fail},
		EndedToRestart:  {BackingOff, ScheduleRestart},
		EndedBeforeStop: {Stopped, Nothing},
		Stop:            {Stopping, Nothing}, // the ladder is under way
		Replace:         {Replacing, Nothing},
		StepTimedOut:    {Unready, NextStep},
		Escalate:        {Unready, NextStep},
		Kill:            {Unready, LastStep},
	},
	Ending: {
		EndedWell:       {Succeeded, Complete},
		EndedBadly:      {Failed, Fail},
		EndedToRestart:  {BackingOff, ScheduleRestart},
		EndedBeforeStop: {Stopped, Nothing},
		Stop:            {Stopping, Nothing}, // the ladder is under way
		Replace:         {Replacing, Nothing},
		StepTimedOut:    {Ending, NextStep},
		Escalate:        {Ending, NextStep},
		Kill:            {Ending, LastStep},
	},
	BackingOff: {
		DelayElapsed: {Waiting, Nothing},
		Stop:         {Stopped, Nothing},
		Replace:      {Waiting, Nothing},
	},
	Replacing: {
		EndedWell:       {Waiting, Nothing},
		EndedBadly:      {Waiting, Nothing},
		EndedToRestart:  {Waiting, Nothing},
		EndedBeforeStop: {Waiting, Nothing},
		Stop:            {Stopping, Nothing},
		StepTimedOut:    {Replacing, NextStep},
		Escalate:        {Replacing, NextStep},
		Kill:            {Replacing, LastStep},
	},
	Stopping: {
		EndedWell:       {Stopped, Nothing},
		EndedBadly:      {Stopped, Nothing},
		EndedToRestart:  {Stopped, Nothing},
		EndedBeforeStop: {Stopped, Nothing},
		Replace:         {Replacing, Nothing}, // it was taken out of the file, and is back
		StepTimedOut:    {Stopping, NextStep},
		Escalate:        {Stopping, NextStep},
		Kill:            {Stopping, LastStep},
	},
	Succeeded: {Replace: {Waiting, Nothing}},
	Failed:    {Replace: {Waiting, Nothing}},
	Stopped:   {Replace: {Waiting, Nothing}},
}

// Next is the machine: a pure function.
func Next(s State, e Event) (State, Action) {
	if t, ok := table[s][e]; ok {
		return t.to, t.do
	}
	return s, Nothing
}
