// Package limits knows how many processes, threads and descriptors the kernel
// lets us have, makes the threads that we need in time, and tells what a spawn
// lacked.
package limits

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// Limit is a limit of processes, in which threads count, that holds for us.
type Limit struct {
	Max   int
	Used  int // by others than our own threads too; -1: not known
	Where string
}

func (l *Limit) String() string {
	if l.Used < 0 {
		return fmt.Sprintf("%s is %d", l.Where, l.Max)
	}
	return fmt.Sprintf("%s is %d, %d are in use", l.Where, l.Max, l.Used)
}

// free is what the limit leaves to us, our own threads included.
func (l *Limit) free(own int) int {
	if l.Used < 0 {
		return l.Max
	}
	return max(l.Max-l.Used, 0) + own
}

// FreeProcesses is how many threads and processes we can have, ours that there are
// included, and the limit that leaves the least; nil: there is none.
func FreeProcesses() (free int, tightest *Limit) {
	free = math.MaxInt
	limits := pidLimits()
	if len(limits) == 0 {
		return free, nil
	}
	own := len(procfs.Threads(os.Getpid()))
	for _, l := range limits {
		if n := l.free(own); n < free {
			free, tightest = n, &l
		}
	}
	return free, tightest
}

func pidLimits() []Limit {
	cgroups, _ := os.ReadFile("/proc/self/cgroup")
	limits := cgroupLimits(string(cgroups), "/sys/fs/cgroup")
	if l, ok := userLimit(); ok {
		limits = append(limits, l)
	}
	return limits
}

// cgroupLimits reads the pids controller of the control groups that we are in,
// up to the root of what is mounted: the limit of each holds. Version 1 has the
// controller in a tree of its own, version 2 has one tree (cgroups(7)). In a
// container the path can be the host's, where the mount begins with our group:
// so names that are not there are passed over.
func cgroupLimits(cgroups, mounts string) (limits []Limit) {
	for line := range strings.Lines(cgroups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var roots []string
		switch controllers := strings.Split(fields[1], ","); {
		case fields[1] == "":
			roots = []string{mounts, filepath.Join(mounts, "unified")}
		case slices.Contains(controllers, "pids"):
			roots = slices.Compact([]string{filepath.Join(mounts, "pids"), filepath.Join(mounts, fields[1])})
		}
		for _, root := range roots {
			at := filepath.Clean("/" + fields[2])
			for ; ; at = filepath.Dir(at) {
				if l, ok := cgroupLimit(root + at); ok {
					limits = append(limits, l)
				}
				if at == "/" {
					break
				}
			}
		}
	}
	return limits
}

func cgroupLimit(dir string) (Limit, bool) {
	name := filepath.Join(dir, "pids.max")
	most, err := readNumber(name)
	if err != nil { // "max", or no such group
		return Limit{}, false
	}
	used, err := readNumber(filepath.Join(dir, "pids.current"))
	if err != nil {
		used = -1
	}
	return Limit{Max: most, Used: used, Where: name}, true
}

func readNumber(name string) (int, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// countBelow is the RLIMIT_NPROC below which the threads of a user are counted:
// that reads a file of each process.
const countBelow = 1024

// userLimit is RLIMIT_NPROC, unless we are exempt: as the user root of the
// initial user namespace, or with CAP_SYS_RESOURCE or CAP_SYS_ADMIN there
// (setrlimit(2)).
func userLimit() (Limit, bool) {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &r) != nil || r.Cur > countBelow {
		return Limit{}, false
	}
	if ids, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		const exempt = 1<<unix.CAP_SYS_RESOURCE | 1<<unix.CAP_SYS_ADMIN
		s, _ := procfs.ReadStatus(os.Getpid())
		initial := strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
		if initial && (os.Getuid() == 0 || s.Effective&exempt != 0) {
			return Limit{}, false
		}
	}
	l := Limit{Max: int(r.Cur), Used: threadsOf(os.Getuid()), Where: "RLIMIT_NPROC (ulimit -u)"}
	return l, true
}

// threadsOf counts the threads of a user that we can see.
func threadsOf(uid int) (n int) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return -1
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+name.Name(), &st) != nil || int(st.Uid) != uid {
			continue
		}
		n += len(procfs.Threads(pid))
	}
	return n
}
