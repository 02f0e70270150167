package probe

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, begin := 0, time.Now()
		p := Probe(func(context.Context) error {
			if looks++; looks == 5 {
				return nil
			}
			return errors.New("not yet")
		})
		if err := p.Poll(t.Context(), 2*time.Millisecond); err != nil ||
			time.Since(begin) != 7*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// What a look says that was cut short is not what was seen last.
func TestUntilSaysWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		looks := 0
		p := Probe(func(ctx context.Context) error {
			if looks++; looks == 1 {
				return errors.New("the answer is 503")
			}
			<-ctx.Done()
			return ctx.Err()
		})
		if err := p.Poll(ctx, MaxPollInterval); err == nil || err.Error() != "the answer is 503" {
			t.Error(err)
		}
	})
}
