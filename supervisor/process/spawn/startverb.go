package spawn

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"tp0/supervisor/envfile"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/program"
)

// Go's fork runs no code of ours between fork and exec. So a hidden verb of our own binary does
// what must be done there, and then executes the command. It costs the start of a Go program, a few
// milliseconds, so it is used only for processes that need it.

// StartVerb is the first argument that makes our own binary call [RunStartVerb].
const StartVerb = "__start"

// startRequest is what the start verb does before it executes the command. It is the first argument
// of the verb, as JSON.
type startRequest struct {
	Ignored    Signals
	Blocked    *Signals       // nil for the mask that Go's fork sets
	Barrier    int            // the descriptor of the child's end
	Parent     int            // the pid of the supervisor
	Death      syscall.Signal // the parent death signal
	Attributes Attributes
	Dir        string // the working directory; empty for that of the supervisor
	LateEnv    envfile.Late
	// PidVariables get the pid of the process.
	PidVariables []string

	environ []string // of the command
}

// throughStartVerb returns the path and the arguments of the start verb that executes the command
// of the spec. barrier is the number of the child's end of the barrier in the child.
func (s *Spec) throughStartVerb(barrier int) (path string, argv []string, err error) {
	request, err := json.Marshal(startRequest{
		Ignored: s.Ignored, Blocked: s.Blocked, Barrier: barrier, Parent: os.Getpid(),
		Death: s.deathSignal(), Attributes: s.Attributes, Dir: s.Dir, LateEnv: s.LateEnv,
		PidVariables: s.PidVariables,
	})
	if err != nil {
		return "", nil, fmt.Errorf("cannot encode the start request: %w", err)
	}
	argv = append([]string{"supervisor", StartVerb, string(request), s.Path}, s.Argv...)
	return "/proc/self/exe", argv, nil
}

// RunStartVerb is the start verb. It waits at the barrier, sets the attributes of the command for
// this process, and executes the command. args are the arguments after the verb: the request, the
// path, and the arguments of the command, which start with its name. RunStartVerb returns only on
// an error, with the exit code; the supervisor gets the error through the barrier.
//
// It must be called on the main thread, before any goroutine is started. The main thread is traced.
// It also has the parent death signal, which the kernel keeps for the thread that calls execve(2).
// The ids, the priority and no_new_privs are attributes of a thread, and execve(2) ends all other
// threads.
func RunStartVerb(args []string) int {
	if len(args) < 3 {
		fmt.Fprintf(os.Stderr, "supervisor: %s is for the supervisor's own use\n", StartVerb)
		return exitcode.NotExecutable
	}
	var r startRequest
	if err := json.Unmarshal([]byte(args[0]), &r); err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: cannot decode the start request: %v\n", err)
		return exitcode.NotExecutable
	}
	if !awaitRelease(r.Barrier) {
		return exitcode.NotExecutable // the supervisor has ended
	}
	err := r.apply()
	path := args[1]
	if err == nil && path == "" {
		path, err = r.find(args[2])
	}
	if err == nil {
		_, _ = unix.Write(r.Barrier, []byte{executing}) // it fails only if the supervisor has ended
		err = r.executeError(path, syscall.Exec(path, args[2:], r.environ))
	}
	var failed *startError
	if errors.As(err, &failed) {
		_, _ = unix.Write(r.Barrier, failed.encode()) // else the supervisor has ended
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return exitcode.NotFound
	}
	return exitcode.NotExecutable
}

// apply sets the attributes in an order in which no step removes the privilege for a later step.
// The resource limits come late, because limits on memory apply to the start verb too. They come
// before the ids, because root may raise them.
func (r *startRequest) apply() error {
	a := &r.Attributes
	for _, step := range []func() error{
		r.closeBarrierOnExec,
		r.setEnviron, // early, because the command may have no right to read the files
		a.setOOMScoreAdj,
		a.setNice,
		a.setUmask,
		a.setLimits,
		a.setIDs,
		r.setParentDeathSignal,
		a.setNoNewPrivs,
		r.changeDirectory, // with the rights of the command
		func() error { return setSignals(r.Ignored, r.Blocked) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// closeBarrierOnExec lets execve(2) close the barrier. A command with an open barrier would look
// like a start verb that has not executed its command yet.
func (r *startRequest) closeBarrierOnExec() error {
	_, err := unix.FcntlInt(uintptr(r.Barrier), unix.F_SETFD, unix.FD_CLOEXEC)
	return stepError(err, "set close-on-exec")
}

// setEnviron computes the environment of the command.
func (r *startRequest) setEnviron() error {
	environ, err := r.LateEnv.Apply(showEnviron(os.Environ()), r.Parent)
	if err != nil {
		return &startError{step: "set the environment", why: err.Error()}
	}
	r.environ = setPid(environ, r.PidVariables, os.Getpid())
	return nil
}

func (r *startRequest) changeDirectory() error {
	if r.Dir == "" {
		return nil
	}
	return stepError(unix.Chdir(r.Dir), "change to the directory %s", r.Dir)
}

// find finds the executable of a command, with the rights and the environment of the command.
func (r *startRequest) find(command string) (string, error) {
	path, err := find(command, r.Dir, r.environ)
	if err == nil {
		return path, nil
	}
	failed := &startError{step: "find the command " + command, why: err.Error()}
	if errors.As(err, new(*program.InterpreterError)) {
		failed.step = "execute " + path
	}
	if errors.Is(err, unix.ENOENT) {
		failed.errno = unix.ENOENT
	}
	return "", failed
}

// executeError returns the error of execve(2) with what it hides.
func (r *startRequest) executeError(path string, err error) error {
	why := program.Explain(err, path, r.Dir, r.environ)
	failed := &startError{step: "execute " + path, why: why}
	_ = errors.As(err, &failed.errno)
	return failed
}

// setParentDeathSignal sets the parent death signal again, because a change of the ids clears it
// (PR_SET_PDEATHSIG, prctl(2)). No signal is sent for a parent that ended before, so the parent is
// compared afterwards.
func (r *startRequest) setParentDeathSignal() error {
	if r.Attributes.UID == nil && r.Attributes.GID == nil {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(r.Death), 0, 0, 0); err != nil {
		return stepError(err, "set the parent death signal")
	}
	if os.Getppid() != r.Parent {
		return &startError{step: "continue: the supervisor has ended"}
	}
	return nil
}
