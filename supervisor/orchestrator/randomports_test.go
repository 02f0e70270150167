package orchestrator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
	"tp0/supervisor/process"
)

// portChild is a child of the model: each of its instances needs a port.
type portChild struct {
	name     string
	counted  bool // its instances have numbers
	ports    []int
	how      portUse
	shared   bool // its instances share the first port (SO_REUSEPORT)
	overlap  bool
	oneshot  bool
	sidecar  bool
	parallel int
	deps     []string // of the children before it in the file
	edition  int      // another edition is another process
}

// portUse says how a child gets its port, and how the supervisor knows of it.
type portUse int

const (
	declared portUse = iota // the process binds it, and a check has it
	argument                // the process binds it, and only its arguments have it
	socket                  // the supervisor binds it, for a listen block
	uses
)

// config returns the configuration of a child.
func (c portChild) config() *config.Child {
	name := c.name
	if c.counted {
		name = fmt.Sprintf("%s*%d", c.name, len(c.ports))
	}
	return child(name, after(c.deps...), func(_ *config.Child, i *config.Instance) {
		port := c.ports[i.Index-1]
		if c.shared || c.how == socket {
			port = c.ports[0]
		}
		switch c.how {
		case declared:
			at(strconv.Itoa(port))(nil, i)
		case argument:
			i.Launch.Args = []string{strconv.Itoa(port)}
		case socket:
			listenOn(loopback(strconv.Itoa(port)))(nil, i)
		}
		i.Launch.Env = append(i.Launch.Env, fmt.Sprintf("EDITION=%d", c.edition))
		if c.shared || c.overlap { // an overlap needs the port twice, unless it is another one
			i.Launch.Env = append(i.Launch.Env, "SHARED=1")
		}
		p := &i.Policy
		p.OverlapUpdate, p.MaxParallel = c.overlap && !c.oneshot, c.parallel
		p.Oneshot, p.Sidecar, p.OnFailure = c.oneshot, c.sidecar, config.Ignore
	})
}

func loopback(port string) string { return "127.0.0.1:" + port }

// portModel is a file of the model.
type portModel struct {
	children []portChild
	free     []int // ports that no child has
	names    int   // given so far
	rollback bool
}

const modelChildren = 20

func newPortModel(r *rand.Rand) *portModel {
	m := &portModel{}
	for port := 3000; port < 3000+2*modelChildren; port++ {
		m.free = append(m.free, port)
	}
	for range modelChildren {
		m.add(r)
	}
	return m
}

func (m *portModel) takePort(r *rand.Rand) int {
	at := r.IntN(len(m.free))
	port := m.free[at]
	m.free = slices.Delete(m.free, at, at+1)
	return port
}

func (m *portModel) newName() string {
	m.names++
	return fmt.Sprintf("c%dx", m.names)
}

// add adds a child with free ports.
func (m *portModel) add(r *rand.Rand) {
	c := portChild{
		name: m.newName(), how: portUse(r.IntN(int(uses))), overlap: r.IntN(3) == 0,
		oneshot: r.IntN(8) == 0, sidecar: r.IntN(8) == 0, parallel: 1 + r.IntN(2),
		ports: []int{m.takePort(r)},
	}
	for _, other := range m.children {
		if r.IntN(12) == 0 {
			c.deps = append(c.deps, other.name)
		}
		if other.oneshot && r.IntN(3) == 0 && !slices.Contains(c.deps, other.name) {
			c.deps = append(c.deps, other.name+":completed")
		}
	}
	m.children = append(m.children, c)
}

// edit returns a file with some changes.
func (m *portModel) edit(r *rand.Rand) *portModel {
	n := &portModel{names: m.names, free: slices.Clone(m.free), rollback: r.IntN(4) == 0}
	for _, c := range m.children {
		c.ports, c.deps = slices.Clone(c.ports), slices.Clone(c.deps)
		n.children = append(n.children, c)
	}
	for range 1 + r.IntN(6) {
		n.change(r)
	}
	return n
}

// change makes one random change.
func (m *portModel) change(r *rand.Rand) {
	a, b := &m.children[r.IntN(len(m.children))], &m.children[r.IntN(len(m.children))]
	switch r.IntN(12) {
	case 0, 1: // two children swap a port
		i, j := r.IntN(len(a.ports)), r.IntN(len(b.ports))
		a.ports[i], b.ports[j] = b.ports[j], a.ports[i]
	case 2: // three children pass their ports on
		c := &m.children[r.IntN(len(m.children))]
		a.ports, b.ports = b.ports, a.ports
		c.ports, b.ports = b.ports, c.ports
		a.fit()
		b.fit()
		c.fit()
	case 3, 4: // a rename
		old := a.name
		a.name = m.newName()
		m.rename(old, a.name)
	case 5: // another number of instances
		a.counted = true
		for len(a.ports) < 3 && len(m.free) > 0 {
			a.ports = append(a.ports, m.takePort(r))
		}
	case 6:
		m.free = append(m.free, a.ports[1:]...)
		a.counted, a.ports = false, a.ports[:1]
	case 7: // another way to get the port
		a.how = portUse(r.IntN(int(uses)))
	case 11: // a port is shared only by processes that were all started for that
		m.free = append(m.free, a.ports...)
		for i := range a.ports {
			a.ports[i] = m.takePort(r)
		}
		a.shared = !a.shared
	case 8:
		a.edition++
	case 9: // the ports of a child that is removed go to another one
		if a != b {
			m.free = append(m.free, b.ports...)
			b.ports = a.ports
			b.fit()
			m.remove(a.name)
		}
	case 10:
		m.free = append(m.free, a.ports...)
		m.remove(a.name)
		m.add(r)
	}
}

// fit gives a child as many numbered instances as it has ports.
func (c *portChild) fit() { c.counted = c.counted || len(c.ports) > 1 }

func (m *portModel) remove(name string) {
	m.children = slices.DeleteFunc(m.children, func(c portChild) bool { return c.name == name })
	m.rename(name, "")
}

// rename changes a name in the dependencies. An empty name removes it.
func (m *portModel) rename(from, to string) {
	for i := range m.children {
		c := &m.children[i]
		var deps []string
		for _, d := range c.deps {
			name, until, ok := strings.Cut(d, ":")
			if name == from {
				name = to
			}
			if ok {
				name += ":" + until
			}
			if !strings.HasPrefix(name, ":") && name != "" {
				deps = append(deps, name)
			}
		}
		c.deps = deps
	}
}

func (m *portModel) config() *config.Config {
	cfg := newConfig()
	for _, c := range m.children {
		cfg.Children = append(cfg.Children, c.config())
	}
	cfg.Reload.Rollback = m.rollback
	return cfg
}

// port returns the port that a process binds itself; empty: it binds none.
func (p *fakeProcess) port() string {
	for _, e := range p.spec.Env {
		if port, ok := strings.CutPrefix(e, "PORT="); ok {
			return port
		}
	}
	return strings.Join(p.spec.Argv[1:], "")
}

// sharesPort reports whether two processes may listen on one port.
func (p *fakeProcess) sharesPort(q *fakeProcess) bool {
	child := func(name string) string { return strings.TrimRight(name, "0123456789") }
	return child(p.name) == child(q.name) && slices.Contains(p.spec.Env, "SHARED=1") &&
		slices.Contains(q.spec.Env, "SHARED=1")
}

// checkPorts makes the harness the kernel of the model. A process has its port from its spawn to
// its end. No other process may bind the port meanwhile, nor the supervisor. A process whose
// specification the present file has must not be stopped.
func (h *harness) checkPorts() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = func(p *fakeProcess) []string {
		if p.port() == "" {
			return nil
		}
		return []string{loopback(p.port())}
	}
	h.sockets.inUse = func(address string) bool {
		has := func(p *fakeProcess) bool { return p.port() != "" && loopback(p.port()) == address }
		return slices.ContainsFunc(h.processes, has)
	}
	h.onFork = func(p *fakeProcess) {
		if p.port() == "" {
			return
		}
		if h.sockets.open[loopback(p.port())] != 0 {
			h.t.Errorf("%s starts while the supervisor has port %s", p.name, p.port())
		}
		for _, q := range h.processes {
			inherits := slices.Contains(q.addresses, loopback(p.port()))
			if inherits || q.port() == p.port() && !p.sharesPort(q) {
				h.t.Errorf("%s starts while %s has port %s", p.name, q.name, p.port())
			}
		}
	}
	h.onSignal = func(name string) {
		if h.o.shutdown.phase != running {
			return
		}
		other := func(p *fakeProcess) bool { return p.name != name }
		all := slices.DeleteFunc(slices.Clone(h.processes), other)
		if len(all) != 1 || h.isRetired(all[0]) { // else another process takes its place
			return
		}
		for _, spec := range h.o.cfg.Instances() {
			if spec.Name == name && all[0].runs(spec) {
				h.t.Errorf("%s is stopped, and the file has not changed it", name)
			}
		}
	}
}

func (h *harness) isRetired(p *fakeProcess) bool {
	return slices.ContainsFunc(h.o.instances, func(inst *instance) bool {
		return inst.update.retired && inst.process.id == p.id
	})
}

// runs reports whether a process is as a specification says.
func (p *fakeProcess) runs(spec *config.Instance) bool {
	var addresses []string
	for _, l := range spec.Launch.Listen {
		addresses = append(addresses, l.TCP)
	}
	return slices.Equal(p.spec.Argv[1:], spec.Launch.Args) &&
		slices.Equal(p.spec.Env, spec.Launch.Env) && slices.Equal(p.addresses, addresses)
}

// actPorts does something random that can happen now.
func (h *harness) actPorts(r *rand.Rand) {
	h.mu.Lock()
	var starting, stopping, all []*fakeProcess
	for _, p := range h.processes {
		switch {
		case p.pid == 0:
			starting = append(starting, p)
		case p.signalled:
			stopping = append(stopping, p)
		}
		all = append(all, p)
	}
	h.mu.Unlock()
	pick := func(of []*fakeProcess) *fakeProcess { return of[r.IntN(len(of))] }
	switch n := r.IntN(60); {
	case n < 6:
		h.do(fmt.Sprintf("reload %d", r.IntN(len(h.configs))))
	case n < 10:
		<-time.After(time.Duration(r.IntN(3000)) * time.Millisecond)
	case n < 40 && len(starting) > 0:
		if p := pick(starting); r.IntN(30) == 0 {
			h.spawnFailed(p, errors.New("no such file"))
		} else {
			h.spawned(p, 0)
		}
	case n < 55 && len(stopping) > 0:
		h.exit(pick(stopping), event.Exit{}, process.FDResult{Proof: event.ProofNone})
	case n < 57 && len(all) > 0:
		if p := pick(all); p.pid != 0 {
			h.exit(p, event.Exit{Code: r.IntN(2)}, process.FDResult{Proof: event.ProofNone})
		}
	}
}

// checkPortsSettled compares what runs with the last accepted file.
func (h *harness) checkPortsSettled() {
	for _, e := range eventsOf[event.ConfigRejected](h) {
		if strings.Contains(e.Diagnostics, "in use") {
			h.t.Errorf("rejected: %s", e.Diagnostics)
		}
	}
	for _, e := range eventsOf[event.Warning](h) {
		h.t.Errorf("warning: %s", e.Reason)
	}
	h.checkSettled()
	if h.o.shutdown.phase != running || h.o.haltedReload() != "" {
		return
	}
	h.checkNoCircle()
	if h.o.reloads.active != nil {
		return // an instance waits for a failed one
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		right := func(spec *config.Instance) bool { return spec.Name == p.name && p.runs(spec) }
		if !slices.ContainsFunc(h.o.cfg.Instances(), right) {
			h.t.Errorf("%s runs, and the file says otherwise", p.name)
		}
	}
	for _, inst := range h.o.instances {
		if inst.waits() {
			h.t.Errorf("%s still waits for the end of a process", inst.spec.Name)
		}
	}
}

// checkNoCircle checks that each instance which still waits does so for a failed one.
func (h *harness) checkNoCircle() {
	failed := map[string]bool{} // by child
	for found := true; found; {
		found = false
		for _, inst := range h.o.instances {
			bad := inst.state == lifecycle.Failed && inst.goal == rollout.Run
			if inst.state == lifecycle.Waiting || inst.goal == rollout.Replace {
				bad = slices.ContainsFunc(inst.dependsOn, func(d config.Dependency) bool {
					return failed[d.Child]
				})
			}
			if bad && !failed[inst.child()] {
				failed[inst.child()], found = true, true
			}
		}
	}
	for _, inst := range h.o.instances {
		waits := inst.state == lifecycle.Waiting || inst.goal != rollout.Run
		if waits && !failed[inst.child()] {
			h.t.Errorf("%s is %s with goal %d, and waits for no failed child", inst.spec.Name,
				inst.state, inst.goal)
		}
	}
}

// TestRandomHandOvers plays random reloads over a model of twenty children whose ports are swapped,
// shared, moved and renamed. No process ever starts on a port that another one has, nothing is
// stopped that no file changes, and in the end all runs that the last accepted file has.
func TestRandomHandOvers(t *testing.T) {
	seeds := 60
	if text := os.Getenv("SUPERVISOR_HANDOVERS"); text != "" {
		var err error
		if seeds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	relay := newRelay(t)
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 2))
				models := []*portModel{newPortModel(r)}
				cfgs := []*config.Config{models[0].config()}
				for range 5 {
					models = append(models, models[r.IntN(len(models))].edit(r))
					cfgs = append(cfgs, models[len(models)-1].config())
				}
				h := newHarness(t, relay, cfgs...)
				defer h.finish()
				h.checkPorts()
				for range 100 + r.IntN(200) {
					h.actPorts(r)
					if r.IntN(2) == 0 {
						synctest.Wait() // else several messages are handled in one batch
					}
				}
				h.settle()
				h.checkPortsSettled()
			})
		})
	}
}
