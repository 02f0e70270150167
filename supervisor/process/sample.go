package process

import (
	"time"

	"tp0/supervisor/procfs"
)

// Sampling is the look for runs that cannot be traced: their table is read
// again and again until they are gone. The last one read can be older than the
// last descriptor that the run closed, so it is no proof.
const (
	sampleEvery  = time.Millisecond      // in the first second, when most runs end
	sampleLater  = 10 * time.Millisecond // after it
	sampleSooner = time.Second
)

type sampling struct {
	on   bool
	next time.Time // zero: a look is under way
	last []procfs.FD
}

func (l *Loop) startSampling(w *watched) {
	w.sample = sampling{on: true, next: time.Now(), last: w.look.Before}
	l.soon(w.sample.next)
}

func (l *Loop) tendSample(w *watched, now time.Time) time.Time {
	s := &w.sample
	if !s.on || w.over || s.next.IsZero() {
		return time.Time{}
	}
	if now.Before(s.next) {
		return s.next
	}
	s.next = time.Time{}
	l.job(w, func() func() {
		fds, err := l.table(w.pid, procfs.LiveThread(w.pid))
		l.resolve(w.pid, fds, fresh())
		return func() {
			if err == nil && len(fds) > 0 { // a zombie's table is empty
				s.last = fds
			}
			every := sampleEvery
			if time.Since(w.since) > sampleSooner {
				every = sampleLater
			}
			s.next = time.Now().Add(every)
			l.soon(s.next)
		}
	})
	return time.Time{}
}
