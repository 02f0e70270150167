package spawn

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sigaction"
)

// Attributes are the attributes of a process that Go's fork cannot set. The start verb sets them in
// the child. An attribute that is nil, empty or false stays as the supervisor has it.
type Attributes struct {
	UID, GID    *uint32
	Groups      []uint32            // supplementary groups; they are set only with GID
	Umask       *int                // umask(2)
	Nice        *int                // -20 to 19; setpriority(2)
	OOMScoreAdj *int                // -1000 to 1000; proc(5)
	Limits      map[int]unix.Rlimit // by RLIMIT_ number; setrlimit(2)
	NoNewPrivs  bool                // PR_SET_NO_NEW_PRIVS, prctl(2)
}

func (a *Attributes) setOOMScoreAdj() error {
	if a.OOMScoreAdj == nil {
		return nil
	}
	err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*a.OOMScoreAdj)), 0)
	return stepError(err, "set oom_score_adj to %d", *a.OOMScoreAdj)
}

func (a *Attributes) setNice() error {
	if a.Nice == nil {
		return nil
	}
	err := unix.Setpriority(unix.PRIO_PROCESS, 0, *a.Nice)
	return stepError(err, "set nice to %d", *a.Nice)
}

func (a *Attributes) setUmask() error {
	if a.Umask != nil {
		unix.Umask(*a.Umask)
	}
	return nil
}

func (a *Attributes) setLimits() error {
	for _, number := range slices.Sorted(maps.Keys(a.Limits)) {
		limit := a.Limits[number]
		if err := unix.Setrlimit(number, &limit); err != nil {
			return stepError(err, "set resource limit %d to %d, %d", number, limit.Cur, limit.Max)
		}
	}
	return nil
}

// setIDs changes the ids of the calling thread alone, with raw system calls. setuid(3) and Go's own
// functions change every thread. Then each thread would count for RLIMIT_NPROC of the user,
// although only one thread survives execve(2).
func (a *Attributes) setIDs() error {
	if a.GID != nil {
		groups := append([]uint32{}, a.Groups...)
		data := uintptr(unsafe.Pointer(unsafe.SliceData(groups)))
		if err := rawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), data, 0); err != nil {
			return stepError(err, "set the supplementary groups")
		}
		gid := uintptr(*a.GID)
		if err := rawSyscall(unix.SYS_SETRESGID, gid, gid, gid); err != nil {
			return stepError(err, "change to group %d", gid)
		}
	}
	if a.UID != nil {
		if int(*a.UID) != os.Getuid() {
			clearAmbient()
		}
		uid := uintptr(*a.UID)
		if err := rawSyscall(unix.SYS_SETRESUID, uid, uid, uid); err != nil {
			return stepError(err, "change to user %d", uid)
		}
	}
	return nil
}

func (a *Attributes) setNoNewPrivs() error {
	if !a.NoNewPrivs {
		return nil
	}
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	return stepError(err, "set no_new_privs")
}

// RestoreSIGPIPE gives SIGPIPE its default disposition. The Go runtime must not handle the signal,
// see [signal.Ignore].
func RestoreSIGPIPE() {
	_ = new(sigaction.Action).Set(unix.SIGPIPE)
}

// setSignals sets the dispositions and the mask with raw system calls, because Go's runtime keeps
// handlers for some signals and never blocks others. execve(2) resets handlers and keeps ignored
// signals ignored (signal(7)).
func setSignals(ignored Signals, mask *Signals) error {
	ignore := sigaction.Action{Handler: 1}
	for sig := unix.Signal(1); sig <= LastSignal; sig++ {
		if !ignored.Has(sig) {
			continue
		}
		if err := ignore.Set(sig); err != nil {
			return stepError(err, "ignore signal %d", sig)
		}
	}
	if mask == nil {
		return nil
	}
	const size = 8 // bytes of the kernel's sigset_t
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(mask)), 0, size, 0, 0)
	if e != 0 {
		return stepError(e, "set the signal mask")
	}
	return nil
}
