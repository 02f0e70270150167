package app

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An equal request within the window is the same one; the window belongs to the
// request, not to its repetitions, and signals that ask for no end have none.
func TestRepeats(t *testing.T) {
	const ms = time.Millisecond
	for name, arrivals := range map[string][]struct {
		at     time.Duration
		signal unix.Signal
		again  bool
	}{
		"twice at once": {
			{0, unix.SIGTERM, false}, {0, unix.SIGTERM, true}, {499 * ms, unix.SIGTERM, true},
		},
		"later": {
			{0, unix.SIGTERM, false}, {500 * ms, unix.SIGTERM, false}, {999 * ms, unix.SIGTERM, true},
		},
		"steadily": {
			{0, unix.SIGINT, false}, {400 * ms, unix.SIGINT, true}, {800 * ms, unix.SIGINT, false},
			{1200 * ms, unix.SIGINT, true},
		},
		"another": {
			{0, unix.SIGTERM, false}, {1 * ms, unix.SIGINT, false}, {2 * ms, unix.SIGTERM, false},
		},
		"no end": {
			{0, unix.SIGHUP, false}, {0, unix.SIGHUP, false},
			{0, unix.SIGUSR1, false}, {0, unix.SIGUSR1, false},
		},
		"something between": {
			{0, unix.SIGQUIT, false}, {1 * ms, unix.SIGWINCH, false}, {2 * ms, unix.SIGQUIT, true},
		},
	} {
		var r repeats
		start := time.Now()
		for i, a := range arrivals {
			if again := r.is(a.signal, start.Add(a.at)); again != a.again {
				t.Errorf("%s, %d: %v", name, i+1, again)
			}
		}
	}
}
