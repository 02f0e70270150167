package spawn

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Fork forks a prepared process. own are the duplicates of p.Files that the loop's thread took
// over; the caller closes them afterwards. keepInherited says that children inherit the descriptors
// that the supervisor was started with, so the loop's thread has no fd table of its own.
//
// The child has a process group or a session of its own, a parent death signal, and the descriptors
// of its spec. The parent death signal is SIGTERM, for a probe SIGKILL, sent when the loop's thread
// ends (PR_SET_PDEATHSIG, prctl(2)). Go's fork restores the signal mask and the dispositions.
//
// Without a barrier Fork returns once the command is executed, with the error of fork(2) or
// execve(2). With a barrier it returns at once, and [Barrier.Release] returns the error of
// execve(2). Call Fork on the loop's thread only.
func (p *Prepared) Fork(own []int, keepInherited bool) (pid int, err error) {
	path, argv, attr, err := p.command(own, keepInherited)
	if err != nil {
		return 0, err
	}
	s := &p.spec
	attr.Sys = &syscall.SysProcAttr{
		Setsid:    s.Session,
		Setctty:   s.Session && s.Terminal,
		Setpgid:   !s.Session,
		Pdeathsig: s.deathSignal(),
	}
	c := s.Attributes.credential(os.Getuid(), os.Getgid())
	if p.Barrier != nil || c == nil {
		return forkExec(path, argv, attr) // the start verb changes the ids
	}
	attr.Sys.Credential = c
	if int(c.Uid) == os.Getuid() {
		return forkExec(path, argv, attr)
	}
	return withoutAmbient(func() (int, error) { return forkExec(path, argv, attr) })
}

// command returns what the fork executes: the command, or the start verb, which waits at the
// barrier.
func (p *Prepared) command(
	own []int, keepInherited bool,
) (path string, argv []string, attr *syscall.ProcAttr, err error) {
	s := &p.spec
	if p.Barrier == nil {
		attr = &syscall.ProcAttr{Dir: s.Dir, Env: s.Env, Files: descriptors(own)}
		return s.Path, s.Argv, attr, nil
	}
	barrier := len(own) - 1
	if keepInherited && len(s.Sockets) == 0 {
		// Number 3 may be a descriptor that the child inherits, so the barrier keeps the number
		// that the kernel chose. Only this thread forks, so no other child inherits the barrier.
		barrier = own[len(own)-1]
		own = own[:len(own)-1]
		if _, err := unix.FcntlInt(uintptr(barrier), unix.F_SETFD, 0); err != nil {
			return "", nil, nil, fmt.Errorf("cannot pass the barrier to the child: %w", err)
		}
	}
	path, argv, err = s.throughStartVerb(barrier)
	// The start verb changes to the directory, with the rights of the command.
	return path, argv, &syscall.ProcAttr{Env: hideEnviron(s.Env), Files: descriptors(own)}, err
}

// forkExec is the only fork of the supervisor. It runs on the loop's thread. An attribute that the
// child inherits from this thread or process, and that Go's fork cannot set, must be set here.
func forkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	return syscall.ForkExec(path, argv, attr)
}

// credential returns the user and the groups in the form of Go's fork. uid and gid are those of the
// supervisor. It returns nil if the attributes change neither.
func (a *Attributes) credential(uid, gid int) *syscall.Credential {
	if a.UID == nil && a.GID == nil {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: a.Groups}
	if a.UID != nil {
		c.Uid = *a.UID
	}
	if a.GID != nil {
		c.Gid = *a.GID
	}
	return c
}

// descriptors converts descriptors to the form of Go's fork.
func descriptors(own []int) []uintptr {
	files := make([]uintptr, len(own))
	for i, fd := range own {
		files[i] = uintptr(fd)
	}
	return files
}

// ForkTraceHelper forks the trace helper for a user and a group: see package tracehelper. verb is
// its verb. own are its standard streams and its end of the socket. It gets SIGKILL when the loop's
// thread ends. Call ForkTraceHelper on the loop's thread only.
func ForkTraceHelper(verb string, uid, gid uint32, own []int) (pid int, err error) {
	argv := []string{"supervisor", verb, fmt.Sprint(uid), fmt.Sprint(gid)}
	return forkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Env:   []string{"GOMAXPROCS=2"}, // of its threads, one traces and one reads the socket
		Files: descriptors(own),
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
}
