package timeout

import (
	"testing"
	"time"
)

// TestLeft lists what happens to the supervisor after the start of a timeout of 10 s: it runs for a
// time (positive), or it is paused (negative).
func TestLeft(t *testing.T) {
	const s, length = time.Second, 10 * time.Second
	for _, tt := range []struct {
		name  string
		after []time.Duration
		left  time.Duration
	}{
		{"it runs", []time.Duration{4 * s}, 6 * s},
		{"it runs to the end", []time.Duration{10 * s}, 0},
		{"a delay within the tolerance", []time.Duration{4 * s, -Tolerance}, 6*s - Tolerance},
		{"a delay within the tolerance at the end",
			[]time.Duration{10 * s, -Tolerance}, -Tolerance},
		{"a pause starts it again", []time.Duration{4 * s, -Tolerance - 1}, 10 * s},
		{"a long pause", []time.Duration{4 * s, -3600 * s}, 10 * s},
		{"a pause at the end", []time.Duration{10 * s, -60 * s}, 10 * s},
		{"it runs after the pause", []time.Duration{4 * s, -60 * s, 9 * s}, 1 * s},
		{"two pauses", []time.Duration{4 * s, -60 * s, 6 * s, -60 * s}, 10 * s},
		{"no more than its length in sum",
			[]time.Duration{4 * s, -60 * s, 9 * s, -60 * s}, 7 * s},
		{"many short runs", []time.Duration{s, -s, s, -s, s, -s, s, -s, s, -s, s, -s}, 10 * s},
		{"many pauses", []time.Duration{6 * s, -s, 6 * s, -s, 6 * s, -s, 1 * s, -s}, 1 * s},
		{"a child that hangs is found", []time.Duration{6 * s, -s, 6 * s, -s, 8 * s, -s}, 0},
	} {
		const start = 1000 * s // of the timeout; there was a pause before
		now := start
		m := Moment{ran: start - 50*s, paused: 50 * s, resumed: 900 * s}
		timeout := Timeout{m, length}
		for _, d := range tt.after {
			now += d.Abs()
			if d < 0 {
				m.advance(now, now+d)
			} else {
				m.advance(now, now)
			}
		}
		if left := timeout.Left(m); left != tt.left {
			t.Errorf("%s: %v is left, want %v", tt.name, left, tt.left)
		}
	}
}

// TestOverload checks that a timeout ends although each comparison is late.
func TestOverload(t *testing.T) {
	const length, interval, late = 10 * time.Second, 500 * time.Millisecond, time.Minute
	var m Moment
	timeout, now, n := Timeout{m, length}, time.Duration(0), 0
	for ; timeout.Left(m) > 0; n++ {
		now += interval + late
		m.advance(now, now-late)
	}
	if most := int(2 * length / interval); n != most {
		t.Errorf("the timeout ended after %d comparisons, want %d", n, most)
	}
}

// TestAdvance checks that the time for which the supervisor ran never gets smaller.
func TestAdvance(t *testing.T) {
	const ms = time.Millisecond
	var m Moment
	for _, tt := range []struct{ now, expected, ran, paused time.Duration }{
		{100 * ms, 100 * ms, 100 * ms, 0},
		{350 * ms, 200 * ms, 350 * ms, 0},        // late, but within the tolerance
		{420 * ms, 200 * ms, 420 * ms, 0},        // it ran 70 ms before
		{700 * ms, 200 * ms, 420 * ms, 280 * ms}, // it did not run since
		{800 * ms, 900 * ms, 520 * ms, 0},        // early
		{1900 * ms, 900 * ms, 620 * ms, 1000 * ms},
	} {
		paused := m.advance(tt.now, tt.expected)
		if paused != tt.paused || m.ran != tt.ran {
			t.Errorf("at %v: paused %v, ran %v; want %v, %v",
				tt.now, paused, m.ran, tt.paused, tt.ran)
		}
	}
}
