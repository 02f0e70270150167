package orchestrator

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"tp0/supervisor/config"
)

// script is a test in steps, with the first of its configurations. Reloads can load the others.
type script struct {
	name    string
	configs []*config.Config
	steps   []step
}

// step is something that happens, and the actions of the orchestrator that follow, separated by
// ", ". See ordered for the actions that have an order. Actions of two goroutines that do not wait
// for each other are separated by " | ": they have none.
type step struct{ do, want string }

func runScripts(t *testing.T, scripts []script) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) { runScript(t, s.configs, s.steps) })
	}
}

// start returns the steps that start instances without dependencies between them.
func start(names ...string) []step {
	steps := []step{{"", "spawn " + strings.Join(names, ", spawn ")}}
	for _, name := range names {
		steps = append(steps, step{"spawned " + name, name + " ready"})
	}
	return steps
}

// beginWith returns scripts that begin with the same steps.
func beginWith(first []step, scripts ...script) []script {
	for i := range scripts {
		scripts[i].steps = slices.Concat(first, scripts[i].steps)
	}
	return scripts
}

func runScript(t *testing.T, configs []*config.Config, steps []step) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, configs...)
		defer h.finish()
		order := dependencyOrder(configs)
		for i, s := range steps {
			got := h.do(s.do)
			if actions := h.actions(); got == "" {
				got = actions
			}
			if !order.match(got, s.want) {
				t.Errorf("step %d, %q:\n got %s\nwant %s", i+1, s.do, got, s.want)
				return
			}
		}
	})
}

// actionOrder knows which actions of a step have an order.
type actionOrder struct {
	childOf map[string]string          // by instance
	depends map[string]map[string]bool // by child: all that it depends on, by any configuration
}

// dependencyOrder returns the order by the dependencies of the configurations.
func dependencyOrder(configs []*config.Config) actionOrder {
	o := actionOrder{childOf: map[string]string{}, depends: map[string]map[string]bool{}}
	for _, cfg := range configs {
		for _, c := range cfg.Children {
			if o.depends[c.Name] == nil {
				o.depends[c.Name] = map[string]bool{}
			}
			for _, i := range c.Instances {
				o.childOf[i.Name] = c.Name
			}
			for _, d := range c.DependsOn {
				o.depends[c.Name][d.Child] = true
			}
		}
	}
	for range o.depends { // transitive closure: a path has at most one edge for each child
		for _, on := range o.depends {
			for name := range on {
				for further := range o.depends[name] {
					on[further] = true
				}
			}
		}
	}
	return o
}

// instance returns the instance that an action is about; empty: the orchestrator as a whole.
func (o actionOrder) instance(action string) string {
	for word := range strings.FieldsSeq(action) {
		if name := strings.TrimRight(word, "+-:"); o.childOf[name] != "" {
			return name
		}
	}
	return ""
}

// ordered reports whether two actions of one goroutine have an order: they are about the same
// instance, about two children one of which depends on the other, or one of them is about the
// orchestrator as a whole. Other actions may come in any order: no script relies on the order in
// which the orchestrator visits its instances.
func (o actionOrder) ordered(a, b string) bool {
	x, y := o.instance(a), o.instance(b)
	c, d := o.childOf[x], o.childOf[y]
	return x == y || x == "" || y == "" || o.depends[c][d] || o.depends[d][c]
}

// match reports whether got has exactly the actions of want, in an order that want allows.
func (o actionOrder) match(got, want string) bool {
	if got == "" || want == "" {
		return got == want
	}
	var strands [][]string
	for strand := range strings.SplitSeq(want, " | ") {
		strands = append(strands, strings.Split(strand, ", "))
	}
	return o.merge(strings.Split(got, ", "), strands)
}

func (o actionOrder) merge(got []string, strands [][]string) bool {
	if len(got) == 0 {
		return !slices.ContainsFunc(strands, func(s []string) bool { return len(s) > 0 })
	}
	for i, strand := range strands {
		for j, action := range strand {
			before := func(earlier string) bool { return o.ordered(earlier, action) }
			if action != got[0] || slices.ContainsFunc(strand[:j], before) {
				continue
			}
			rest := slices.Clone(strands)
			rest[i] = slices.Concat(strand[:j], strand[j+1:])
			if o.merge(got[1:], rest) {
				return true
			}
		}
	}
	return false
}

func TestOrderOfActions(t *testing.T) {
	o := dependencyOrder(configs(newConfig(
		child("a*2"), child("b", after("a")), child("c", after("b")), child("d"))))
	for _, tt := range []struct {
		want, got string
		match     bool
	}{
		{"", "", true},
		{"spawn a1", "", false},
		{"", "spawn a1", false},
		{"spawn a1, a1 ready", "spawn a1, a1 ready", true},
		{"spawn a1, a1 ready", "a1 ready, spawn a1", false}, // one instance
		{"spawn a1, spawn a2", "spawn a2, spawn a1", true},  // two instances of a child
		{"a1 ready, spawn b", "spawn b, a1 ready", false},   // b depends on a
		{"SIGTERM c, SIGTERM a1", "SIGTERM a1, SIGTERM c", false},
		{"spawn b, SIGTERM d", "SIGTERM d, spawn b", true},
		{"SIGTERM d, cleanup", "cleanup, SIGTERM d", false},
		{"spawn a1+, spawn d", "spawn d, spawn a1+", true},
		{"spawn a1, spawn d", "spawn a1", false},
		{"spawn a1", "spawn a1, spawn a1", false},
		{"SIGTERM a1, SIGTERM b | kill probe", "kill probe, SIGTERM a1, SIGTERM b", true},
		{"SIGTERM a1, SIGTERM b | kill probe", "SIGTERM a1, kill probe, SIGTERM b", true},
		{"SIGTERM a1, SIGTERM b | kill probe", "SIGTERM b, kill probe, SIGTERM a1", false},
		{"SIGTERM a1, SIGTERM b | kill probe", "SIGTERM a1, SIGTERM b", false},
		{"cleanup, a1 ready | cleanup, d ready", "cleanup, d ready, cleanup, a1 ready", true},
		{"cleanup, a1 ready | cleanup, d ready", "cleanup, d ready, a1 ready, cleanup", false},
	} {
		if match := o.match(tt.got, tt.want); match != tt.match {
			t.Errorf("want %q, got %q: match is %v", tt.want, tt.got, match)
		}
	}
}
