package plan

import (
	"reflect"
	"slices"
	"tp0/supervisor/config"

	"golang.org/x/sys/unix"
)

// Plan is what it takes to get from one configuration to another, by the names
// of instances: what is added, changed and kept in the order of the new file,
// what is removed in the order of the old one.
type Plan struct {
	Added, Removed, Kept []string
	Changed              []Change
	Globals              []string // attributes outside of the children that differ, as log_level or shutdown.deadline
}

// Change is an instance that both configurations have, but not alike.
type Change struct {
	Name       string
	Restart    bool     // what a run is made of differs; else only how it is treated
	Attributes []string // as the file names them, ready.tcp for one in a block; never their values, which may be secret
}

// Empty says that there is nothing to do.
func (p Plan) Empty() bool {
	return len(p.Added)+len(p.Removed)+len(p.Changed)+len(p.Globals) == 0
}

// Compare returns the plan from old to new. A nil configuration has no children,
// so Diff(nil, c) adds them all. Attributes are compared by their values: one
// that is now written out with its default has not changed.
func Compare(old, new *config.Config) Plan {
	var plan Plan
	if old == nil {
		old = &config.Config{}
	}
	if new == nil {
		new = &config.Config{}
	}
	plan.Globals = differences(globals, old, new)
	was, is := placed(old), placed(new)
	for _, p := range is.list {
		before, ok := was.byName[p.Name]
		if !ok {
			plan.Added = append(plan.Added, p.Name)
			continue
		}
		change := Change{
			Name:       p.Name,
			Restart:    !reflect.DeepEqual(before.Launch, p.Launch),
			Attributes: differences(attributes, before, p),
		}
		if len(change.Attributes) > 0 {
			plan.Changed = append(plan.Changed, change)
		} else {
			plan.Kept = append(plan.Kept, p.Name)
		}
	}
	for _, p := range was.list {
		if _, ok := is.byName[p.Name]; !ok {
			plan.Removed = append(plan.Removed, p.Name)
		}
	}
	return plan
}

// place is an instance with what its child knows of it.
type place struct {
	*config.Instance
	dependsOn []string // sorted, each with its until
}

type places struct {
	list   []*place
	byName map[string]*place
}

func placed(c *config.Config) places {
	ps := places{byName: map[string]*place{}}
	for _, child := range c.Children {
		var dependsOn []string
		for _, d := range child.DependsOn {
			dependsOn = append(dependsOn, d.String())
		}
		slices.Sort(dependsOn)
		for _, instance := range child.Instances {
			p := &place{instance, dependsOn}
			ps.list = append(ps.list, p)
			ps.byName[p.Name] = p
		}
	}
	return ps
}

// compared is an attribute of the file and where its value went.
type compared[T any] struct {
	name string
	same func(a, b *T) bool
	of   func(*T) any
}

func compare[T, V any](name string, of func(*T) V) compared[T] {
	return compared[T]{name, func(a, b *T) bool { return reflect.DeepEqual(of(a), of(b)) }, func(t *T) any { return of(t) }}
}

// AttributeNames returns the attributes that [Compare] compares: those outside of the
// children, and those of a child.
func AttributeNames() (global, child []string) {
	for _, c := range globals {
		global = append(global, c.name)
	}
	for _, c := range attributes {
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
	compare("reload.rollback", func(c *config.Config) any { return c.Reload.Rollback }),
	compare("shutdown.deadline", func(c *config.Config) any { return c.Shutdown.Deadline }),
	compare("shutdown.proof", func(c *config.Config) any { return c.Shutdown.Proof }),
	compare("shutdown.strict", func(c *config.Config) any { return c.Shutdown.Strict }),
	compare("shutdown.report", func(c *config.Config) any { return c.Shutdown.Report }),
}

// A test asserts that every attribute of the schema is here. "child" is an
// instance that kept its name and got another child or index.
var attributes = append([]compared[place]{
	compare("child", func(p *place) any { return [2]any{p.Child, p.Index} }),
	compare("command", func(p *place) any {
		return []any{p.Launch.Command, p.Launch.Path, p.Launch.OnRemoteFS}
	}),
	compare("args", func(p *place) any { return p.Launch.Args }),
	compare("env", func(p *place) any { return p.Launch.Env }),
	compare("cwd", func(p *place) any { return p.Launch.Dir }),
	compare("listen", func(p *place) any { return p.Launch.Listen }),
	compare("user", func(p *place) any { return []any{p.Launch.Attributes.UID, p.Launch.Attributes.Groups} }),
	compare("group", func(p *place) any { return p.Launch.Attributes.GID }),
	compare("umask", func(p *place) any { return p.Launch.Attributes.Umask }),
	compare("nice", func(p *place) any { return p.Launch.Attributes.Nice }),
	compare("oom_score_adj", func(p *place) any { return p.Launch.Attributes.OOMScoreAdj }),
	compare("no_new_privs", func(p *place) any { return p.Launch.Attributes.NoNewPrivs }),
	compare("depends_on", func(p *place) any { return p.dependsOn }),
	compare("kill_signal", func(p *place) any {
		if p.Policy.KillSequence != nil { // the file says nothing of it
			return nil
		}
		return p.Policy.KillSignal
	}),
	compare("kill_timeout", func(p *place) any {
		if p.Policy.SharedTimeout || p.Policy.KillSequence != nil { // nor here
			return nil
		}
		return p.Policy.KillTimeout
	}),
	compare("kill_sequence", func(p *place) any { return p.Policy.KillSequence }),
	compare("kill_scope", func(p *place) any { return p.Policy.KillScope }),
	compare("descendants", func(p *place) any { return p.Policy.Descendants }),
	compare("kill_hold", func(p *place) any { return p.Policy.KillHold }),
	compare("diagnose_signal", func(p *place) any { return p.Policy.DiagnoseSignal }),
	compare("reload_signal", func(p *place) any { return p.Policy.ReloadSignal }),
	compare("oneshot", func(p *place) any { return p.Policy.Oneshot }),
	compare("sidecar", func(p *place) any { return p.Policy.Sidecar }),
	compare("critical", func(p *place) any { return p.Policy.Critical }),
	compare("success_codes", func(p *place) any { return p.Policy.SuccessCodes }),
	compare("on_success", func(p *place) any { return p.Policy.OnSuccess }),
	compare("on_failure", func(p *place) any { return p.Policy.OnFailure }),
	compare("ready.tcp", func(p *place) any { return p.ready().TCP }),
	compare("ready.http", func(p *place) any { return p.ready().HTTP }),
	compare("ready.exec", func(p *place) any { return [2]any{p.ready().Exec, p.ready().ExecPath} }),
	compare("ready.log", func(p *place) any { return p.ready().Log }),
	compare("ready.notify", func(p *place) any { return p.ready().Notify }),
	compare("ready.watchdog", func(p *place) any { return p.ready().Watchdog }),
	compare("ready.timeout", func(p *place) any { return p.ready().Timeout }),
	compare("check", func(p *place) any { return p.Policy.Checks }),
	compare("restart.on", func(p *place) any { return p.Policy.Restart.On }),
	compare("restart.attempts", func(p *place) any { return p.Policy.Restart.Attempts }),
	compare("restart.interval", func(p *place) any { return p.Policy.Restart.Interval }),
	compare("restart.delay", func(p *place) any { return p.Policy.Restart.Delay }),
	compare("restart.max_delay", func(p *place) any { return p.Policy.Restart.MaxDelay }),
	compare("restart.strategy", func(p *place) any {
		if p.Policy.OverlapUpdate {
			return config.Overlap
		}
		return config.StopFirst
	}),
	compare("restart.max_parallel", func(p *place) any { return p.Policy.MaxParallel }),
	compare("logs.format", func(p *place) any { return p.Launch.Logs.Format }),
	compare("logs.stdout", func(p *place) any { return p.Launch.Logs.Stdout }),
	compare("logs.stderr", func(p *place) any { return p.Launch.Logs.Stderr }),
}, comparedLimits()...)

func (p *place) ready() config.Ready {
	if p.Launch.Ready == nil {
		return config.Ready{}
	}
	return *p.Launch.Ready
}

func comparedLimits() (table []compared[place]) {
	for _, r := range config.Resources {
		table = append(table, compare("rlimits."+r.Name, func(p *place) *unix.Rlimit {
			if l, ok := p.Launch.Attributes.Limits[r.Number]; ok {
				return &l
			}
			return nil
		}))
	}
	return table
}
