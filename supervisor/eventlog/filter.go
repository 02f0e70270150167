package eventlog

import (
	"github.com/hashicorp/go-hclog"

	"tp0/supervisor/event"
)

// filter says which events the queue of a log takes.
type filter struct {
	level hclog.Level
	fds   event.LogFDs
}

func newFilter(s Settings) *filter { return &filter{hclog.LevelFromString(s.Level), s.FDs} }

// passes reports whether the log has an event, or counts it: see writeOmitted.
func (f *filter) passes(e event.Event) bool {
	switch e.(type) {
	case event.Reaped, event.DescendantEnded, event.ShutdownComplete:
		return true
	}
	return levels[f.fds.Level(e)] >= f.level
}
