package verb

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

func execVerb(p Program) *Verb {
	o := ExecOptions{Rewrite: map[unix.Signal]unix.Signal{}, TermAfter: -1}
	var texts execTexts
	v := newVerb(Exec, "Run one command without a configuration, as init or below it",
		`Run one command without a configuration, instead of tini or dumb-init.

Every signal is forwarded to the command. SIGTERM also starts the deadline, and a
second SIGTERM sends SIGKILL. When the command has ended, its descendants are
ended within the deadline too.

Exit codes:
    n  the command's own; 128+n if signal n ended it
    2  the command line is wrong
    3  there is a finding, see --findings (with --strict)
  124  a process had to be killed
  126  the command is not executable
  127  the command was not found`)
	v.Args, v.check = "[flags] -- command [argument]...", checkCommand
	v.run = func(args []string) (int, error) {
		o.Command = args
		err := errors.Join(
			o.setRewrite(texts.rewrite), o.setScope(texts.scope), o.setWait(texts.wait),
			o.setParentDeath(texts.parentDeath), o.setTermAfter(texts.termAfter),
			o.checkRanges(),
		)
		if err != nil {
			return 0, err
		}
		return p.Exec(o), nil
	}
	o.addFlags(v.Flags, &texts)
	return v
}

// execTexts are the flags that are parsed after the command line.
type execTexts struct {
	rewrite                             []string
	scope, wait, parentDeath, termAfter string
}

// addFlags adds the flags of exec.
func (o *ExecOptions) addFlags(f *pflag.FlagSet, texts *execTexts) {
	f.SetInterspersed(false) // flags after the command belong to it
	f.DurationVar(
		&o.Deadline, "deadline", 9*time.Second, "stop within this `time`; docker stop allows 10s",
	)
	f.StringArrayVarP(
		&texts.rewrite, "rewrite", "r", nil,
		"send another signal than the received one, as `15:3` or TERM:QUIT; 0 sends none",
	)
	f.StringVar(
		&texts.scope, "kill-scope", string(lifecycle.ScopeGroup),
		"send signals to the `process`, its group or its tree",
	)
	f.StringVarP(
		&texts.parentDeath, "pdeathsig", "p", "",
		"get this `signal` when the parent of the supervisor dies (default none)",
	)
	f.IntSliceVarP(
		&o.Success, "success-code", "e", nil, "count this exit `code` of the command itself as 0",
	)
	f.StringVar(
		&texts.wait, "wait", "all",
		"wait for `all` processes, or for main: the descendants of the command are left alone; "+
			"with signal they get SIGTERM, and nothing waits for them",
	)
	f.BoolVar(&o.Session, "setsid", false, "run the command in a session of its own")
	f.BoolVar(
		&o.Strict, "strict", false,
		"exit with code 3 if there is a finding, and print a table of the findings",
	)
	addFindings(f, &o.Findings, "data")
	f.StringVar(
		&o.Report, "report", "",
		"write the report of the stop to this `file`: HTML if the name ends in .html, else JSON",
	)
	f.StringVar(
		&texts.termAfter, "term-after", "",
		"stop the command after a `time`, or when it listens: ready:tcp:8080 (default never)",
	)
	f.DurationVar(
		&o.ReadyTimeout, "ready-timeout", 30*time.Second, "wait this `time` for --term-after ready",
	)
	f.CountVarP(&o.Verbose, "verbose", "v", "log events of level info; -vv logs level debug")
}

func (o *ExecOptions) setRewrite(rules []string) error {
	for _, rule := range rules {
		from, to, ok := strings.Cut(rule, ":")
		came, err := config.ParseSignal(from)
		if !ok || err != nil {
			return fmt.Errorf("--rewrite %q: it must be two signals, as 15:3", rule)
		}
		if _, given := o.Rewrite[came]; given {
			return fmt.Errorf("--rewrite %q: there is a rule for signal %d already", rule, came)
		}
		if neverForwarded(came) {
			return fmt.Errorf("--rewrite %q: signal %d is never forwarded", rule, came)
		}
		var sig unix.Signal
		if to != "0" {
			if sig, err = config.ParseSignal(to); err != nil {
				return fmt.Errorf("--rewrite %q: %w", rule, err)
			}
		}
		if sig == came {
			return fmt.Errorf("--rewrite %q: it changes nothing", rule)
		}
		o.Rewrite[came] = sig
	}
	return nil
}

// neverForwarded reports whether exec does not forward a signal: nobody can catch it, or the
// supervisor, the C library (32, 33) or the Go runtime need it.
func neverForwarded(sig unix.Signal) bool {
	switch sig {
	case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, 32, 33, 34:
		return true
	}
	return false
}

func (o *ExecOptions) setScope(scope string) error {
	o.Scope = lifecycle.Scope(scope)
	switch o.Scope {
	case lifecycle.ScopeProcess, lifecycle.ScopeGroup, lifecycle.ScopeTree:
		return nil
	}
	return fmt.Errorf("--kill-scope %q: it must be process, group or tree", scope)
}

func (o *ExecOptions) setWait(wait string) error {
	switch wait {
	case "all":
	case "main":
		o.MainOnly = true
	case "signal":
		o.MainOnly, o.SignalRest = true, true
	default:
		return fmt.Errorf("--wait %q: it must be all, main or signal", wait)
	}
	return nil
}

func (o *ExecOptions) setParentDeath(sig string) (err error) {
	if sig == "" {
		return nil
	}
	if o.ParentDeath, err = config.ParseSignal(sig); err != nil {
		return fmt.Errorf("--pdeathsig: %w", err)
	}
	return nil
}

// setTermAfter parses a time, or ready:tcp:[host:]port.
func (o *ExecOptions) setTermAfter(text string) (err error) {
	if text == "" {
		return nil
	}
	if address, ok := strings.CutPrefix(text, "ready:tcp:"); ok {
		if !strings.Contains(address, ":") {
			address = ":" + address
		}
		port, err := strconv.Atoi(address[strings.LastIndex(address, ":")+1:])
		if err != nil || port < 1 || port > 65535 {
			return fmt.Errorf("--term-after %q: the port must be a number from 1 to 65535", text)
		}
		o.ReadyTCP, o.TermAfter = address, 0
		return nil
	}
	if o.TermAfter, err = time.ParseDuration(text); err != nil || o.TermAfter < 0 {
		return fmt.Errorf("--term-after %q: it must be a time, as 5s, or ready:tcp:8080", text)
	}
	return nil
}

func (o *ExecOptions) checkRanges() error {
	if o.Deadline <= 0 || o.ReadyTimeout <= 0 {
		return errors.New("--deadline and --ready-timeout must be above 0")
	}
	for _, code := range o.Success {
		if code < 0 || code > 255 {
			return fmt.Errorf("--success-code %d: it must be from 0 to 255", code)
		}
	}
	return nil
}
