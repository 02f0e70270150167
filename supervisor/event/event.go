// Package event declares the facts that the supervisor reports about itself and its children.
// The package that learns of a fact makes one event of it. The log, the report, the guard and
// the service manager are sinks of the same events.
package event

import (
	"fmt"
	"time"
)

// Event is one fact. The types of this package are all the events there are.
type Event interface {
	// Record returns the event as the log shows it.
	Record() Record
}

// Sink takes events. Emit never blocks, and any goroutine may call it.
type Sink interface{ Emit(Event) }

// Record is an event as a log has it: a constant message, and its values as pairs of a key
// and a value. Keys and messages are stable, because scripts and dashboards search for them.
type Record struct {
	Level   Level
	Message string
	Fields  []any // key, value, key, value, …
}

// Level says how important a record is.
type Level int

// The levels. A person must act on a warning or an error, and can skip the rest.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Exit is how a process ended: with a code, or by a signal.
type Exit struct {
	Code   int    `json:"code" doc:"the exit code"`
	Signal string `json:"signal,omitempty" doc:"the signal that ended it; absent: it exited"`
	Core   bool   `json:"core,omitempty" doc:"the kernel wrote a core dump"`
}

// String returns the name of the signal, or the word code and the exit code.
func (e Exit) String() string {
	if e.Signal != "" {
		return e.Signal
	}
	return fmt.Sprint("code ", e.Code)
}

// OK reports whether the process exited with code 0.
func (e Exit) OK() bool { return e.Signal == "" && e.Code == 0 }

// fields returns the key and the value that tell how a process ended.
func (e Exit) fields() []any {
	if e.Signal != "" {
		return []any{"signal", e.Signal}
	}
	return []any{"code", e.Code}
}

// list returns a copy that is not nil, because JSON has null for a nil slice.
func list(names []string) []string { return append([]string{}, names...) }

// ms returns d in milliseconds, the unit of all keys that end in _ms.
func ms(d time.Duration) int64 { return d.Milliseconds() }
