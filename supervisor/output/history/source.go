package history

import (
	"time"

	"tp0/supervisor/output/retain"
)

// A Source is a log file with all instances that write to it.
type Source struct {
	Path      string
	Owners    []uint32 // the users besides our own that the files can belong to, see package files
	Instances []Instance
}

// An Instance is an instance that writes to a log file.
type Instance struct {
	Name, Child string
	Format      string // text, json, raw or inherit
	Colors      string // keep or strip
	Timed       bool   // a line of the format text has the time
	Stdout      bool   // this stream goes to the file
	Stderr      bool
}

// hasTime reports whether the lines in the file have the time of their read.
func (i *Instance) hasTime() bool { return i.Format == "json" || i.Format == "text" && i.Timed }

// isBare reports whether the lines in the file do not have the name of the instance.
func (i *Instance) isBare() bool { return i.Format == "raw" || i.Format == "inherit" }

// Memory is what is kept of the output in memory. [tp0/supervisor/output.Relay] implements it.
type Memory interface {
	Lines(retain.Query) (*retain.Reader, error)
	State(instance string) retain.State
}

// A Line is a line of the output of an instance, from memory or from a file.
type Line struct {
	Instance, Child string
	Process         uint32    // 0: it is not known
	Stream          string    // empty: it is not known
	Hook            string    // empty: the main process printed it, or it is not known
	At              time.Time // zero: it is not known
	Partial         bool
	// Text are the bytes as the process wrote them if the line was in memory. From a file of the
	// format text they are escaped.
	Text []byte
	// Missed is the number of lines just before that are neither in memory nor were looked for in a
	// file.
	Missed uint64
	// Note, if not empty, says which lines of a file are missing. The line has no text then.
	Note string
}
