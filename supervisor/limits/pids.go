// Package limits reads how many processes, threads and descriptors the kernel allows the
// supervisor, creates the threads that the supervisor needs before the first child, and names the
// resource that a spawn lacked.
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

// Limit is a limit on the number of processes that applies to the supervisor. Threads count as
// processes.
type Limit struct {
	Max   int
	Used  int    // also by others; -1 if it cannot be read
	Where string // the file or resource limit
}

func (l *Limit) String() string {
	if l.Used < 0 {
		return fmt.Sprintf("%s is %d", l.Where, l.Max)
	}
	return fmt.Sprintf("%s is %d, %d are in use", l.Where, l.Max, l.Used)
}

// free returns how many processes the limit allows, including the supervisor's own threads.
func (l *Limit) free(own int) int {
	if l.Used < 0 {
		return l.Max
	}
	return max(l.Max-l.Used, 0) + own
}

// FreeProcesses returns how many threads and processes the supervisor can have, including its own
// threads, and the limit that allows the fewest. tightest is nil if there is no limit.
func FreeProcesses() (free int, tightest *Limit) {
	free = math.MaxInt
	limits, own := pidLimits(), ownThreads()
	if len(limits) == 0 {
		return free, nil
	}
	// The Go runtime creates threads at any time. A thread that is counted as the supervisor's own,
	// but not yet as used, would be a free process that does not exist.
	for range maxThreadCounts {
		before := own
		limits, own = pidLimits(), ownThreads()
		if own == before {
			break
		}
	}
	for _, l := range limits {
		if n := l.free(own); n < free {
			free, tightest = n, &l
		}
	}
	return free, tightest
}

// maxThreadCounts bounds how often the threads are counted until two counts are equal.
const maxThreadCounts = 10

func ownThreads() int { return len(procfs.Threads(os.Getpid())) }

func pidLimits() []Limit {
	cgroups, _ := os.ReadFile("/proc/self/cgroup")
	limits := cgroupLimits(string(cgroups), "/sys/fs/cgroup")
	if l, ok := userLimit(); ok {
		limits = append(limits, l)
	}
	return limits
}

// cgroupLimits reads the pids controller of the supervisor's control group and of its ancestors.
func cgroupLimits(cgroups, mounts string) (limits []Limit) {
	for _, dir := range cgroupDirs(cgroups, mounts, "pids") {
		if l, ok := cgroupLimit(dir); ok {
			limits = append(limits, l)
		}
	}
	return limits
}

// cgroupDirs returns the directories of the control group and of its ancestors, up to the root of
// the mount, for a controller; the limits of all apply. Version 1 has a tree for each controller,
// version 2 has one tree (cgroups(7)). In a container the path can be that of the host although the
// mount starts at this group, so some directories may not exist.
func cgroupDirs(cgroups, mounts, controller string) (dirs []string) {
	for line := range strings.Lines(cgroups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		var roots []string
		switch controllers := strings.Split(fields[1], ","); {
		case fields[1] == "":
			roots = []string{mounts, filepath.Join(mounts, "unified")}
		case slices.Contains(controllers, controller):
			roots = slices.Compact([]string{
				filepath.Join(mounts, controller), filepath.Join(mounts, fields[1]),
			})
		}
		for _, root := range roots {
			group := filepath.Clean("/" + fields[2])
			for ; group != "/"; group = filepath.Dir(group) {
				dirs = append(dirs, root+group)
			}
			dirs = append(dirs, root)
		}
	}
	return dirs
}

func cgroupLimit(dir string) (Limit, bool) {
	name := filepath.Join(dir, "pids.max")
	limit, err := readNumber(name)
	if err != nil { // "max", or the group does not exist
		return Limit{}, false
	}
	used, err := readNumber(filepath.Join(dir, "pids.current"))
	if err != nil {
		used = -1
	}
	return Limit{Max: limit, Used: used, Where: name}, true
}

func readNumber(name string) (int, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// maxUserLimit is the highest RLIMIT_NPROC that is considered. To count the threads of a user reads
// a file of each process, which is not worth it for a limit that is not tight.
const maxUserLimit = 1024

// userLimit returns RLIMIT_NPROC, unless the supervisor is exempt: as root in the initial user
// namespace, or with CAP_SYS_RESOURCE or CAP_SYS_ADMIN there (setrlimit(2)).
func userLimit() (Limit, bool) {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &r) != nil || r.Cur > maxUserLimit {
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

// threadsOf counts the visible threads of a user. It returns -1 if /proc cannot be read.
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
