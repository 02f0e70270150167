package output

import (
	"os"
	"sync/atomic"

	"tp0/supervisor/fdledger"
)

// Settings are the part of the configuration that a reload changes while lines are relayed.
type Settings struct {
	// RetainTotal is how many bytes of output are kept in memory. 0 disables it.
	RetainTotal int
	// Instances are the settings of each instance, by its name. An instance that is not there
	// loses its lines in memory at the end of its last output.
	Instances map[string]InstanceSettings
	Rotations map[string]Rotation // of log files, by path
}

// InstanceSettings are the settings of the output of an instance.
type InstanceSettings struct {
	Retain     int  // bytes of output that are kept in memory
	Timestamps bool // in front of lines with the format text
}

// Options configure a [Relay].
type Options struct {
	// Stdout and Stderr are the standard streams of the supervisor. They must stay open until
	// [Relay.Close] has returned. The relay neither closes them nor changes their flags. If both
	// are the same file they share one sink, named stdout, so that lines do not interleave.
	Stdout, Stderr *os.File

	FDs fdledger.Registrar

	// Color says that terminals get colors.
	Color bool

	// Dropped is called when output for dest (stdout, stderr or a path) was not delivered, with
	// the number of lines and bytes lost since the last call for dest. The reason is "stalled",
	// "too slow" (lines of a closed child or of the supervisor did not fit), "not taken before
	// the end" or the text of an error.
	//
	// It is called when a sink fails or finds its disk full (possibly with 0 lines), for a
	// stalled sink at most once a second and when the sink accepts bytes again, and at the end
	// for the losses that were not reported yet. The calls come from several goroutines. Dropped
	// must not block. It may be nil.
	Dropped func(dest string, lines, bytes uint64, reason string)
	// Lost counts all lines that were not delivered, those that Dropped did not report yet too. It
	// may be nil.
	Lost *atomic.Uint64

	// Reopened is called when a log file was renamed or deleted and another one is open in its
	// place, and when that failed for a new reason. The calls come from several goroutines.
	// Reopened must not block. It may be nil.
	Reopened func(Reopened)
	// NotRotated is called when a log file could not be rotated, once for each reason. The lines
	// go to the file as before, and the rotation is tried again after a second. NotRotated must not
	// block. It may be nil.
	NotRotated func(path string, err error)
}
