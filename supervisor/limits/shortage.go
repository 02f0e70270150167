package limits

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Shortage is the resource that a spawn lacked.
type Shortage struct {
	Resource string // processes, memory, descriptors, open files of the machine
	Limit    string // the limit in words; "unknown" if it cannot be read
}

// MeansShortage reports whether an error means that a resource is exhausted now: of the machine, or
// by a limit. Such a shortage is temporary, and the configuration is not at fault.
func MeansShortage(err error) bool {
	for _, e := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.ENOBUFS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// ShortageOf returns the resource that an error is about, and its limit now. [MeansShortage] must
// hold for the error.
func ShortageOf(err error) Shortage {
	s := Shortage{Limit: "unknown"}
	switch {
	case errors.Is(err, unix.EMFILE):
		s.Resource = "descriptors"
		var r unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
			s.Limit = fmt.Sprintf("RLIMIT_NOFILE (ulimit -n) is %d", r.Cur)
		}
	case errors.Is(err, unix.ENFILE):
		s.Resource = "open files of the machine"
		if b, err := os.ReadFile("/proc/sys/fs/file-max"); err == nil {
			s.Limit = "/proc/sys/fs/file-max is " + strings.TrimSpace(string(b))
		}
	case errors.Is(err, unix.EAGAIN):
		s.Resource = "processes"
		if _, l := FreeProcesses(); l != nil {
			s.Limit = l.String()
		} else if b, err := os.ReadFile("/proc/sys/kernel/pid_max"); err == nil {
			s.Limit = "/proc/sys/kernel/pid_max is " + strings.TrimSpace(string(b))
		}
	default:
		s.Resource = "memory"
	}
	return s
}
