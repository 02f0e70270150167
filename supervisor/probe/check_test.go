package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// check runs a check whose looks go as the letters say: g well, b badly, h not
// at all. It returns what was told, and the end.
func check(t *testing.T, looks string) (told []string, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		c := Check{Grace: time.Minute, Interval: 10 * time.Second, Timeout: time.Second, Limit: 3,
			Probe: func(ctx context.Context) error {
				if n++; n > len(looks) {
					cancel()
					return nil
				}
				switch looks[n-1] {
				case 'b':
					return fmt.Errorf("bad %d", n)
				case 'h':
					<-ctx.Done()
					return errors.New("no answer")
				}
				return nil
			}}
		begin := time.Now()
		err = c.Run(ctx, func(err error) { told = append(told, fmt.Sprint(err)) })
		took = time.Since(begin)
		cancel()
	})
	return told, took, err
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		looks string
		told  []string
		err   string
	}{
		{"ggg", nil, "<nil>"},
		{"gbbgbbg", []string{"bad 2", "<nil>", "bad 5", "<nil>"}, "<nil>"},
		{"gbbb", []string{"bad 2"}, "failed 3 times: bad 4"},
		{"hhh", []string{"no answer"}, "failed 3 times: no answer"},
	} {
		told, took, err := check(t, tt.looks)
		if !slices.Equal(told, tt.told) || fmt.Sprint(err) != tt.err {
			t.Errorf("%s: %q, %v", tt.looks, told, err)
		}
		n := time.Duration(len(tt.looks))
		if err != nil {
			n-- // no interval follows the last
		}
		if least, most := time.Minute+n*9*time.Second,
			time.Minute+n*12*time.Second+3*time.Second; took < least || took > most {
			t.Errorf("%s took %v", tt.looks, took)
		}
	}
}

// One that is called off in the midst of a look did not fail.
func TestCheckCalledOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := Check{Interval: time.Second, Timeout: time.Hour, Limit: 1,
			Probe: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		if err := c.Run(ctx, func(err error) { t.Error(err) }); err != nil {
			t.Error(err)
		}
	})
}
