package hclconfig

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
)

const (
	maxNameLength = 64
	maxInstances  = 65_536 // of a configuration
	baseNoFile    = 48     // descriptors of the supervisor itself
	startNoFile   = 4      // descriptors of a spawn: the child's ends of two pipes, and a gate pipe
)

var nameForm = lazyPattern(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// childBlock is a child block while it is decoded.
type childBlock struct {
	name      string
	place     hcl.Range // of the header
	settings  []setting[childValues]
	failed    map[string]bool // paths of attributes whose value has a reported fault
	values    childValues     // of the first instance
	numbers   []int           // the indices of the instances
	dependsOn []edge          // each child once
	listens   []listenBlock
	excluded  bool // by --only
	cyclic    bool // the child is part of a cycle of dependencies
	// late says that the child starts after a oneshot, which can make its files and directories.
	late      bool
	instances []*config.Instance
}

// edge is a dependency on a child that exists.
type edge struct {
	to    *childBlock
	until config.Until
	at    int // the index in depends_on
}

// listenBlock is a listen block while it is decoded.
type listenBlock struct {
	*hcl.Block
	config.Listen
}

func (c *childBlock) instanceName(index int) string {
	if c.values.count == noCount {
		return c.name
	}
	return c.name + strconv.Itoa(index)
}

func (c *childBlock) setting(path string) (setting[childValues], bool) {
	for _, s := range c.settings {
		if s.path == path {
			return s, true
		}
	}
	return setting[childValues]{}, false
}

// at returns the place of an attribute's value, or the header if the file does not have it.
func (c *childBlock) at(path string) *hcl.Range {
	if s, ok := c.setting(path); ok {
		return &s.place
	}
	return &c.place
}

// dependency returns the place of element i of depends_on.
func (c *childBlock) dependency(i int) hcl.Range {
	s, _ := c.setting("depends_on")
	if tuple, ok := s.expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
		return tuple.Exprs[i].Range()
	}
	return *c.at("depends_on")
}

// hasReady reports whether the child has a ready block. A block without attributes is a fault.
func (c *childBlock) hasReady() bool {
	return slices.ContainsFunc(c.settings, func(s setting[childValues]) bool {
		return strings.HasPrefix(s.path, "ready.")
	})
}

// environmentPaths are the attributes from which the environment is computed.
var environmentPaths = []string{"env", "env_file", "env_clear", "user"}

func (c *childBlock) environFailed() bool {
	return slices.ContainsFunc(environmentPaths, func(path string) bool {
		return c.failed[path]
	})
}

// timeoutPath returns the attribute that sets how long the child may take to end.
func (c *childBlock) timeoutPath() string {
	if _, ok := c.setting("kill_sequence"); ok {
		return "kill_sequence"
	}
	return "kill_timeout"
}

// timeoutPlace returns the place of the timeout that bounds the stop of the child: the longer one,
// if the child has a post_stop hook.
func (c *childBlock) timeoutPlace() *hcl.Range {
	p := &c.values.policy
	if len(c.instances) > 0 {
		p = &c.instances[0].Policy
	}
	unknown := !c.timeoutGiven() || c.failed[c.timeoutPath()]
	longer := p.Hooks.PostStop.Set() && p.Hooks.Timeout > p.KillTimeout &&
		!c.failed["hooks.timeout"]
	if _, given := c.setting("hooks.timeout"); given && (unknown || longer) {
		return c.at("hooks.timeout")
	}
	return c.at(c.timeoutPath())
}

func (c *childBlock) timeoutGiven() bool {
	_, ok := c.setting(c.timeoutPath())
	return ok
}

func (c *childBlock) addInstance(index int, v childValues) {
	v.policy.SharedTimeout = !c.timeoutGiven()
	c.instances = append(c.instances, &config.Instance{
		Name:   c.instanceName(index),
		Child:  c.name,
		Index:  index,
		Launch: v.launch,
		Policy: v.policy,

		Sensitive: v.sensitive,
	})
}

// child returns the decoded child.
func (c *childBlock) child() *config.Child {
	child := &config.Child{Name: c.name, Disabled: c.values.disabled, Instances: c.instances}
	for _, dep := range c.dependsOn {
		if !dep.to.excluded {
			child.DependsOn = append(child.DependsOn,
				config.Dependency{Child: dep.to.name, Until: dep.until})
		}
	}
	return child
}

// descriptors returns the number of the supervisor's descriptors for each instance: a pipe for
// each stream that the supervisor reads.
func (c *childBlock) descriptors() (n uint64) {
	for _, s := range c.values.sinks() {
		if c.values.launch.Logs.Format != config.LogInherit && *s.sink != config.LogNone {
			n++
		}
	}
	if c.values.policy.Hooks.Stop.Set() {
		n *= 2 // the stop hook runs beside the process
	}
	if c.values.ready.Notify {
		n++
	}
	return n
}

func childNames(children []*childBlock) []string {
	var names []string
	for _, c := range children {
		names = append(names, c.name)
	}
	return names
}

func acyclic(children []*childBlock) bool {
	return !slices.ContainsFunc(children, func(c *childBlock) bool { return c.cyclic })
}

// check returns the check with a name, and adds it if necessary. It copies the list each time,
// because the instances of a child share it at first.
func (v *childValues) check(name string) *config.Check {
	v.policy.Checks = slices.Clone(v.policy.Checks)
	i := slices.IndexFunc(v.policy.Checks, func(c config.Check) bool { return c.Name == name })
	if i < 0 {
		i = len(v.policy.Checks)
		c := defaultCheck()
		c.Name = name
		v.policy.Checks = append(v.policy.Checks, c)
	}
	return &v.policy.Checks[i]
}

// ofCheck returns a setting of a check as a setting of the child.
func ofCheck(name string, s setting[config.Check]) setting[childValues] {
	set := func(v *childValues, value cty.Value) error { return s.set(v.check(name), value) }
	a := attribute[childValues]{
		name: s.name, typ: s.typ, allowed: s.allowed, doc: s.doc, set: set,
	}
	if s.markSensitive != nil {
		a = canBeSecret(a, "check")
	}
	return setting[childValues]{
		attribute: &a,
		path:      s.path,
		expr:      s.expr,
		place:     s.place,
		indexed:   s.indexed,
		refused:   s.refused,
	}
}

// unread reports whether the supervisor does not read the output of the child.
func (v *childValues) unread() bool {
	l := v.launch.Logs
	return l.Format == config.LogInherit || l.Stdout == config.LogNone && l.Stderr == config.LogNone
}

// sinkOf is where a stream goes, with the path of its attribute.
type sinkOf struct {
	path string
	sink *string
}

func (v *childValues) sinks() []sinkOf {
	return []sinkOf{
		{"logs.stdout", &v.launch.Logs.Stdout},
		{"logs.stderr", &v.launch.Logs.Stderr},
	}
}

// listensOn reports whether a TCP socket of the child accepts connections to an address of this
// machine.
func (v *childValues) listensOn(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	wanted, err := netip.ParseAddr(host)
	here := host == "" || err == nil && (wanted.IsUnspecified() || wanted.IsLoopback())
	return slices.ContainsFunc(v.launch.Listen, func(l config.Listen) bool {
		own, err := netip.ParseAddrPort(l.TCP)
		if err != nil || port != portOf(l.TCP) {
			return false
		}
		return host == "" || wanted.IsUnspecified() || own.Addr() == wanted ||
			here && own.Addr().IsUnspecified()
	})
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
