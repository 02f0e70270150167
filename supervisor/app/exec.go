package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/cli"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/limits"
	"tp0/supervisor/orchestrator"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// execute is run for one command and no file: the same house around a
// configuration with one child, which inherits what we have.
func execute(o cli.ExecOptions, s *signals, version string) int {
	parent := os.Getppid()
	atTerminal := spawn.HasTerminal()
	if o.Session && atTerminal {
		atTerminal = s.without([]os.Signal{unix.SIGHUP, unix.SIGCONT}, spawn.GiveUpTerminal)
	}
	e := &execution{house: newHouse(o.MainOnly, version), opt: o}
	caught := s.all()
	var path string
	var remote bool
	var err error
	e.guard.SetDeadline(o.Deadline)
	s.beside(func() {
		if path, err = find(o.Command[0]); err == nil {
			remote = config.IsRemote(path)
		}
	}, func(sig os.Signal) { // a file system need not answer
		if e.stops(sig) {
			e.guard.Arm()
		}
	})
	if err != nil {
		return refuse(fmt.Errorf("cannot execute %q: %w", o.Command[0], err), unspawned(err))
	}
	if o.Session { // the terminal's stops mean nothing to an orphaned group, which a session of its own is
		for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
			if _, given := o.Rewrite[sig]; !given {
				o.Rewrite[sig] = unix.SIGSTOP
			}
		}
	}
	e.sink = &sieve{e}
	e.house.report, e.house.code = o.Report, e.code
	cfg := e.config(path, remote)
	e.configure(cfg)
	if e.threads, err = limits.Reserve(limits.ThreadNeeds{}); err != nil {
		return refuse(err, exitcode.Failed)
	}
	err = e.build(process.Options{Inherit: true, Parent: parent, ParentDeath: o.ParentDeath}, orchestrator.Options{
		Config: cfg, Terminal: terminal(os.Stderr), KeepQueuedSpawns: true, LeaveOrphans: o.MainOnly,
		ShortageTimeout: patience,
		ProcessDefaults: process.Spec{
			Spec: spawn.Spec{
				Session: o.Session, Terminal: atTerminal, Ignored: s.ignored, Blocked: s.blocked,
			},
			Scope: o.Scope, LeaveDescendants: true, TraceFrom: e.watch(), // what is left is ended with all the rest
		},
	})
	if err != nil {
		return refuse(err, exitcode.Failed)
	}
	<-caught
	e.live(s, e.asked)
	if e.timer != nil {
		e.timer.Stop()
	}
	outcome := e.close()
	code := e.code(outcome)
	if o.Strict {
		table(os.Stderr, e.left, outcome.Verdict(), code)
	}
	return e.leave(code)
}

// patience is how long the command waits for a process, memory or a descriptor
// that is short.
const patience = 5 * time.Second

// execution is the house of exec.
type execution struct {
	*house
	opt cli.ExecOptions

	// These belong to the fleet's goroutine until it ends.
	left    []remainder // for the table of --strict
	timer   *time.Timer // of --term-after; nil: it was not ready
	unready bool
}

func (e *execution) config(path string, remote bool) *config.Config {
	o := e.opt
	level := []string{"warn", "info", "debug"}[min(o.Verbose, 2)]
	launch := config.Launch{
		Command: o.Command[0], Path: path, OnRemoteFS: remote, Args: o.Command[1:], Env: os.Environ(),
		Logs: config.Logs{Format: "inherit", Stdout: "stdout", Stderr: "stderr"},
	}
	if o.ReadyTCP != "" {
		launch.Ready = &config.Ready{Probe: config.Probe{TCP: o.ReadyTCP}, Timeout: o.ReadyTimeout}
	}
	return config.ForCommand(filepath.Base(o.Command[0]), launch,
		config.Shutdown{Deadline: o.Deadline, Proof: event.ProofExact, Strict: o.Strict},
		config.Log{Level: level, Format: "text"}, e.instead(unix.SIGTERM))
}

func (e *execution) watch() event.Proof {
	if e.opt.Strict {
		return event.ProofExact
	}
	return event.ProofNone
}

// instead is what the command gets in place of a signal; 0: nothing.
func (e *execution) instead(sig unix.Signal) unix.Signal {
	if to, ok := e.opt.Rewrite[sig]; ok {
		return to
	}
	return sig
}

// stops reports whether a signal begins a stop.
func (e *execution) stops(sig os.Signal) bool {
	return sig == unix.SIGTERM && e.instead(unix.SIGTERM) != 0
}

// asked passes a signal on. SIGTERM begins a stop, whose first rung it is;
// swallowed it means nothing at all.
func (e *execution) asked(sig unix.Signal) {
	if e.stops(sig) {
		e.guard.Arm() // before the fleet hears of it, which may be stuck
		e.fleet.Signal(sig)
		return
	}
	e.fleet.Forward(sig, e.instead(sig))
}

// code is the exit code: the command's own, but for what goes before it.
func (e *execution) code(o fdledger.Result) int {
	o.Failed = e.unready // how the command ends is for its own code to say
	code := o.Code()
	status, err := e.fleet.ExitStatus()
	switch {
	case code != exitcode.OK:
	case err != nil:
		code = unspawned(err)
	case status.Signaled():
		code = exitcode.OfSignal(status.Signal())
	default:
		code = status.ExitStatus()
	}
	if slices.Contains(e.opt.Success, code) && code != exitcode.Forced {
		code = exitcode.OK
	}
	return code
}

// unspawned is the exit code for a command that cannot be executed, as shells
// have it.
func unspawned(err error) int {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return exitcode.NotFound
	}
	return exitcode.NotExecutable
}

// find looks for a command as execvp(3) does. One with a slash is left to
// execve to judge.
func find(command string) (string, error) {
	if strings.Contains(command, "/") {
		return command, nil
	}
	search, ok := os.LookupEnv("PATH")
	if !ok {
		search = "/usr/local/bin:/bin:/usr/bin"
	}
	var result error = unix.ENOENT
	for _, dir := range filepath.SplitList(search) {
		path := filepath.Join(dir, command)
		if !strings.Contains(path, "/") {
			path = "./" + path // of an empty entry, the current directory
		}
		var st unix.Stat_t
		if command == "" || unix.Stat(path, &st) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG && unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) == nil {
			return path, nil
		}
		result = unix.EACCES
	}
	return "", result
}
