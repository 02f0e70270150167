package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLimits is returned for a limits file without the expected line.
var ErrLimits = errors.New("no line \"Max file locks\"")

// FileLocks returns the soft RLIMIT_LOCKS of a process, unix.RLIM_INFINITY if it
// is unlimited. Anybody may read it, whoever owns the process (proc_pid_limits(5)
// has mode 0444 and no ptrace check).
func FileLocks(pid int) (uint64, error) {
	b, err := slurp("/proc/" + strconv.Itoa(pid) + "/limits")
	if err != nil {
		return 0, err
	}
	return parseFileLocks(b)
}

func parseFileLocks(limits []byte) (uint64, error) {
	_, rest, ok := bytes.Cut(limits, []byte("\nMax file locks"))
	if !ok {
		return 0, ErrLimits
	}
	soft, _, _ := strings.Cut(strings.TrimLeft(string(rest[:min(len(rest), 40)]), " "), " ")
	if soft == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	n, err := strconv.ParseUint(soft, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrLimits, soft)
	}
	return n, nil
}
