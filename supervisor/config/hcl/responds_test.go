package hclconfig

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestCheckInTime checks that a file system that does not respond blocks no load, and causes no
// fault.
func TestCheckInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		responds, fault := make(chan struct{}), errors.New("no directory")
		var m machineState
		for _, c := range []struct {
			path string
			err  error
			wait time.Duration
		}{
			{"good", fault, 0}, {"bad", nil, checkTimeout}, {"bad", nil, nextCheckTimeout},
			{"good", fault, 0},
		} {
			start := time.Now()
			err := m.checkInTime(func(path string) error {
				if path == "bad" {
					<-responds
				}
				return fault
			}, c.path)
			if d := time.Since(start); err != c.err || d != c.wait {
				t.Errorf("%s: got %v after %v, want %v after %v", c.path, err, d, c.err, c.wait)
			}
		}
		close(responds)
	})
}
