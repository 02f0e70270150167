package server

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/event"
)

// keptEvents is the number of events that a reader can get later.
const keptEvents = 256

// Events is a sink that keeps the last events for readers. A reader has a position and no buffer: a
// slow reader delays nobody, and is told how many events it missed.
type Events struct {
	mu      sync.Mutex
	ring    [keptEvents]stamped
	last    uint64        // the number of the newest event; 0: there is none
	changed chan struct{} // closed by the next event; nil: nobody waits

	followers atomic.Int32 // readers that continue with the events to come
}

type stamped struct {
	event.Record
	at time.Time
}

// Emit keeps an event. Events of the level debug are not kept, nor are those about a descriptor
// that is no finding: there can be thousands at a time.
func (s *Events) Emit(e event.Event) {
	switch x := e.(type) {
	case event.FDOpened:
		return
	case event.FDClosed:
		if x.Finding == "" {
			return
		}
	}
	record := e.Record()
	if record.Level == event.Debug {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.ring[s.last%keptEvents] = stamped{record, time.Now()}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// IsFollowed reports whether a reader waits for the events to come.
func (s *Events) IsFollowed() bool { return s.followers.Load() > 0 }

// after returns the oldest kept event that is newer than the number seq. If there is none, it
// returns a channel that the next event closes.
func (s *Events) after(seq uint64) (e stamped, number uint64, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq >= s.last {
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		return e, s.last, s.changed
	}
	number = seq + 1
	if s.last >= keptEvents {
		number = max(number, s.last-keptEvents+1)
	}
	return s.ring[number%keptEvents], number, nil
}

// read calls write for each event that is newer than the number seq. With follow it continues with
// the events to come until ctx ends. It returns the error of write.
func (s *Events) read(
	ctx context.Context, seq uint64, follow bool, write func(api.Event) error,
) error {
	if follow {
		s.followers.Add(1)
		defer s.followers.Add(-1)
	}
	for {
		e, number, wait := s.after(seq)
		if wait != nil {
			if !follow {
				return nil
			}
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		out := api.Event{
			Seq: number, At: e.at.UTC(), Level: levelNames[e.Level], Message: e.Message,
			Fields: fieldsOf(e.Record), Missed: number - seq - 1,
		}
		seq = number
		if err := write(out); err != nil {
			return err
		}
	}
}

var levelNames = map[event.Level]string{
	event.Debug: "debug", event.Info: "info", event.Warn: "warn", event.Error: "error",
}

// fieldsOf returns the values of a record by key.
func fieldsOf(r event.Record) map[string]any {
	if len(r.Fields) == 0 {
		return nil
	}
	fields := make(map[string]any, len(r.Fields)/2)
	for i := 0; i+1 < len(r.Fields); i += 2 {
		v := r.Fields[i+1]
		if s, ok := v.(fmt.Stringer); ok {
			v = s.String()
		} else if err, ok := v.(error); ok {
			v = err.Error()
		}
		fields[fmt.Sprint(r.Fields[i])] = v
	}
	return fields
}
