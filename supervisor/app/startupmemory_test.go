package app

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/event"
)

// TestStartupMemoryClose checks that close waits for a release that is under way.
func TestStartupMemoryClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, release, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
		c := newStartupMemory(func(bool) {
			close(started)
			<-release
		})
		c.emit(event.Ready{})
		<-started
		go func() {
			c.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("close returned before the release ended")
		default:
		}
		close(release)
		<-closed
	})
}

// TestStartupMemoryReleases checks that memory is released twice after the last child became ready,
// the second time after the inspection of its process, and not in a stop.
func TestStartupMemoryReleases(t *testing.T) {
	ready := func() event.Event { return event.Ready{} }
	for _, tt := range []struct {
		name   string
		events []event.Event // one every 150 ms
		times  int
	}{
		{"no child is ready", nil, 0},
		{"three children become ready in turn", []event.Event{ready(), ready(), ready()}, 2},
		{"a child becomes ready again", []event.Event{ready(), nil, nil, ready(), nil, nil}, 3},
		{
			"a signal arrives first",
			[]event.Event{ready(), event.SignalReceived{Signal: "SIGTERM"}, nil}, 0,
		},
		{
			"a shutdown begins after the first release",
			[]event.Event{ready(), nil, event.ShutdownBegun{}, nil}, 1,
		},
		{"a shutdown begins", []event.Event{ready(), event.ShutdownBegun{}, nil}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				times := 0
				c := newStartupMemory(func(bool) { times++ })
				for _, e := range tt.events {
					if e != nil {
						c.emit(e)
					}
					time.Sleep(150 * time.Millisecond) // in the time of synctest
				}
				time.Sleep(2 * time.Second)
				c.close()
				time.Sleep(2 * time.Second)
				if times != tt.times {
					t.Errorf("released %d times, want %d", times, tt.times)
				}
			})
		})
	}
}

// TestStartupMemoryCollects checks that garbage is collected only in the second release, and only
// after the start of many children.
func TestStartupMemoryCollects(t *testing.T) {
	for _, tt := range []struct {
		children int
		want     []bool
	}{
		{manyChildren - 1, []bool{false, false}},
		{manyChildren, []bool{false, true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got []bool
			c := newStartupMemory(func(collect bool) { got = append(got, collect) })
			for range tt.children {
				c.emit(event.Ready{})
			}
			time.Sleep(2 * time.Second) // in the time of synctest
			c.close()
			if !slices.Equal(got, tt.want) {
				t.Errorf("%d children: collected %v, want %v", tt.children, got, tt.want)
			}
		})
	}
}
