package tracehelper

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// helper is the state of the trace helper. The main thread owns it, and traces.
type helper struct {
	socket  *os.File
	seizer  ptrace.Seizer
	reaped  chan int // threads that another thread reaped during a Seize
	tracees map[int]bool
	// peeked are the signal stops that are not collected: see collect.
	peeked map[int]ptrace.Siginfo
}

// priorityBoost is the nice value of the helper, below zero.
const priorityBoost = 10

// Run is the trace helper. args are the user id and the group id of the processes that it traces.
// It ends when the supervisor closes the socket. It must be called on the main thread, which
// traces: the kernel gives the thread id of a tracer as TracerPid, and this one is the pid.
func Run(args []string) int {
	ids, err := parseIDs(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: %s is for the supervisor's own use: %v\n", Verb, err)
		return exitcode.NotExecutable
	}
	closeInherited()
	// The processes that are traced can send signals during a PTRACE_SEIZE. SIGKILL and SIGSTOP
	// cannot be ignored.
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig != unix.SIGCHLD && sig != unix.SIGURG { // Go uses SIGURG for preemption
			signal.Ignore(syscall.Signal(sig))
		}
	}
	// As for the workers that scan: the processes that end wait for the helper. Without
	// CAP_SYS_NICE the priority stays as it is.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -priorityBoost)
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	_ = unix.SetNonblock(Socket, true)
	h := &helper{
		socket:  os.NewFile(Socket, "socket"),
		reaped:  make(chan int, ptrace.MaxThreads),
		tracees: map[int]bool{}, peeked: map[int]ptrace.Siginfo{},
	}
	h.seizer = ptrace.Seizer{
		Attach: func(tid, options int) error { return attachAs(ids[0], ids[1], tid, options) },
		Traced: func(tid int) bool { return h.tracees[tid] },
		Reaped: func(tid int) { h.reaped <- tid },
	}
	commands := make(chan Command)
	go h.receive(commands)
	for {
		select {
		case c, open := <-commands:
			if !open {
				return exitcode.OK
			}
			h.execute(c)
		case <-children:
			h.collect()
		case tid := <-h.reaped:
			h.ended(tid, 0)
		}
	}
}

func parseIDs(args []string) (ids [2]uint32, err error) {
	if len(args) != len(ids) {
		return ids, fmt.Errorf("%d arguments in place of a user id and a group id", len(args))
	}
	for i, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 32)
		if err != nil {
			return ids, fmt.Errorf("cannot read the id %q: %w", arg, err)
		}
		ids[i] = uint32(n)
	}
	return ids, nil
}

// closeInherited closes what the supervisor itself inherited and passes on to its children: an open
// descriptor here would keep a pipe or a lock of others.
func closeInherited() {
	own, err := procfs.OwnFDs()
	if err != nil {
		return
	}
	for _, f := range own {
		flags, err := unix.FcntlInt(uintptr(f.Num), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && f.Num > Socket {
			_ = unix.Close(f.Num)
		}
	}
}

// receive passes commands on until the supervisor closes the socket.
func (h *helper) receive(commands chan<- Command) {
	defer close(commands)
	packet := make([]byte, MaxSize)
	for {
		n, err := h.socket.Read(packet)
		if err != nil || n == 0 {
			return
		}
		c, err := Decode[Command](packet[:n])
		if err != nil {
			return
		}
		commands <- c
	}
}

// send sends a report. Without a supervisor it fails, and receive ends the helper.
func (h *helper) send(r Report) { _, _ = h.socket.Write(Encode(r)) }

// execute executes a command.
func (h *helper) execute(c Command) {
	tid := int(c.Tid)
	switch c.Op {
	case Ping:
		h.send(Report{Kind: Pong, Message: c.Data})
	case Seize:
		h.seize(tid)
	case MakeRequest:
		hidden := len(h.peeked) > 0
		delete(h.peeked, tid)
		if c.Request == unix.PTRACE_DETACH {
			delete(h.tracees, tid)
		}
		// It fails if the thread was killed.
		_ = ptrace.Request(int(c.Request), tid, uintptr(c.Data))
		if hidden {
			h.collect()
		}
	}
}

// seize traces a process and reports the result.
func (h *helper) seize(pid int) {
	if s, err := procfs.ReadStatus(pid); err == nil && s.Tracer == unix.Getpid() {
		h.send(Report{Kind: Own, Pid: int32(pid)})
		return
	}
	s, err := h.seizer.Seize(pid)
	var many ptrace.TooManyThreadsError
	var errno unix.Errno
	switch {
	case errors.As(err, &many):
		h.send(Report{Kind: TooMany, Pid: int32(pid), Status: uint32(many.Threads)})
	case err != nil:
		_ = errors.As(err, &errno)
		h.send(Report{Kind: Refused, Pid: int32(pid), Status: uint32(errno)})
	default:
		for _, tid := range s.Threads {
			h.tracees[tid] = true
			h.send(Report{Kind: Attached, Pid: int32(pid), Tid: int32(tid)})
		}
		h.send(Report{Kind: Seized, Pid: int32(pid), Tid: int32(s.Primary)})
		h.collect()
	}
}

// collect collects the ptrace stops and the ends that are there, and reports them.
//
// It does not collect the status of a signal stop. If a tracer ends, the kernel delivers the
// signal of a stop only if its status was not collected. So the end of the helper loses no signal.
// A stop that is not collected hides the others from a wait for all, so then each tracee is asked.
func (h *helper) collect() {
	const how = unix.WEXITED | unix.WNOWAIT | unix.WALL
	for {
		var info ptrace.Siginfo
		if ptrace.Waitid(unix.P_ALL, 0, &info, how) != nil || info.Pid == 0 {
			return
		}
		if !h.handle(info) {
			break
		}
	}
	for tid := range h.tracees {
		var info ptrace.Siginfo
		if ptrace.Waitid(unix.P_PID, tid, &info, how) == nil && info.Pid != 0 {
			h.handle(info)
		}
	}
}

// handle reports a status that waitid(2) found. It returns false for a signal stop that is
// reported already, and for a thread that was killed in its stop: another SIGCHLD follows.
func (h *helper) handle(info ptrace.Siginfo) bool {
	tid := int(info.Pid)
	if seen, ok := h.peeked[tid]; ok && seen == info {
		return false
	}
	delete(h.peeked, tid)
	const syscallStop = int32(unix.SIGTRAP) | 0x80
	if !info.Dead() && info.Status>>8 == 0 && info.Status != syscallStop {
		h.peeked[tid], h.tracees[tid] = info, true
		h.send(Report{
			Kind: Stopped, Tid: int32(tid), Status: uint32(info.Status)<<8 | 0x7f,
		})
		return true
	}
	var status unix.WaitStatus
	if got, err := ptrace.Wait4(tid, &status, nil); err != nil || got != tid {
		return false
	}
	if !status.Stopped() {
		h.ended(tid, status)
		return true
	}
	h.tracees[tid] = true
	r := Report{Kind: Stopped, Tid: int32(tid), Status: uint32(status)}
	r.EntersExecve = info.Status == syscallStop && ptrace.EntersExecve(tid)
	if info.Status>>8 != 0 {
		message, err := ptrace.Message(tid)
		r.Message, r.HasMessage = uint64(message), err == nil
	}
	h.send(r)
	return true
}

// ended reports the end of a thread.
func (h *helper) ended(tid int, status unix.WaitStatus) {
	delete(h.tracees, tid)
	delete(h.peeked, tid)
	h.send(Report{Kind: Ended, Tid: int32(tid), Status: uint32(status)})
}
