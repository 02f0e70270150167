package config

import (
	"fmt"
	"time"
)

// Bytes is a size in bytes.
type Bytes int64

// String returns the size as the configuration has it, such as 256KiB.
func (b Bytes) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for i < len(units)-1 && b != 0 && b%1024 == 0 {
		b /= 1024
		i++
	}
	return fmt.Sprint(int64(b), units[i])
}

// DefaultRetain is how many bytes of output are kept in memory for each instance, and
// DefaultRetainTotal for all of them.
const (
	DefaultRetain      Bytes = 256 << 10
	DefaultRetainTotal Bytes = 16 << 20
)

// LogPolicy is the part of a logs block that a reload changes without a restart.
type LogPolicy struct {
	Timestamps bool  // in front of each line of the format text
	Retain     Bytes // of output that are kept in memory; 0 disables it
	Rotate     Rotate
}

// Rotate says when a log file is renamed and replaced, and how many renamed files are kept. The
// zero value never does so.
type Rotate struct {
	Size Bytes         // 0 for no limit
	Age  time.Duration // of the first line; 0 for no limit
	Keep int           // the number of renamed files
	// Compress says that the renamed files but the newest one are compressed.
	Compress bool
}

// Enabled reports whether the file is ever rotated.
func (r Rotate) Enabled() bool { return r.Size > 0 || r.Age > 0 }
