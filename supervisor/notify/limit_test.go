package notify

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEffectLimit(t *testing.T) {
	var l effectLimit
	now := time.Unix(1000, 0)
	for i, c := range []struct {
		after time.Duration
		n     int
		want  time.Duration
	}{
		{0, 0, 0},
		{0, maxBurst, 0},
		{0, 1, effectInterval},
		{effectInterval, 0, 0},
		{0, 20, 20 * effectInterval},
		{time.Hour, maxBurst + 1, effectInterval}, // rest does not add up
	} {
		now = now.Add(c.after)
		if got := l.add(c.n, now); got != c.want {
			t.Errorf("%d: got %v, want %v", i, got, c.want)
		}
	}
}

func TestStatusLimit(t *testing.T) {
	var l statusLimit
	begun := time.Unix(1000, 0)
	at := func(d time.Duration) time.Time { return begun.Add(d) }
	add := func(d time.Duration, text, want string) {
		t.Helper()
		due, waits := l.add(text, at(d))
		got := "nothing"
		if waits {
			got = fmt.Sprint(due.Sub(begun))
		}
		if got != want {
			t.Errorf("%q at %v: due at %s, want %s", text, d, got, want)
		}
	}
	take := func(d time.Duration, want string) {
		t.Helper()
		text, n, ok := l.take(at(d))
		if got := fmt.Sprint(text, " ", n, " ", ok); got != want {
			t.Errorf("take at %v: got %s, want %s", d, got, want)
		}
	}
	add(0, "", "0s") // the first text is passed on even if it is empty
	take(0, " 1 true")
	add(100*time.Millisecond, "", "nothing")
	add(200*time.Millisecond, "a", "1s")
	add(300*time.Millisecond, "b", "1s")
	take(time.Second, "b 2 true")
	add(1100*time.Millisecond, "a", "2s")
	add(1200*time.Millisecond, "b", "2s")
	take(2*time.Second, "b 2 false")
	add(2100*time.Millisecond, "c", "2.1s") // nothing was passed on for a second
	take(2100*time.Millisecond, "c 1 true")
	take(2200*time.Millisecond, "c 0 false")
}

// flood sends a text until the test ends.
func flood(t *testing.T, s *Inbox, text func(i int) string) {
	c := client(t)
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !stop.Load(); i++ {
			to := &unix.SockaddrUnix{Name: s.Address()}
			if unix.Sendto(c, []byte(text(i)), unix.MSG_DONTWAIT, to) != nil {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	t.Cleanup(func() {
		stop.Store(true)
		<-done
	})
}

// TestFlood checks that a process that floods its socket does not delay the messages of another
// one, and that what it sends is limited.
func TestFlood(t *testing.T) {
	texts := map[string]func(int) string{
		"empty":    func(int) string { return "" },
		"status":   func(i int) string { return fmt.Sprint("STATUS=", i) },
		"watchdog": func(int) string { return "WATCHDOG=1" },
		"ready":    func(int) string { return "READY=1" },
		"main pid": func(i int) string { return fmt.Sprint("MAINPID=", i) },
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, place(t))
			hostile, honest, c := r.socket(os.Geteuid()), r.socket(os.Geteuid()), client(t)
			flood(t, hostile, text)
			statuses, effects := 0, 0
			begun := time.Now()
			for n := 0; n < 20; n++ {
				send(t, c, honest, fmt.Sprint("MAINPID=", n+1))
				start := time.Now()
				for got := []Message(nil); got == nil; {
					got, _ = honest.Messages(0)
					if time.Since(start) > limit {
						t.Fatal("a message of the honest process was not read")
					}
					m, _ := hostile.Messages(0)
					for _, m := range m {
						if m.HasStatus {
							statuses++
						}
						if effective(m) {
							effects++
						}
					}
					time.Sleep(time.Millisecond)
				}
			}
			seconds := int(time.Since(begun)/time.Second) + 1
			if statuses > seconds {
				t.Errorf("%d status texts in %d s, want one a second at most", statuses, seconds)
			}
			if most := maxBurst + batchSize + 10*seconds; effects > most {
				t.Errorf("%d effective messages in %d s, want %d at most", effects, seconds, most)
			}
		})
	}
}

// TestFloodWithoutMessages checks that the messages that are not taken are limited.
func TestFloodWithoutMessages(t *testing.T) {
	r := newReceiver(t, place(t))
	s := r.socket(os.Geteuid())
	flood(t, s, func(int) string { return "WATCHDOG=1" })
	deadline := time.Now().Add(limit)
	for !s.full() && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	s.mu.Lock()
	n := len(s.entries)
	s.mu.Unlock()
	if n < maxEntries || n > maxEntries+batchSize {
		t.Errorf("%d messages wait, want %d to %d", n, maxEntries, maxEntries+batchSize)
	}
}
