package probe

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"

	"tp0/supervisor/termtext"
)

// LineMatcher waits for a line in the output of a child. Its methods may be called from any
// goroutine.
type LineMatcher struct {
	re          *regexp.Regexp
	done        atomic.Bool // a line has matched, or Wait has returned
	matched     chan struct{}
	matchedOnce sync.Once // closes matched
}

// NewLineMatcher returns a LineMatcher for lines that match re.
func NewLineMatcher(re *regexp.Regexp) *LineMatcher {
	return &LineMatcher{re: re, matched: make(chan struct{})}
}

// maxLine is the number of bytes of a line that are matched. Together with the limit of the
// configuration on the expression it bounds one match to about 30 ms, and there are two for a line
// at most.
const maxLine = 4096

// Match takes lines of the child's output, the last one with or without its newline. It does
// nothing once a line has matched or Wait has returned.
func (l *LineMatcher) Match(block []byte) {
	for line := range bytes.Lines(block) {
		if l.done.Load() {
			return
		}
		if l.matches(termtext.Plain(bytes.TrimRight(line, "\r\n"))) {
			l.done.Store(true)
			l.matchedOnce.Do(func() { close(l.matched) })
			return
		}
	}
}

// Pending reports whether a line is still waited for.
func (l *LineMatcher) Pending() bool { return !l.done.Load() }

// matches reports whether the beginning of a line matches, or what follows one of its carriage
// returns: a program that shows its progress overwrites its line.
func (l *LineMatcher) matches(line []byte) bool {
	if l.re.Match(line[:min(len(line), maxLine)]) {
		return true
	}
	_, last, _ := bytes.Cut(line[max(len(line)-maxLine, 0):], []byte{'\r'})
	for part := range bytes.SplitSeq(last, []byte{'\r'}) {
		if len(part) > 0 && l.re.Match(part) {
			return true
		}
	}
	return false
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
