package orchestrator

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/config"
	"tp0/supervisor/notify"
	"tp0/supervisor/output"
	"tp0/supervisor/probe"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
)

// spawn starts a process. A failure before the fork is delivered as the fact that the process loop
// would have sent, so that one path handles all failed spawns.
func (o *Orchestrator) spawn(inst *instance) {
	inst.forgetProcess()
	inst.process.id = o.nextID()
	o.processes.byID[inst.process.id] = inst
	o.processes.pending++
	s, err := o.processSpec(inst)
	if err != nil {
		o.mail.Put(process.SpawnFailed{Process: inst.process.id, Err: err})
		return
	}
	o.opt.Processes.Spawn(inst.process.id, s)
}

// nextID returns the number of the next process or hook.
func (o *Orchestrator) nextID() process.ID {
	o.processes.last++
	return o.processes.last
}

// forgetProcess forgets what was known of the last process.
func (inst *instance) forgetProcess() {
	inst.process = currentProcess{}
	inst.stop, inst.exit = stopProgress{}, exitStatus{}
	inst.health, inst.notified = health{}, notifications{}
}

// processSpec prepares the sockets, the environment and the output of the next process.
func (o *Orchestrator) processSpec(inst *instance) (process.Spec, error) {
	l, s := &inst.spec.Launch, o.opt.ProcessDefaults
	var err error
	if s.Sockets, err = o.takeSockets(inst); err != nil {
		return s, err
	}
	s.Env = l.Env
	if inst.usesNotify() {
		if s.Env, err = o.openNotify(inst); err != nil {
			return s, err
		}
	}
	if l.Ready != nil && l.Ready.Watchdog > 0 {
		s.PidVariables = append(slices.Clip(s.PidVariables), "WATCHDOG_PID")
	}
	lines := output.Spec{
		Instance: inst.spec.Name, Child: inst.spec.Child,
		Format: l.Logs.Format, Colors: l.Logs.Colors,
		Stdout: l.Logs.Stdout, Stderr: l.Logs.Stderr, UID: l.Attributes.UID,
	}
	if l.Ready != nil && l.Ready.Log != "" {
		// The pattern was compiled before, when the configuration was checked.
		inst.health.line = probe.NewLineMatcher(regexp.MustCompile(l.Ready.Log))
		lines.Lines, lines.Awaited = inst.health.line.Match, inst.health.line.Pending
	}
	if inst.process.output, err = o.opt.Relays.Prepare(lines); err != nil {
		return s, err
	}
	o.outputs.add(inst.process.output)
	s.Stdout, s.Stderr = inst.process.output.ChildFiles()
	s.Name, s.Path, s.Dir, s.LateEnv = inst.spec.Name, l.Path, l.Dir, l.LateEnv
	s.Argv = append([]string{l.Command}, l.Args...)
	s.Attributes = spawn.Attributes(l.Attributes)
	// Go's fork waits for the execve in a raw system call, which a remote file system can block.
	// With Barrier the start verb waits instead.
	s.Barrier = s.Barrier || l.OnRemoteFS
	s.KillHold, s.Probed = inst.signalHold(), l.Ready != nil && len(l.Ready.Exec) == 0
	if scope := inst.spec.Policy.KillScope; scope != "" { // empty: ProcessDefaults has the scope
		s.Scope = scope
		s.LeaveDescendants = inst.spec.Policy.Descendants == config.LeaveDescendants
	}
	if !o.opt.KeepQueuedSpawns {
		s.Revoked = &o.stopBegan
	}
	return s, nil
}

// add records an output until it is done.
func (o *outputs) add(c *output.ChildOutput) {
	if len(o.open) >= o.pruneAt { // not at each spawn: the start of n children would cost n²
		o.open = slices.DeleteFunc(o.open, func(c *output.ChildOutput) bool {
			select {
			case <-c.Done():
				return true
			default:
				return false
			}
		})
		o.pruneAt = 2*len(o.open) + 16
	}
	o.open = append(o.open, c)
}

// openNotify opens the notification socket of the next process, and returns its environment. The
// environment of a child can have the variables of another service manager.
func (o *Orchestrator) openNotify(inst *instance) ([]string, error) {
	l, p := &inst.spec.Launch, &inst.process
	m := notification{p.id}
	uid := os.Geteuid()
	if l.Attributes.UID != nil {
		uid = int(*l.Attributes.UID)
	}
	var err error
	p.notify, err = o.opt.Notify.Open(notify.Process{
		Name: inst.spec.Name, Number: uint64(p.id), UID: uid, Arrived: func() { o.mail.Put(m) },
	})
	if err != nil {
		return nil, err
	}
	env := slices.DeleteFunc(slices.Clone(l.Env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "NOTIFY_SOCKET" || name == "WATCHDOG_USEC" || name == "WATCHDOG_PID"
	})
	env = append(env, "NOTIFY_SOCKET="+p.notify.Address())
	if l.Ready.Watchdog > 0 {
		usec := strconv.FormatInt(l.Ready.Watchdog.Microseconds(), 10)
		env = append(env, "WATCHDOG_USEC="+usec)
	}
	return env, nil
}
