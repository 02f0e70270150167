package timeout

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTime is the time of a synctest bubble, and the pauses in it.
type fakeTime struct {
	base   time.Time
	paused atomic.Int64 // nanoseconds
	found  []time.Duration
}

// newClock returns a clock that adds the pauses to the time of the bubble.
func newClock() (*Clock, *fakeTime) {
	f := &fakeTime{base: time.Now()}
	now := func() time.Duration { return time.Since(f.base) + time.Duration(f.paused.Load()) }
	return New(now, func(d time.Duration) { f.found = append(f.found, d) }), f
}

// pause lets the clock pause for d, once all goroutines wait.
func (f *fakeTime) pause(d time.Duration) {
	synctest.Wait()
	f.paused.Add(int64(d))
}

// TestTimer lists pauses by the time of the bubble at which they happen, and the time at which
// a timeout of 16 s ends. A restart of the timeout is a pause without a length.
func TestTimer(t *testing.T) {
	const s = time.Second
	type pauseAt struct{ at, length time.Duration }
	for _, tt := range []struct {
		name   string
		events []pauseAt
		end    time.Duration
	}{
		{"it runs", nil, 16 * s},
		{"a pause at once", []pauseAt{{0, 60 * s}}, 17 * s},
		{"a pause shorter than the timeout", []pauseAt{{4 * s, 8 * s}}, 21 * s},
		{"a pause that is over before the end", []pauseAt{{15*s + 500*time.Millisecond, s}},
			32 * s},
		{"three pauses", []pauseAt{{4 * s, 8 * s}, {6 * s, 8 * s}, {8 * s, 80 * s}}, 25 * s},
		{"no pause gives more than the length",
			[]pauseAt{{15 * s, 90 * s}, {29 * s, 90 * s}}, 32 * s},
		{"a restart", []pauseAt{{9 * s, 0}}, 25 * s},
		{"a pause before the restart", []pauseAt{{9 * s, 60 * s}, {12 * s, 0}}, 28 * s},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, f := newClock()
			var end time.Duration
			timer := c.AfterFunc(16*s, func() { end = time.Since(f.base) })
			paused := 0
			for _, e := range tt.events {
				time.Sleep(e.at - time.Since(f.base))
				synctest.Wait()
				if e.length == 0 {
					timer.Restart()
				} else {
					f.pause(e.length)
					paused++
				}
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if end != tt.end {
				t.Errorf("%s: it ended at %v, want %v", tt.name, end, tt.end)
			}
			if len(f.found) != paused {
				t.Errorf("%s: found %v, want each pause once", tt.name, f.found)
			}
		})
	}
}

// TestStop checks that a stopped timer does not call its function, that a restart after the end
// starts it again, and that a clock without a timeout has no timer.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newClock()
		var calls atomic.Int32
		stopped := c.AfterFunc(time.Second, func() { t.Error("a stopped timer called") })
		again := c.Watchdog(2*time.Second, func() { calls.Add(1) })
		stopped.Stop()
		time.Sleep(3 * time.Second)
		again.Restart()
		time.Sleep(time.Second)
		synctest.Wait()
		if left := again.Left(); left != time.Second || calls.Load() != 1 {
			t.Errorf("%v is left, %d calls, want 1s, 1", left, calls.Load())
		}
		time.Sleep(2 * time.Second)
		f.pause(time.Hour) // nobody waits, so nobody notices
		synctest.Wait()
		if calls.Load() != 2 || c.next != nil || len(c.timers) > 0 || c.Paused() != 0 {
			t.Errorf("%d calls, comparisons %v, timers %v, paused %v; want 2 calls alone",
				calls.Load(), c.next != nil, c.timers, c.Paused())
		}
	})
}

// TestManyTimers checks that one pause is reported once, and that each timeout starts again.
func TestManyTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newClock()
		ends := make(chan time.Duration, 100)
		for i := range cap(ends) {
			c.AfterFunc(time.Second+time.Duration(i)*time.Millisecond, func() {
				ends <- time.Since(f.base)
			})
		}
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		f.pause(5 * time.Second)
		for i := range cap(ends) {
			least := 1900*time.Millisecond + time.Duration(i)*time.Millisecond
			if at := <-ends; at < least {
				t.Errorf("timer %d ended at %v, want %v at the earliest", i, at, least)
			}
		}
		if !slices.Equal(f.found, []time.Duration{5 * time.Second}) {
			t.Errorf("found %v, want one pause of 5s", f.found)
		}
		time.Sleep(time.Minute)
	})
}

func TestWithTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := newClock()
		ctx, cancel := c.WithTimeout(t.Context(), 16*time.Second)
		defer cancel()
		time.Sleep(8 * time.Second)
		f.pause(5 * time.Second)
		child, cancelChild := context.WithCancel(ctx)
		defer cancelChild()
		<-child.Done()
		at, want := time.Since(f.base), context.DeadlineExceeded
		if at != 25*time.Second || ctx.Err() != want {
			t.Errorf("it ended at %v with %v, want 25s, %v", at, ctx.Err(), want)
		}
		parent, cancelParent := context.WithCancel(t.Context())
		ctx, cancel = c.WithTimeout(parent, time.Second)
		defer cancel()
		if ctx.Err() != nil {
			t.Error("the context ended at once")
		}
		cancelParent()
		<-ctx.Done()
		if ctx.Err() != context.Canceled {
			t.Errorf("error %v, want %v", ctx.Err(), context.Canceled)
		}
	})
}

// TestBoottime checks that the clock advances.
func TestBoottime(t *testing.T) {
	a, b := Boottime(), time.Duration(0)
	for b = Boottime(); b == a; b = Boottime() {
	}
	if a <= 0 || b < a {
		t.Errorf("got %v, then %v", a, b)
	}
}
