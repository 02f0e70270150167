package sigaction

import (
	"errors"
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSet checks that Set changes the action of a signal, and that Get returns it.
func TestSet(t *testing.T) {
	old, err := Get(unix.SIGUSR1)
	if err != nil {
		t.Fatal(err)
	}
	const ignore = 1 // SIG_IGN
	if err := (&Action{Handler: ignore}).Set(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	got, err := Get(unix.SIGUSR1)
	if err != nil || got != (Action{Handler: ignore}) {
		t.Errorf("got action %+v and error %v, want an ignored signal", got, err)
	}
	if err := old.Set(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if got, err := Get(unix.SIGUSR1); err != nil || got != old {
		t.Errorf("got action %+v and error %v, want the first one, %+v", got, err, old)
	}
}

// TestBadSignal checks the error for signals that have no action which can change.
func TestBadSignal(t *testing.T) {
	for _, sig := range []unix.Signal{0, unix.SIGKILL, 65} {
		if err := new(Action).Set(sig); !errors.Is(err, unix.EINVAL) {
			t.Errorf("signal %d: got error %v, want %v", sig, err, unix.EINVAL)
		}
	}
	if _, err := Get(65); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got error %v, want %v", err, unix.EINVAL)
	}
}

// caught catches SIGUSR1 with os/signal until the end of the test. It returns the channel and the
// action that Go's runtime has installed.
func caught(t *testing.T) (<-chan os.Signal, Action) {
	t.Helper()
	in := make(chan os.Signal, 1)
	signal.Notify(in, unix.SIGUSR1)
	t.Cleanup(func() { signal.Reset(unix.SIGUSR1) })
	a, err := Get(unix.SIGUSR1)
	if err != nil {
		t.Fatal(err)
	}
	return in, a
}
