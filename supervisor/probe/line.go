package probe

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
)

// LineMatcher waits for a line in the output of a child. Its methods may be called from any
// goroutine.
type LineMatcher struct {
	re      *regexp.Regexp
	done    atomic.Bool // a line has matched, or Wait has returned
	matched chan struct{}
	once    sync.Once // closes matched
}

// NewLineMatcher returns a LineMatcher for lines that match re.
func NewLineMatcher(re *regexp.Regexp) *LineMatcher {
	return &LineMatcher{re: re, matched: make(chan struct{})}
}

// maxLine is the number of bytes of a line that are matched. Together with the limit of the
// configuration on the expression it bounds the match of one line to about 30 ms.
const maxLine = 4096

// Match takes lines of the child's output. It does nothing once a line has matched or Wait has
// returned.
func (l *LineMatcher) Match(block []byte) {
	for line := range bytes.Lines(block) {
		if l.done.Load() {
			return
		}
		line = bytes.TrimRight(line, "\r\n")
		if l.re.Match(line[:min(len(line), maxLine)]) {
			l.done.Store(true)
			l.once.Do(func() { close(l.matched) })
			return
		}
	}
}

// Wait returns nil once a line has matched, and an error if ctx ends first. Call it once.
func (l *LineMatcher) Wait(ctx context.Context) error {
	defer l.done.Store(true)
	select {
	case <-l.matched:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-l.matched: // both may have come at once
		return nil
	default:
		return errors.New("no line matched " + l.re.String())
	}
}

// Matched reports whether a line has matched. It may be called on nil.
func (l *LineMatcher) Matched() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.matched:
		return true
	default:
		return false
	}
}
