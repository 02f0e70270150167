package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

// ExecOptions are the command and the flags of exec.
type ExecOptions struct {
	Command      []string
	Deadline     time.Duration
	Rewrite      map[unix.Signal]unix.Signal // what is sent in place of a signal; 0: nothing
	Scope        lifecycle.Scope
	ParentDeath  unix.Signal // what we get when our parent dies; 0: nothing
	Success      []int       // codes that count as 0
	MainOnly     bool        // what is left when the command ended is left alone
	Session      bool
	Strict       bool
	TermAfter    time.Duration // once it is ready; below 0: never
	ReadyTCP     string        // where it listens when it is ready; empty: it is at once
	ReadyTimeout time.Duration
	Report       string // where the report of the stop goes; empty: nowhere
	Verbose      int
}

const execVerb = "exec"

func (c *cli) execCommand() *cobra.Command {
	o := ExecOptions{Rewrite: map[unix.Signal]unix.Signal{}, TermAfter: -1}
	var rewrite []string
	var scope, wait, parentDeath, termAfter string
	cmd := &cobra.Command{
		Use:   execVerb + " [flags] -- command [argument]...",
		Short: "Run one command, as init or below one",
		Long: `Run one command without a file, in place of tini or dumb-init.

Every signal goes to the command as it came. SIGTERM also starts the deadline,
and a second one kills. What the command leaves behind is ended within a
deadline too.

Exit codes: the command's own, 128+n if signal n ended it, 126 not executable,
127 not found; before it go 124, something had to be killed, and 3, a descriptor
was left open (with --strict). 2 is a wrong command line.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Command = args
			err := errors.Join(o.setRewrite(rewrite), o.setScope(scope), o.setWait(wait), o.setParentDeath(parentDeath),
				o.setTermAfter(termAfter), o.check())
			if err != nil {
				return err
			}
			c.code = c.Exec(o)
			return nil
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // the command's flags are its own
	f.DurationVar(&o.Deadline, "deadline", 9*time.Second, "how long a stop may take; below the 10 s of docker stop")
	f.StringArrayVarP(&rewrite, "rewrite", "r", nil, "send another signal in place of the one that came, as `15:3` or TERM:QUIT; 0: none")
	f.StringVar(&scope, "kill-scope", string(lifecycle.ScopeGroup), "whom signals reach: `process`, group or tree")
	f.StringVarP(&parentDeath, "pdeathsig", "p", "", "the `signal` that we get when our parent dies")
	f.IntSliceVarP(&o.Success, "success-code", "e", nil, "an exit `code` of the command that counts as 0")
	f.StringVar(&wait, "wait", "all", "for whom to wait: `all`, or main: what the command left behind is left alone")
	f.BoolVar(&o.Session, "setsid", false, "give the command a session of its own")
	f.BoolVar(&o.Strict, "strict", false, "exit 3 if a descriptor was left open, however the command ends; say which")
	f.StringVar(&o.Report, "report", "", "write the report of the stop to this `file`, as a page if it ends in .html")
	f.StringVar(&termAfter, "term-after", "", "stop it after a `time`, or once it listens: ready:tcp:8080")
	f.DurationVar(&o.ReadyTimeout, "ready-timeout", 30*time.Second, "how long --term-after ready waits")
	f.CountVarP(&o.Verbose, "verbose", "v", "log what happens; twice: all of it")
	return cmd
}

func (o *ExecOptions) setRewrite(rules []string) error {
	for _, rule := range rules {
		from, to, ok := strings.Cut(rule, ":")
		came, err := config.ParseSignal(from)
		if !ok || err != nil {
			return fmt.Errorf("--rewrite %q: it must be two signals, as 15:3", rule)
		}
		var sig unix.Signal
		if to != "0" {
			if sig, err = config.ParseSignal(to); err != nil {
				return fmt.Errorf("--rewrite %q: %w", rule, err)
			}
		}
		o.Rewrite[came] = sig
	}
	return nil
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
	o.MainOnly = wait == "main"
	if !o.MainOnly && wait != "all" {
		return fmt.Errorf("--wait %q: it must be all or main", wait)
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

// setTermAfter reads a time, or ready:tcp:[host:]port.
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

func (o *ExecOptions) check() error {
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
