package probe

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
)

// LineMatcher looks for a line that a run prints. Its methods may be called by any
// goroutine.
type LineMatcher struct {
	re    *regexp.Regexp
	over  atomic.Bool // nobody waits any more
	found chan struct{}
	once  sync.Once
}

// NewLineMatcher makes a Log for lines that match re.
func NewLineMatcher(re *regexp.Regexp) *LineMatcher {
	return &LineMatcher{re: re, found: make(chan struct{})}
}

// mostLine bounds what is matched of a line, in bytes. The configuration bounds
// the expression, so no line takes longer than some 30 ms.
const mostLine = 4096

// Match takes lines that the run printed. Each is matched in linear time, and
// none any more once one did, or nobody waits.
func (l *LineMatcher) Match(block []byte) {
	for line := range bytes.Lines(block) {
		if l.over.Load() {
			return
		}
		line = bytes.TrimRight(line, "\r\n")
		if l.re.Match(line[:min(len(line), mostLine)]) {
			l.over.Store(true)
			l.once.Do(func() { close(l.found) })
			return
		}
	}
}

// Wait returns nil once a line matched. It must be called once.
func (l *LineMatcher) Wait(ctx context.Context) error {
	defer l.over.Store(true)
	select {
	case <-l.found:
		return nil
	case <-ctx.Done():
		return errors.New("no line matched " + l.re.String())
	}
}
