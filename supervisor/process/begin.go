package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Attributes are what a run begins with that Go's fork cannot give it. The zero
// value changes nothing.
type Attributes struct {
	UID, GID    *uint32  // nil: ours
	Groups      []uint32 // the supplementary ones, with GID
	Umask       *int
	Nice        *int
	OOMScoreAdj *int
	Limits      map[int]unix.Rlimit // by RLIMIT_ number
	NoNewPrivs  bool
}

// order is what the start verb is to do before it executes the command.
type order struct {
	Ignored    Signals
	Blocked    *Signals // nil: as Go's fork leaves the mask
	Gate       int
	Parent     int // us
	Attributes Attributes
}

// A failure is why a command could not be executed.
type failure struct {
	step  string // that failed, in words: "change to group 7"
	errno unix.Errno
}

func (f *failure) Error() string {
	if f.errno == 0 {
		return "cannot " + f.step
	}
	return fmt.Sprintf("cannot %s: %v", f.step, f.errno)
}

// Unwrap makes an errno of it for those who look for one.
func (f *failure) Unwrap() error {
	if f.errno == 0 {
		return nil
	}
	return f.errno
}

// cannot makes a failure of an error, if it is one.
func cannot(err error, step string, args ...any) error {
	if err == nil {
		return nil
	}
	f := &failure{step: fmt.Sprintf(step, args...)}
	if !errors.As(err, &f.errno) {
		f.step += ": " + err.Error()
	}
	return f
}

// mostReason bounds what the start verb can say: the text is in one piece.
const mostReason = 512

func (f *failure) write(fd int) {
	text := fmt.Sprintf("%d %s", int(f.errno), f.step)
	_, _ = unix.Write(fd, []byte(text[:min(len(text), mostReason)]))
}

// readFailure waits until the start verb is over, and returns what it had to
// say; nil: it executed the command, or is dead.
func readFailure(fd int) error {
	b := make([]byte, mostReason)
	n, err := read(fd, b)
	if err != nil || n <= 0 {
		return nil
	}
	number, step, _ := strings.Cut(string(b[:n]), " ")
	errno, _ := strconv.Atoi(number)
	return &failure{step, unix.Errno(errno)}
}

// Start is the start verb: it makes this process what the command shall begin
// as, and executes it. The arguments are the order, the path, and the command's
// own arguments from its name on. It returns only on an error, with the exit
// code for it.
//
// It must be called on the main thread. That one has the parent death signal,
// which exec keeps for the thread that calls it, and that one is traced; ids,
// priority and no_new_privs are a thread's own, and exec leaves no other.
func Start(args []string) int {
	if len(args) < 3 {
		fmt.Fprintln(os.Stderr, "supervisor: this verb is for the supervisor itself")
		return 126
	}
	var o order
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: cannot read the order: %v\n", err)
		return 126
	}
	unix.CloseOnExec(o.Gate)
	if !waitAtGate(o.Gate) {
		return 126 // the supervisor is gone
	}
	err := o.obey()
	if err == nil {
		err = cannot(syscall.Exec(args[1], args[2:], withPid(os.Environ())), "execute %s", args[1])
	}
	var f *failure
	if errors.As(err, &f) {
		f.write(o.Gate)
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return 127
	}
	return 126
}

// obey does what is to be done, in an order in which nothing takes away the
// right to do what follows. The limits come late, as those of memory hold for
// us too, and before the ids, as root may raise them.
func (o *order) obey() error {
	for _, do := range []func() error{
		o.Attributes.adjust, o.Attributes.limit, o.Attributes.become, o.dieWithParent, o.Attributes.renounce,
		func() error { return dispose(o.Ignored, o.Blocked) },
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attributes) adjust() error {
	if a.OOMScoreAdj != nil {
		err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*a.OOMScoreAdj)), 0)
		if err != nil {
			return cannot(err, "set oom_score_adj to %d", *a.OOMScoreAdj)
		}
	}
	if a.Nice != nil {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, *a.Nice); err != nil {
			return cannot(err, "set nice to %d", *a.Nice)
		}
	}
	if a.Umask != nil {
		unix.Umask(*a.Umask)
	}
	return nil
}

func (a *Attributes) limit() error {
	for _, number := range slices.Sorted(maps.Keys(a.Limits)) {
		limit := a.Limits[number]
		if err := unix.Setrlimit(number, &limit); err != nil {
			return cannot(err, "set resource limit %d to %d, %d", number, limit.Cur, limit.Max)
		}
	}
	return nil
}

// become takes over the ids, with raw system calls: setuid(3) and Go's own
// change every thread, and each of them would count for RLIMIT_NPROC of the
// user whom exec leaves one.
func (a *Attributes) become() error {
	if a.GID != nil {
		groups := append([]uint32{}, a.Groups...)
		_, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0)
		if e != 0 {
			return cannot(e, "set the supplementary groups")
		}
		gid := uintptr(*a.GID)
		if err := raw(unix.SYS_SETRESGID, gid, gid, gid); err != nil {
			return cannot(err, "change to group %d", gid)
		}
	}
	if a.UID != nil {
		uid := uintptr(*a.UID)
		if err := raw(unix.SYS_SETRESUID, uid, uid, uid); err != nil {
			return cannot(err, "change to user %d", uid)
		}
	}
	return nil
}

// dieWithParent asks again for the parent death signal, which a change of the
// ids cleared (prctl(2), PR_SET_PDEATHSIG). If our parent died before, there
// is nobody to run for.
func (o *order) dieWithParent() error {
	if o.Attributes.UID == nil && o.Attributes.GID == nil {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return cannot(err, "ask for a signal at the death of the supervisor")
	}
	if os.Getppid() != o.Parent {
		return &failure{step: "go on: the supervisor is gone"}
	}
	return nil
}

func (a *Attributes) renounce() error {
	if !a.NoNewPrivs {
		return nil
	}
	return cannot(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
}

// waitAtGate reports whether we are let through.
func waitAtGate(fd int) bool {
	var b [1]byte
	n, err := read(fd, b[:])
	return err == nil && n > 0
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// dispose sets dispositions and mask past Go's runtime, which keeps its own
// handlers for some signals and never blocks others. Exec resets the handlers
// and leaves what is ignored (signal(7)).
func dispose(ignored Signals, mask *Signals) error {
	const size = 8 // of the kernel's sigset_t
	action := struct{ handler, flags, restorer, mask uint64 }{handler: 1 /* SIG_IGN */}
	for sig := unix.Signal(1); sig <= LastSignal; sig++ {
		if !ignored.Has(sig) {
			continue
		}
		if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, size, 0, 0); e != 0 {
			return cannot(e, "ignore signal %d", sig)
		}
	}
	if mask == nil {
		return nil
	}
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(mask)), 0, size, 0, 0); e != 0 {
		return cannot(e, "set the signal mask")
	}
	return nil
}
