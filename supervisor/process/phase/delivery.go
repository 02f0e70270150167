package phase

import "time"

// State is what the signals of a stop wait for.
type State uint8

// The states of a delivery. Signals wait in Unhandled, Queued and Scanning; a timer ends
// each of these.
const (
	NoStop    State = iota // no stop began; a signal that is passed on goes at once
	Unhandled              // the first signal waits until the program handles it
	Queued                 // the fd scan before the signals waits in the queue of scans
	Scanning               // the fd scan before the signals is under way
	Direct                 // each signal goes at once
)

var stateNames = [...]string{"no stop", "unhandled", "queued", "scanning", "direct"}

func (s State) String() string { return stateNames[s] }

// Waits reports whether signals wait.
func (s State) Waits() bool { return s == Unhandled || s == Queued || s == Scanning }

// Event is what happens to a delivery.
type Event uint8

// The events of a delivery.
const (
	NoHandler      Event = iota // the first signal would find no handler
	NoScan                      // the signals may go, and no scan is asked for
	QueueFree                   // the signals may go after a scan, which can begin now
	QueueFull                   // the signals may go after a scan, which cannot begin yet
	Dequeued                    // the scan is next in the queue
	Escalated                   // the next step of the stop sequence came
	Scanned                     // the scan is done
	ScanLate                    // the scan took too long
	MainGone                    // the main process has ended, and a step came or the scan is next
	DeadlinePassed              // the orphan cleanup sends SIGKILL in place of what waits
)

var eventNames = [...]string{
	"no handler", "no scan", "queue free", "queue full", "dequeued", "escalated", "scanned",
	"scan late", "main gone", "deadline passed",
}

func (e Event) String() string { return eventNames[e] }

// Action is what is to be done about an event.
type Action uint8

// The actions.
const (
	Nothing     Action = iota
	Enqueue            // put the run into the queue of scans
	Scan               // begin the fd scan before the signals
	Deliver            // send what waits, in its order
	DeliverLate        // trace the main process without its scan, and send what waits
	Discard            // drop what waits
)

var actionNames = [...]string{
	"", "enqueue", "scan", "deliver", "trace, deliver", "discard",
}

func (a Action) String() string { return actionNames[a] }

type step struct {
	to State
	do Action
}

// deliveries is the whole machine. An event that is not listed for a state changes
// nothing: it is stale, like the end of a scan that was not waited for.
//
// A scan in the queue does not delay an escalation: the next step has its own time.
var deliveries = map[State]map[Event]step{
	NoStop: {
		NoHandler: {Unhandled, Nothing},
		NoScan:    {Direct, Deliver},
		QueueFree: {Scanning, Scan},
		QueueFull: {Queued, Enqueue},
		MainGone:  {Direct, Nothing},
	},
	Unhandled: {
		NoScan:         {Direct, Deliver},
		QueueFree:      {Scanning, Scan},
		QueueFull:      {Queued, Enqueue},
		MainGone:       {Direct, Deliver},
		DeadlinePassed: {Direct, Discard},
	},
	Queued: {
		Dequeued:       {Scanning, Scan},
		Escalated:      {Scanning, Scan},
		MainGone:       {Direct, Deliver},
		DeadlinePassed: {Direct, Discard},
	},
	Scanning: {
		Scanned:        {Direct, Deliver},
		ScanLate:       {Direct, DeliverLate},
		MainGone:       {Direct, Deliver},
		DeadlinePassed: {Direct, Discard},
	},
	Direct: {},
}

// Next is the machine: a pure function.
func Next(s State, e Event) (State, Action) {
	if t, ok := deliveries[s][e]; ok {
		return t.to, t.do
	}
	return s, Nothing
}

// Limits of the states of a delivery.
type Limits struct {
	Queued   time.Duration // a scan waits no longer in the queue
	Scanning time.Duration // a scan is waited for no longer
}

// Delivery is the delivery of the signals of one stop. The zero value is that of a run
// whose stop has not begun.
type Delivery struct {
	State State
	// Until is when the delivery is due: Queued and Scanning end then at the latest, and
	// in Unhandled it is asked again then whether the program handles the signal. It is
	// zero in other states.
	Until time.Time
}

// Handle takes an event in, and returns what is to be done.
func (d *Delivery) Handle(e Event, now time.Time, limits Limits) Action {
	to, do := Next(d.State, e)
	if to == d.State {
		return do
	}
	*d = Delivery{State: to}
	switch to {
	case Unhandled:
		d.Until = now
	case Queued:
		d.Until = now.Add(limits.Queued)
	case Scanning:
		d.Until = now.Add(limits.Scanning)
	}
	return do
}
