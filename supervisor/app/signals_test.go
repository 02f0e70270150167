package app

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRepeats checks that an equal stop signal within the window is a repetition, that repetitions
// do not extend the window, and that other signals are never repetitions.
func TestRepeats(t *testing.T) {
	const ms = time.Millisecond
	for name, arrivals := range map[string][]struct {
		at     time.Duration
		signal unix.Signal
		repeat bool
	}{
		"at once": {
			{0, unix.SIGTERM, false}, {0, unix.SIGTERM, true}, {499 * ms, unix.SIGTERM, true},
		},
		"after the window": {
			{0, unix.SIGTERM, false}, {500 * ms, unix.SIGTERM, false},
			{999 * ms, unix.SIGTERM, true},
		},
		"every 400 ms": {
			{0, unix.SIGINT, false}, {400 * ms, unix.SIGINT, true}, {800 * ms, unix.SIGINT, false},
			{1200 * ms, unix.SIGINT, true},
		},
		"another stop signal": {
			{0, unix.SIGTERM, false}, {1 * ms, unix.SIGINT, false}, {2 * ms, unix.SIGTERM, false},
		},
		"not a stop signal": {
			{0, unix.SIGHUP, false}, {0, unix.SIGHUP, false},
			{0, unix.SIGUSR1, false}, {0, unix.SIGUSR1, false},
		},
		"another signal in between": {
			{0, unix.SIGQUIT, false}, {1 * ms, unix.SIGWINCH, false}, {2 * ms, unix.SIGQUIT, true},
		},
	} {
		var r repeats
		start := time.Now()
		for i, a := range arrivals {
			if repeat := r.isRepeat(a.signal, start.Add(a.at)); repeat != a.repeat {
				t.Errorf("%s: signal %d: repetition %v, want %v", name, i+1, repeat, a.repeat)
			}
		}
	}
}
