package api

import "time"

// LogQuery selects lines of the output of children.
type LogQuery struct {
	Names    []string  // of children or instances; empty: all
	Stream   string    // stdout or stderr; empty: both
	Since    time.Time // zero: no limit
	Last     int       // lines of each instance; negative: all that are kept
	Previous bool      // the last process of each instance that has ended
	Follow   bool      // also the lines to come
}

// LogLine is one line of the output of a child. Its text is untrusted.
type LogLine struct {
	Instance string `json:"instance,omitempty"` // empty: the line is a note
	Child    string `json:"child,omitempty"`
	// Process is the number of the process of the instance, from 1. A line that was read from a log
	// file has none, and its stream and time are there only if the file has them.
	Process int       `json:"process,omitempty"`
	Stream  string    `json:"stream,omitempty"`
	Hook    string    `json:"hook,omitempty"` // that printed it; empty: the main process did
	At      time.Time `json:"at,omitzero"`
	Text    string    `json:"text"` // bytes that are not UTF-8 are replaced
	Partial bool      `json:"partial,omitempty"`
	// Missed is the number of lines just before that are not kept any more.
	Missed uint64 `json:"missed,omitempty"`
	// Note says why lines of a log file are missing.
	Note string `json:"note,omitempty"`
}
