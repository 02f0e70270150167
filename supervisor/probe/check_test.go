package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/timeout"
)

// runCheck runs a Check with one attempt for each letter: s succeeds, f fails, t times out. A pause
// of the supervisor comes before the failure of F and the timeout of T. runCheck
// returns the calls of ended, the duration and the result of Run.
func runCheck(t *testing.T, attempts string) (changes []string, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var paused atomic.Int64 // nanoseconds
		n, base := 0, time.Now()
		now := func() time.Duration { return time.Since(base) + time.Duration(paused.Load()) }
		clock := timeout.New(now, func(time.Duration) {})
		c := Check{Clock: clock, Grace: time.Minute, Interval: 10 * time.Second,
			Timeout: time.Second, Limit: 3,
			Probe: func(ctx context.Context) error {
				if n++; n > len(attempts) {
					cancel()
					return nil
				}
				switch attempts[n-1] {
				case 'F':
					paused.Add(int64(time.Hour))
					fallthrough
				case 'f':
					return fmt.Errorf("fault %d", n)
				case 'T':
					paused.Add(int64(time.Hour))
					fallthrough
				case 't':
					<-ctx.Done()
					return errors.New("no answer")
				}
				return nil
			}}
		start := time.Now()
		err = c.Run(ctx, func(err error) { changes = append(changes, fmt.Sprint(err)) })
		took = time.Since(start)
		cancel()
	})
	return changes, took, err
}

func TestCheck(t *testing.T) {
	noAnswers := []string{"no answer", "no answer", "no answer"}
	for _, tt := range []struct {
		attempts string
		changes  []string
		err      string
	}{
		{"sss", nil, "<nil>"},
		{"sffsffs", []string{"fault 2", "fault 3", "<nil>", "fault 5", "fault 6", "<nil>"},
			"<nil>"},
		{"sfff", []string{"fault 2", "fault 3", "fault 4"}, "failed 3 times: fault 4"},
		{"ttt", noAnswers, "failed 3 times: no answer"},
		{"FsFFs", nil, "<nil>"},
		{"fFfFf", []string{"fault 1", "fault 3", "fault 5"}, "failed 3 times: fault 5"},
		{strings.Repeat("F", 33), []string{"fault 11", "fault 22", "fault 33"},
			"failed 3 times: fault 33"},
		{"TTT", noAnswers, "failed 3 times: no answer"},
	} {
		changes, took, err := runCheck(t, tt.attempts)
		if !slices.Equal(changes, tt.changes) || fmt.Sprint(err) != tt.err {
			t.Errorf(
				"%s: changes %q, error %v; want %q, %s", tt.attempts, changes, err, tt.changes,
				tt.err,
			)
		}
		n := time.Duration(len(tt.attempts))
		if err != nil {
			n-- // no interval after the last attempt
		}
		if least, most := time.Minute+n*9*time.Second,
			time.Minute+n*12*time.Second+3*time.Second; took < least || took > most {
			t.Errorf("%s took %v, want %v to %v", tt.attempts, took, least, most)
		}
	}
}

// TestCheckCancelled checks that a check whose context ends during an attempt did not fail.
func TestCheckCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		clock := timeout.New(timeout.Boottime, func(time.Duration) {})
		c := Check{Clock: clock, Interval: time.Second, Timeout: time.Hour, Limit: 1,
			Probe: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		if err := c.Run(ctx, func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
	})
}
