package phase

import "time"

// State is what the signals of a stop wait for.
type State uint8

// The states of a delivery. Signals wait in Unhandled, Queued and Scanning. A timer ends each
// of these.
const (
	NoStop    State = iota // no stop has started; a forwarded signal is sent at once
	Unhandled              // the first signal waits until the program handles it
	Queued                 // the fd scan before the signals waits in the queue of scans
	Scanning               // the fd scan before the signals is under way
	Direct                 // each signal is sent at once
)

var stateNames = [...]string{"no stop", "unhandled", "queued", "scanning", "direct"}

func (s State) String() string { return stateNames[s] }

// Waits reports whether signals wait.
func (s State) Waits() bool { return s == Unhandled || s == Queued || s == Scanning }

// Event is an event of a delivery.
type Event uint8

// The events of a delivery.
const (
	NoHandler      Event = iota // the program does not handle the first signal yet
	NoScan                      // the signals may be sent, and no scan is requested
	QueueFree                   // the signals may be sent after a scan, which can start now
	QueueFull                   // the signals may be sent after a scan, which cannot start yet
	Dequeued                    // the scan is next in the queue
	Escalated                   // the next step of the stop sequence came
	Scanned                     // the scan is done
	ScanLate                    // the scan took too long
	MainGone                    // the main process has ended, and a step came or the scan is next
	DeadlinePassed              // the orphan cleanup sends SIGKILL in place of the pending signals
)

var eventNames = [...]string{
	"no handler", "no scan", "queue free", "queue full", "dequeued", "escalated", "scanned",
	"scan late", "main gone", "deadline passed",
}

func (e Event) String() string { return eventNames[e] }

// Action is what the process loop does after an event.
type Action uint8

// The actions.
const (
	Nothing     Action = iota
	Enqueue            // put the process into the queue of scans
	Scan               // start the fd scan before the signals
	Deliver            // send the pending signals in their order
	DeliverLate        // trace the main process without its scan, and send the pending signals
	Discard            // drop the pending signals
)

var actionNames = [...]string{
	"", "enqueue", "scan", "deliver", "trace, deliver", "discard",
}

func (a Action) String() string { return actionNames[a] }

type step struct {
	to State
	do Action
}

// deliveries is the state machine. An event that is not listed for a state changes nothing: it
// is stale, like the end of a scan after its timeout.
//
// A scan in the queue does not delay an escalation: the next step has its own timeout.
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

// Next returns the state after an event, and the action. It is a pure function.
func Next(s State, e Event) (State, Action) {
	if t, ok := deliveries[s][e]; ok {
		return t.to, t.do
	}
	return s, Nothing
}

// Limits are the longest times in the states of a delivery.
type Limits struct {
	Queued   time.Duration // longest wait of a scan in the queue
	Scanning time.Duration // longest wait for a scan
}

// Delivery is the delivery of the signals of one stop. In the zero value the stop has not
// started.
type Delivery struct {
	State State
	// Until is the time of the next tick. Queued and Scanning end then at the latest. In
	// Unhandled the loop checks again then whether the program handles the signal. It is
	// zero in other states.
	Until time.Time
}

// Handle changes the state, and returns the action.
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
