package probe

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
)

// Log looks for a line that a run prints. Its methods may be called by any
// goroutine.
type Log struct {
	re    *regexp.Regexp
	over  atomic.Bool // nobody waits any more
	found chan struct{}
	once  sync.Once
}

// NewLog makes a Log for lines that match re.
func NewLog(re *regexp.Regexp) *Log { return &Log{re: re, found: make(chan struct{})} }

// mostLine bounds what is matched of a line, in bytes. The configuration bounds
// the expression, so no line takes longer than some 30 ms.
const mostLine = 4096

// Lines takes lines that the run printed. Each is matched in linear time, and
// none any more once one did, or nobody waits.
func (l *Log) Lines(block []byte) {
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
func (l *Log) Wait(ctx context.Context) error {
	defer l.over.Store(true)
	select {
	case <-l.found:
		return nil
	case <-ctx.Done():
		return errors.New("no line matched " + l.re.String())
	}
}
