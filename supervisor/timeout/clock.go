package timeout

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Clock measures the time for which the supervisor ran. Any goroutine may call its methods.
//
// Within each timeout the clock compares the time with its plan several times. So it also finds a
// pause that is over before the end of the timeout. A clock without a timeout has no timer.
type Clock struct {
	now    func() time.Duration
	report func(paused time.Duration)

	mu       sync.Mutex // guards all fields below and the timers
	moment   Moment
	timers   map[*Timer]bool // those that run
	expected time.Duration   // the next comparison; valid while next is not nil
	next     *time.Timer     // the timer of the next comparison; nil: no timeout runs
}

// New returns a clock. now returns the time since a fixed moment; see [Boottime]. The clock calls
// report with the length of each pause that it finds. report must neither wait nor call the clock.
func New(now func() time.Duration, report func(paused time.Duration)) *Clock {
	return &Clock{now: now, report: report, timers: map[*Timer]bool{}}
}

// Boottime returns the time since the machine was started. CLOCK_BOOTTIME includes the time for
// which the machine slept (clock_gettime(2)). The clock of package time does not.
func Boottime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // it fails only for an unknown clock
	return time.Duration(t.Nano())
}

// Ran returns for how long the supervisor ran. The clock finds only pauses during a timeout.
func (c *Clock) Ran() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read().ran
}

// Paused returns the length of all pauses so far. The clock finds only pauses during a timeout.
func (c *Clock) Paused() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read().paused
}

// read reads the time. The caller holds c.mu here and in all methods below that start in lower
// case.
func (c *Clock) read() Moment {
	now := c.now()
	expected := now
	if c.next != nil {
		expected = c.expected
	}
	if paused := c.moment.advance(now, expected); paused > 0 {
		c.expectIn(c.interval())
		c.report(paused)
	}
	return c.moment
}

// expectIn plans the next comparison.
func (c *Clock) expectIn(d time.Duration) {
	c.expected = c.now() + d
	if c.next == nil {
		c.next = time.AfterFunc(d, c.compare)
	} else {
		c.next.Reset(d)
	}
}

// compare compares the time with the plan.
func (c *Clock) compare() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		return
	}
	c.read()
	if len(c.timers) == 0 {
		c.next = nil
		return
	}
	c.expectIn(c.interval())
}

// interval returns the time between two comparisons.
func (c *Clock) interval() time.Duration {
	least := time.Hour
	for t := range c.timers {
		least = min(least, t.interval)
	}
	return least
}

const (
	parts         = 16 // comparisons within a timeout
	watchdogParts = 4  // comparisons within the timeout of a watchdog
	minInterval   = 100 * time.Millisecond
)

// AfterFunc calls f in a goroutine of its own at the end of a timeout.
func (c *Clock) AfterFunc(length time.Duration, f func()) *Timer {
	return c.start(length, parts, f)
}

// Watchdog is like [Clock.AfterFunc], for the timeout of a watchdog. It makes fewer comparisons,
// since the timeout runs as long as the child. A healthy child restarts the timeout when half of it
// is over (sd_watchdog_enabled(3)), so a pause within one quarter of it does no harm.
func (c *Clock) Watchdog(length time.Duration, f func()) *Timer {
	return c.start(length, watchdogParts, f)
}

func (c *Clock) start(length time.Duration, parts time.Duration, f func()) *Timer {
	t := &Timer{clock: c, call: f, interval: max(length/parts, minInterval)}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.timeout = Timeout{c.read(), length}
	c.run(t)
	t.timer = time.AfterFunc(length, t.end)
	return t
}

// run adds a timer that runs.
func (c *Clock) run(t *Timer) {
	c.timers[t] = true
	if c.next == nil || c.now()+t.interval < c.expected {
		c.expectIn(t.interval)
	}
}

// WithTimeout returns a context that ends at the end of a timeout, or with the parent.
func (c *Clock) WithTimeout(parent context.Context, length time.Duration) (
	context.Context, context.CancelFunc,
) {
	ctx, cancel := context.WithCancelCause(parent)
	t := c.AfterFunc(length, func() { cancel(context.DeadlineExceeded) })
	return timeoutContext{ctx}, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}

// timeoutContext is a context whose error says that the time is over, as that of
// [context.WithTimeout].
type timeoutContext struct{ context.Context }

func (c timeoutContext) Err() error {
	if err := c.Context.Err(); err == nil || context.Cause(c.Context) != context.DeadlineExceeded {
		return err
	}
	return context.DeadlineExceeded
}

// Timer calls a function at the end of a timeout. Its methods may be called by any goroutine.
type Timer struct {
	clock    *Clock
	call     func()
	interval time.Duration // between two comparisons

	timeout Timeout
	timer   *time.Timer
}

// end calls the function, unless time is left.
func (t *Timer) end() {
	c := t.clock
	c.mu.Lock()
	running := c.timers[t]
	if running {
		if left := t.timeout.Left(c.read()); left > 0 {
			t.timer.Reset(left)
			running = false
		}
	}
	if running {
		delete(c.timers, t)
	}
	c.mu.Unlock()
	if running {
		t.call()
	}
}

// Restart starts the timeout again from now on, also after its end. Do not call it after Stop.
func (t *Timer) Restart() {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	t.timeout.start = c.read()
	if !c.timers[t] {
		c.run(t)
		t.timer.Reset(t.timeout.length)
	}
}

// Left returns the time until the end of the timeout.
func (t *Timer) Left() time.Duration {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.timeout.Left(c.read())
}

// Stop ends the timeout. The function is not called after that, but a call may have begun.
func (t *Timer) Stop() {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.timers, t)
	t.timer.Stop()
}
