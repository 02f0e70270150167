package app

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/event"
)

// TestIdleMemoryClose checks that close waits for a release that is under way.
func TestIdleMemoryClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, release, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
		m := newIdleMemory(new(atomic.Bool).Load, func() {
			close(started)
			<-release
		})
		m.used()
		<-started
		go func() {
			m.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("close returned before the release ended")
		default:
		}
		close(release)
		<-closed
	})
}

// TestIdleMemoryReleases checks that memory is released once after the last activity, and not after
// a stop has begun.
func TestIdleMemoryReleases(t *testing.T) {
	const never, s = time.Hour, time.Second
	for _, tt := range []struct {
		name     string
		activity []time.Duration // when
		stop     time.Duration   // when it begins
		want     []time.Duration // when memory is released
	}{
		{"nothing happens", nil, never, nil},
		{"one activity", []time.Duration{s}, never, []time.Duration{s + idleDelay}},
		{"a series", []time.Duration{0, s, 2 * s, 3 * s}, never, []time.Duration{3*s + idleDelay}},
		{
			"again after a release", []time.Duration{0, 10 * s}, never,
			[]time.Duration{idleDelay, 10*s + idleDelay},
		},
		{"a stop before the activity", []time.Duration{s}, 0, nil},
		{"a stop after the activity", []time.Duration{s}, 2 * s, nil},
		{"a stop after a release", []time.Duration{0, 10 * s}, 5 * s, []time.Duration{idleDelay}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var stopping atomic.Bool
				var got []time.Duration
				m := newIdleMemory(stopping.Load, func() { got = append(got, time.Since(start)) })
				time.AfterFunc(tt.stop, func() { stopping.Store(true) })
				for _, at := range tt.activity {
					time.Sleep(at - time.Since(start)) // in the time of synctest
					synctest.Wait()
					m.emit(event.Ready{})
				}
				time.Sleep(time.Minute)
				m.used()
				m.close()
				m.used()
				time.Sleep(time.Minute)
				if !slices.Equal(got, tt.want) {
					t.Errorf("released at %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestGarbage checks that garbage counts what was allocated since the last collection, and nothing
// after one.
func TestGarbage(t *testing.T) {
	releaseMemory() // collects what other tests allocated
	runtime.GC()
	before := garbage()
	kept := make([]byte, 2*minGarbage)
	if got := garbage() - before; got < minGarbage {
		t.Errorf("%d bytes of garbage after an allocation of %d", got, len(kept))
	}
	runtime.KeepAlive(kept)
	kept = nil
	releaseMemory()
	if got := garbage(); got >= minGarbage {
		t.Errorf("%d bytes of garbage after a release, want less than %d", got, minGarbage)
	}
}
