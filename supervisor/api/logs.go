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
	Instance string    `json:"instance"`
	Child    string    `json:"child"`
	Process  int       `json:"process"` // the number of the process of the instance, from 1
	Stream   string    `json:"stream"`
	At       time.Time `json:"at"`
	Text     string    `json:"text"` // bytes that are not UTF-8 are replaced
	Partial  bool      `json:"partial,omitempty"`
	// Missed is the number of lines just before that are not kept any more.
	Missed uint64 `json:"missed,omitempty"`
}
