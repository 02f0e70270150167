package app

import (
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/event"
)

// What is given back in the background ends before the books are counted.
func TestColdEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, release, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
		c := newCold(func() {
			close(begun)
			<-release
		})
		c.emit(event.Ready{})
		<-begun
		go func() {
			c.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("it is closed while it is at work")
		default:
		}
		close(release)
		<-closed
	})
}

// It happens once, a moment after the last child got ready, and not in a stop.
func TestColdComesOnce(t *testing.T) {
	ready := func() event.Event { return event.Ready{} }
	for _, tt := range []struct {
		name   string
		events []event.Event // one every 150 ms
		times  int
	}{
		{"nobody is ready", nil, 0},
		{"three are, one after the other", []event.Event{ready(), ready(), ready()}, 1},
		{"a restart later", []event.Event{ready(), nil, nil, ready(), nil, nil}, 1},
		{"a signal comes first", []event.Event{ready(), event.SignalReceived{Signal: "SIGTERM"}, nil}, 0},
		{"all ends by itself", []event.Event{ready(), event.ShutdownBegun{}, nil}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				times := 0
				c := newCold(func() { times++ })
				for _, e := range tt.events {
					if e != nil {
						c.emit(e)
					}
					time.Sleep(150 * time.Millisecond) // of the bubble
				}
				time.Sleep(time.Second)
				c.close()
				if times != tt.times {
					t.Errorf("%d times, want %d", times, tt.times)
				}
			})
		})
	}
}
