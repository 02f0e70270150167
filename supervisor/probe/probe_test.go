package probe

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts, start := 0, time.Now()
		p := Probe(func(context.Context) error {
			if attempts++; attempts == 5 {
				return nil
			}
			return errors.New("not yet")
		})
		if err := p.Poll(t.Context(), 2*time.Millisecond); err != nil ||
			time.Since(start) != 7*time.Millisecond {
			t.Errorf("error %v after %v, want none after 7ms", err, time.Since(start))
		}
	})
}

// TestPollReturnsLastError checks that an attempt that was interrupted does not hide the error of
// the one before.
func TestPollReturnsLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		attempts := 0
		p := Probe(func(ctx context.Context) error {
			if attempts++; attempts == 1 {
				return errors.New("the answer is 503")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err := p.Poll(ctx, MaxPollInterval); err == nil || err.Error() != "the answer is 503" {
			t.Errorf("error %v, want that of the first attempt", err)
		}
	})
}
