package plan

import (
	"reflect"
	"slices"
	"sync"
	"time"
	"tp0/supervisor/config"

	"golang.org/x/sys/unix"
)

// Plan lists what a reload changes, by the names of instances. Added, Changed and Kept have the
// order of the new file, Removed the order of the old one.
type Plan struct {
	Added, Removed, Kept []string
	Changed              []Change
	Globals              []string // changed attributes outside of children: shutdown.deadline
}

// Change is an instance that both configurations have with different attributes.
type Change struct {
	Name    string
	Restart bool // the process must be replaced, because its Launch differs
	// Attributes are the names as in the file; ready.tcp is the attribute tcp in a ready block.
	// Values are left out, because they can be secret.
	Attributes []string
}

// Empty reports whether the plan changes nothing.
func (p Plan) Empty() bool {
	return len(p.Added)+len(p.Removed)+len(p.Changed)+len(p.Globals) == 0
}

// Compare returns the plan from old to new. A nil configuration has no children, so
// Compare(nil, c) adds all instances of c. Attributes are compared by value: an attribute that
// the new file sets to its default has not changed.
func Compare(old, new *config.Config) Plan {
	var plan Plan
	if old == nil {
		old = &config.Config{}
	}
	if new == nil {
		new = &config.Config{}
	}
	plan.Globals = differences(globals, old, new)
	before, after := instancesOf(old), instancesOf(new)
	for _, i := range after.list {
		previous, ok := before.byName[i.Name]
		if !ok {
			plan.Added = append(plan.Added, i.Name)
			continue
		}
		previous, i := withoutPaths(previous, i)
		change := Change{
			Name:       i.Name,
			Restart:    !SameLaunch(previous.Instance, i.Instance),
			Attributes: differences(attributes(), previous, i),
		}
		if len(change.Attributes) > 0 {
			plan.Changed = append(plan.Changed, change)
		} else {
			plan.Kept = append(plan.Kept, i.Name)
		}
	}
	for _, i := range before.list {
		if _, ok := after.byName[i.Name]; !ok {
			plan.Removed = append(plan.Removed, i.Name)
		}
	}
	return plan
}

// SameLaunch reports whether a process of the instance a needs no replacement for b.
func SameLaunch(a, b *config.Instance) bool {
	x, y := withoutPaths(&instance{a, nil}, &instance{b, nil})
	return reflect.DeepEqual(x.Launch, y.Launch)
}

// withoutPaths returns two instances without the executables if only one of them has these: a child
// that depends on a oneshot finds its executables when it starts. A new dependency is no reason to
// replace a process.
func withoutPaths(a, b *instance) (*instance, *instance) {
	if (a.Launch.Path == "") == (b.Launch.Path == "") {
		return a, b
	}
	without := func(i *instance) *instance {
		plain := *i.Instance
		plain.Launch.Path, plain.Launch.OnRemoteFS = "", false
		if r := plain.Launch.Ready; r != nil {
			ready := *r
			ready.ExecPath = ""
			plain.Launch.Ready = &ready
		}
		plain.Policy.Checks = slices.Clone(plain.Policy.Checks)
		for at := range plain.Policy.Checks {
			plain.Policy.Checks[at].ExecPath = ""
		}
		return &instance{&plain, i.dependsOn}
	}
	return without(a), without(b)
}

// instance is an instance with the dependencies of its child.
type instance struct {
	*config.Instance
	dependsOn []string // sorted, each one with its until
}

type instances struct {
	list   []*instance
	byName map[string]*instance
}

func instancesOf(c *config.Config) instances {
	all := instances{byName: map[string]*instance{}}
	for _, child := range c.Children {
		var dependsOn []string
		for _, d := range child.DependsOn {
			dependsOn = append(dependsOn, d.String())
		}
		slices.Sort(dependsOn)
		for _, of := range child.Instances {
			i := &instance{of, dependsOn}
			all.list = append(all.list, i)
			all.byName[i.Name] = i
		}
	}
	return all
}

// compared is an attribute of the file that [Compare] compares. of returns its value.
type compared[T any] struct {
	name string
	same func(a, b *T) bool
	of   func(*T) any
}

func compare[T, V any](name string, of func(*T) V) compared[T] {
	return compared[T]{
		name: name,
		same: func(a, b *T) bool { return reflect.DeepEqual(of(a), of(b)) },
		of:   func(t *T) any { return of(t) },
	}
}

// AttributeNames returns the attributes that [Compare] compares: those outside of the
// children, and those of a child.
func AttributeNames() (global, child []string) {
	for _, c := range globals {
		global = append(global, c.name)
	}
	for _, c := range attributes() {
		child = append(child, c.name)
	}
	return global, child
}

func differences[T any](table []compared[T], a, b *T) []string {
	var names []string
	for _, c := range table {
		if !c.same(a, b) {
			names = append(names, c.name)
		}
	}
	return names
}

var globals = []compared[config.Config]{
	compare("log_level", func(c *config.Config) string { return c.Log.Level }),
	compare("log_format", func(c *config.Config) string { return c.Log.Format }),
	compare("log_fds", func(c *config.Config) any { return c.Log.FDs }),
	compare("log_retain_total", func(c *config.Config) any { return c.Log.RetainTotal }),
	compare("control.socket", func(c *config.Config) string { return c.Control.Socket }),
	compare("metrics.listen", func(c *config.Config) string { return c.Metrics.Listen }),
	compare("control.group", func(c *config.Config) any { return c.Control.GID }),
	compare("reload.rollback", func(c *config.Config) any { return c.Reload.Rollback }),
	compare("shutdown.deadline", func(c *config.Config) any { return c.Shutdown.Deadline }),
	compare("shutdown.proof", func(c *config.Config) any { return c.Shutdown.Proof }),
	compare("shutdown.strict", func(c *config.Config) any { return c.Shutdown.Strict }),
	compare("shutdown.findings", func(c *config.Config) any { return c.Shutdown.Findings.Level }),
	compare("shutdown.allow", func(c *config.Config) any { return c.Shutdown.Findings.Allow }),
	compare("shutdown.report", func(c *config.Config) any { return c.Shutdown.Report }),
}

// attributes are the attributes of an instance. A test asserts that it has every attribute of the
// schema. "child" differs if an instance with the same name has another child or index. It is made
// at its first use, a reload, because exec and the start verb never need it.
var attributes = sync.OnceValue(func() []compared[instance] {
	return append([]compared[instance]{
		compare("child", func(p *instance) any { return [2]any{p.Child, p.Index} }),
		compare("command", func(p *instance) any {
			return []any{p.Launch.Command, p.Launch.Path, p.Launch.OnRemoteFS}
		}),
		compare("args", func(p *instance) any { return p.Launch.Args }),
		compare("env", func(p *instance) any { return p.Launch.Env }),
		compare("env_file", func(p *instance) any { return p.Launch.LateEnv }),
		compare("cwd", func(p *instance) any { return p.Launch.Dir }),
		compare("listen", func(p *instance) any { return p.Launch.Listen }),
		compare("user", func(p *instance) any {
			return []any{p.Launch.Attributes.UID, p.Launch.Attributes.Groups}
		}),
		compare("group", func(p *instance) any { return p.Launch.Attributes.GID }),
		compare("umask", func(p *instance) any { return p.Launch.Attributes.Umask }),
		compare("nice", func(p *instance) any { return p.Launch.Attributes.Nice }),
		compare("oom_score_adj", func(p *instance) any { return p.Launch.Attributes.OOMScoreAdj }),
		compare("no_new_privs", func(p *instance) any { return p.Launch.Attributes.NoNewPrivs }),
		compare("depends_on", func(p *instance) any { return p.dependsOn }),
		compare("kill_signal", func(p *instance) any {
			if p.Policy.KillSequence != nil { // computed from kill_sequence
				return nil
			}
			return p.Policy.KillSignal
		}),
		compare("kill_timeout", func(p *instance) any {
			if p.Policy.SharedTimeout || p.Policy.KillSequence != nil { // not in the file
				return nil
			}
			return p.Policy.KillTimeout
		}),
		compare("kill_sequence", func(p *instance) any { return p.Policy.KillSequence }),
		compare("kill_scope", func(p *instance) any { return p.Policy.KillScope }),
		compare("descendants", func(p *instance) any { return p.Policy.Descendants }),
		compare("kill_hold", func(p *instance) any { return p.Policy.KillHold }),
		compare("diagnose_signal", func(p *instance) any { return p.Policy.DiagnoseSignal }),
		compare("findings", func(p *instance) any { return p.Policy.Findings.Level }),
		compare("allow", func(p *instance) any { return p.Policy.Findings.Allow }),
		compare("watch_fds", func(p *instance) any { return p.Policy.WatchFDs }),
		compare("stop.exec", func(p *instance) any { return p.Policy.Hooks.Stop }),
		compare("hooks.pre_start", func(p *instance) any { return p.Policy.Hooks.PreStart }),
		compare("hooks.post_stop", func(p *instance) any { return p.Policy.Hooks.PostStop }),
		compare("hooks.on_failure", func(p *instance) any { return p.Policy.Hooks.OnFailure }),
		compare("hooks.timeout", func(p *instance) any {
			return hookTimeout{p.Policy.Hooks.Timeout, p.Policy.Hooks.SharedTimeout}
		}),
		compare("reload_signal", func(p *instance) any { return p.Policy.ReloadSignal }),
		compare("oneshot", func(p *instance) any { return p.Policy.Oneshot }),
		compare("sidecar", func(p *instance) any { return p.Policy.Sidecar }),
		compare("critical", func(p *instance) any { return p.Policy.Critical }),
		compare("success_codes", func(p *instance) any { return p.Policy.SuccessCodes }),
		compare("on_success", func(p *instance) any { return p.Policy.OnSuccess }),
		compare("on_failure", func(p *instance) any { return p.Policy.OnFailure }),
		compare("ready.tcp", func(p *instance) any { return p.ready().TCP }),
		compare("ready.http", func(p *instance) any { return p.ready().HTTP }),
		compare("ready.exec",
			func(p *instance) any { return [2]any{p.ready().Exec, p.ready().ExecPath} }),
		compare("ready.log", func(p *instance) any { return p.ready().Log }),
		compare("ready.notify", func(p *instance) any { return p.ready().Notify }),
		compare("ready.watchdog", func(p *instance) any { return p.ready().Watchdog }),
		compare("ready.timeout", func(p *instance) any { return p.ready().Timeout }),
		compare("check", func(p *instance) any { return p.Policy.Checks }),
		compare("restart.on", func(p *instance) any { return p.Policy.Restart.On }),
		compare("restart.attempts", func(p *instance) any { return p.Policy.Restart.Attempts }),
		compare("restart.interval", func(p *instance) any { return p.Policy.Restart.Interval }),
		compare("restart.delay", func(p *instance) any { return p.Policy.Restart.Delay }),
		compare("restart.max_delay", func(p *instance) any { return p.Policy.Restart.MaxDelay }),
		compare("restart.strategy", func(p *instance) any {
			if p.Policy.OverlapUpdate {
				return config.Overlap
			}
			return config.StopFirst
		}),
		compare("restart.max_parallel", func(p *instance) any { return p.Policy.MaxParallel }),
		compare("restart.min_ready", func(p *instance) any { return p.Policy.MinReady }),
		compare("logs.format", func(p *instance) any { return p.Launch.Logs.Format }),
		compare("logs.colors", func(p *instance) any { return p.Launch.Logs.Colors }),
		compare("logs.stdout", func(p *instance) any { return p.Launch.Logs.Stdout }),
		compare("logs.stderr", func(p *instance) any { return p.Launch.Logs.Stderr }),
		compare("logs.timestamps", func(p *instance) any { return p.Policy.Logs.Timestamps }),
		compare("logs.retain", func(p *instance) any { return p.Policy.Logs.Retain }),
		compare("logs.rotate.size", func(p *instance) any { return p.Policy.Logs.Rotate.Size }),
		compare("logs.rotate.age", func(p *instance) any { return p.Policy.Logs.Rotate.Age }),
		compare("logs.rotate.keep", func(p *instance) any { return p.Policy.Logs.Rotate.Keep }),
		compare("logs.rotate.compress", func(p *instance) any {
			return p.Policy.Logs.Rotate.Compress
		}),
	}, comparedLimits()...)
})

// hookTimeout is the timeout of the hooks. A shared one is not in the file.
type hookTimeout struct {
	length time.Duration
	shared bool
}

func (t hookTimeout) String() string {
	if t.shared {
		return "not given"
	}
	return t.length.String()
}

func (p *instance) ready() config.Ready {
	if p.Launch.Ready == nil {
		return config.Ready{}
	}
	return *p.Launch.Ready
}

func comparedLimits() (table []compared[instance]) {
	for _, r := range config.Resources {
		table = append(table, compare("rlimits."+r.Name, func(p *instance) *unix.Rlimit {
			if l, ok := p.Launch.Attributes.Limits[r.Number]; ok {
				return &l
			}
			return nil
		}))
	}
	return table
}
