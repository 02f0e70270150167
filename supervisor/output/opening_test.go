package output

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestOpenBlocked checks that a log file whose open does not return delays its own child only, and
// that a later start gets the file once it is open.
func TestOpenBlocked(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		responds, opens := make(chan struct{}), atomic.Int32{}
		all := openings{standardName: func(string) string { return "" }}
		all.openFile = func(path string, uid *uint32) (int, error) {
			if filepath.Base(path) != "good" {
				opens.Add(1)
				<-responds
			}
			return openToAppend(path, uid)
		}
		took := func(name string, want error) time.Duration {
			t.Helper()
			start := time.Now()
			fd, _, err := all.openFor(filepath.Join(dir, name), nil, false)
			if !errors.Is(err, want) || (fd >= 0) != (want == nil) {
				t.Errorf("%s: got descriptor %d and the error %v, want %v", name, fd, err, want)
			}
			if fd >= 0 {
				unix.Close(fd)
			}
			return time.Since(start)
		}
		for _, c := range []struct {
			name string
			err  error
			wait time.Duration
		}{
			{"good", nil, 0},
			{"bad", ErrOpenBlocked, openTimeout},
			{"bad", ErrOpenBlocked, 0},
			{"worse", ErrOpenBlocked, nextTimeout},
			{"good", nil, 0},
		} {
			if d := took(c.name, c.err); d != c.wait {
				t.Errorf("%s took %v, want %v", c.name, d, c.wait)
			}
		}
		close(responds)
		synctest.Wait()
		if took("bad", nil); opens.Load() != 2 {
			t.Errorf("got %d opens, want one for each file", opens.Load())
		}
		all.endAll() // closes worse
		took("good", errClosed)
		if all.late != 0 || len(all.pending) != 0 {
			t.Errorf("%d late, pending: %v", all.late, all.pending)
		}
	})
}
