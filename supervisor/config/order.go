package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Until is how far a child must have come before another one starts.
type Until string

// The three of them.
const (
	UntilStarted   Until = "started"   // it is executed
	UntilReady     Until = "ready"     // it serves, or has completed
	UntilCompleted Until = "completed" // it has run to success
)

// Dependency is a child that another one waits for.
type Dependency struct {
	Child string
	Until Until
}

func (d Dependency) String() string { return d.Child + " " + string(d.Until) }

// StopsAfterDependent reports whether what is depended on is to be there for as long as
// the dependent, so that it is stopped after it. The result of one that
// completed is all that was wanted of it.
func (d Dependency) StopsAfterDependent() bool { return d.Until != UntilCompleted }

// dependencies reads a list of names and of objects with child and until.
func dependencies(v cty.Value) ([]Dependency, error) {
	if v.IsNull() || !(v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType()) {
		return nil, wrong(`A list is needed here, as ["db", { child = "migrate", until = "completed" }].`)
	}
	var list []Dependency
	for _, element := range v.Elements() {
		d, err := dependency(element)
		if err != nil {
			return nil, &elementError{index: len(list), err: err}
		}
		list = append(list, d)
	}
	return list, nil
}

func dependency(v cty.Value) (d Dependency, err error) {
	if v.IsNull() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		d.Child, err = text(v)
		return d, err
	}
	for name, value := range v.Elements() {
		switch key := name.AsString(); key {
		case "child":
			d.Child, err = text(value)
		case "until":
			d.Until, err = oneOf(UntilStarted, UntilReady, UntilCompleted)(value)
		default:
			err = wrong("A dependency has child and until, not %s.%s", quote(key), didYouMean(key, []string{"child", "until"}))
		}
		if err != nil {
			return d, err
		}
	}
	if d.Child == "" {
		return d, wrong(`A dependency needs the name of a child, as { child = "db", until = "started" }.`)
	}
	return d, nil
}

// edge is a dependency that was resolved.
type edge struct {
	to    *childBlock
	until Until
	at    int // in depends_on
}

func (c *childBlock) resolveDependencies(byName map[string]*childBlock, names []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	has := map[string]Until{}
	for i, d := range c.values.dependsOn {
		name, dep, place := d.Child, byName[d.Child], c.dependency(i)
		if d.Until == "" {
			d.Until = UntilReady
			if dep != nil && dep.values.policy.Oneshot {
				d.Until = UntilCompleted
			}
		}
		if before, double := has[name]; double {
			if before != d.Until {
				diags = diags.Append(fault(&place, "Invalid dependency", "The child waits for %s until it is %s already.", quote(name), before))
			}
			continue
		}
		has[name] = d.Until
		switch {
		case name == c.name:
			c.cyclic = true
			diags = diags.Append(fault(&place, "Invalid dependency", "The child depends on itself."))
		case dep == nil:
			hint := ""
			if len(diags) < maxHints {
				hint = didYouMean(name, names)
			}
			stem := strings.TrimRight(name, "0123456789")
			if owner := byName[stem]; owner != nil && owner.values.count != noCount && stem != name {
				hint = fmt.Sprintf(" A child depends on all instances of another: write %s.", quote(stem))
			}
			diags = diags.Append(fault(&place, "Unknown child", "There is no child %s.%s", quote(name), hint))
		default:
			c.dependsOn = append(c.dependsOn, edge{dep, d.Until, i})
		}
	}
	return diags
}

// dependency is where the i-th of depends_on is.
func (c *childBlock) dependency(i int) hcl.Range {
	s, _ := c.setting("depends_on")
	if tuple, ok := s.expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
		return tuple.Exprs[i].Range()
	}
	return *c.at("depends_on")
}

// checkCompletion finds those who wait for the end of one that never ends: it
// is started again after every end.
func checkCompletion(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, c := range children {
		for _, dep := range c.dependsOn {
			always := func(i *Instance) bool { return i.Policy.Restart.On == "always" }
			if dep.until == UntilCompleted && !dep.to.values.policy.Oneshot && slices.ContainsFunc(dep.to.instances, always) {
				place := c.dependency(dep.at)
				diags = diags.Append(fault(&place, "Invalid dependency", "The child %s never completes: it is restarted always.", quote(dep.to.name)))
			}
		}
	}
	return diags
}

// barrier ties sidecars to all others: a node without time of its own, the
// last one, comes after the others and before them. What a sidecar depends on
// and is none it does not outlive, whatever the order of the start was.
func barrier(nodes []stopNode) []stopNode {
	var last stopNode
	apps := false
	for i, n := range nodes {
		if !n.sidecar {
			apps = true
			continue
		}
		last.dependsOn = append(last.dependsOn, i)
		nodes[i].dependsOn = slices.DeleteFunc(n.dependsOn, func(dep int) bool { return !nodes[dep].sidecar })
	}
	if !apps || len(last.dependsOn) == 0 {
		return nodes
	}
	last.given = true
	for i := range nodes {
		if !nodes[i].sidecar {
			nodes[i].dependsOn = append(nodes[i].dependsOn, len(nodes))
		}
	}
	return append(nodes, last)
}

// outlivedBy returns the children that are stopped after c: what c needs for as
// long as c runs, and what the dependencies of c that have completed needed. With
// db, migrate (a oneshot that needs db) and web (which needs migrate), db is
// stopped after web. A dependency that runs itself keeps what it needs.
func (c *childBlock) outlivedBy() []*childBlock {
	return outlivedBy(c, func(of *childBlock) (list []successor[*childBlock]) {
		for _, dep := range of.dependsOn {
			list = append(list, successor[*childBlock]{dep.to, dep.until})
		}
		return list
	})
}

// StoppedAfter returns, for each child by name, the names of the children that are
// stopped after it: what it needs for as long as it runs, and what the
// dependencies that have completed needed.
func (c *Config) StoppedAfter() map[string][]string {
	byName := make(map[string]*Child, len(c.Children))
	for _, child := range c.Children {
		byName[child.Name] = child
	}
	dependencies := func(name string) (list []successor[string]) {
		child := byName[name]
		if child == nil {
			return nil
		}
		for _, d := range child.DependsOn {
			list = append(list, successor[string]{d.Child, d.Until})
		}
		return list
	}
	after := make(map[string][]string, len(c.Children))
	for name := range byName {
		after[name] = outlivedBy(name, dependencies)
	}
	return after
}

// successor is a dependency as [outlivedBy] follows it.
type successor[T comparable] struct {
	to    T
	until Until
}

func outlivedBy[T comparable](c T, dependencies func(T) []successor[T]) (after []T) {
	added, seen := map[T]bool{}, map[T]bool{c: true}
	queue := []T{c}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, d := range dependencies(from) {
			switch {
			case d.until != UntilCompleted && !added[d.to]:
				added[d.to] = true
				after = append(after, d.to)
			case d.until == UntilCompleted && !seen[d.to]:
				seen[d.to] = true
				queue = append(queue, d.to)
			}
		}
	}
	return after
}

// StoppedBefore returns, for each child by name, the names of the children that a
// stop ends after it.
func (c *Config) StoppedBefore() map[string][]string {
	after, names := c.StoppedAfter(), make(map[string][]string, len(c.Children))
	for _, child := range c.Children {
		for _, other := range c.Children {
			depends := slices.Contains(after[child.Name], other.Name)
			if other.Sidecar() && !child.Sidecar() || depends && other.Sidecar() == child.Sidecar() {
				names[child.Name] = append(names[child.Name], other.Name)
			}
		}
	}
	return names
}

// nodes are the children as the budget sees them: in the order of the stop, or
// with all that the start waits for.
func (c *Config) nodes(stop bool) []stopNode {
	index := make(map[string]int, len(c.Children))
	for i, child := range c.Children {
		index[child.Name] = i
	}
	var after map[string][]string
	if stop {
		after = c.StoppedAfter()
	}
	nodes := make([]stopNode, len(c.Children))
	for i, child := range c.Children {
		nodes[i] = stopNode{given: true, timeout: child.KillTimeout(), sidecar: child.Sidecar()}
		names := after[child.Name]
		if !stop {
			for _, d := range child.DependsOn {
				names = append(names, d.Child)
			}
		}
		for _, name := range names {
			if dep, ok := index[name]; ok {
				nodes[i].dependsOn = append(nodes[i].dependsOn, dep)
			}
		}
	}
	if stop {
		return barrier(nodes)
	}
	return nodes
}

// StartLayers returns the children in the order of a start: first those that wait
// for nobody, then those that wait only for these, and so on. The order within
// a layer is that of the file.
func (c *Config) StartLayers() [][]*Child {
	nodes := c.nodes(false)
	back := make([]stopNode, len(nodes))
	for i, n := range nodes {
		for _, dep := range n.dependsOn {
			back[dep].dependsOn = append(back[dep].dependsOn, i)
		}
	}
	return c.layers(back)
}

// StopLayers returns the children in the order of a stop: first those that nobody
// is stopped before, then those that only these are stopped before, and so on.
func (c *Config) StopLayers() [][]*Child { return c.layers(c.nodes(true)) }

func (c *Config) layers(nodes []stopNode) [][]*Child {
	_, layer := stopOrder(nodes)
	layers := make([][]*Child, slices.Max(append(layer, -1))+1)
	for i, child := range c.Children {
		layers[layer[i]] = append(layers[layer[i]], child)
	}
	return slices.DeleteFunc(layers, func(l []*Child) bool { return l == nil }) // the barrier has one of its own
}

// WorstCase returns the children whose stops can take longest one after the other,
// and how long that is.
func (c *Config) WorstCase() (chain []*Child, sum time.Duration) {
	nodes := c.nodes(true)
	for _, way := range newBudget(nodes, -1).over {
		var along []*Child
		var takes time.Duration
		for _, i := range way {
			takes += nodes[i].timeout
			if nodes[i].timeout > 0 {
				along = append(along, c.Children[i])
			}
		}
		if takes > sum {
			chain, sum = along, takes
		}
	}
	return chain, sum
}

// LatestStops returns for each child by name how long after its beginning a stop is
// done with the child, if all take as long as they may.
func (c *Config) LatestStops() map[string]time.Duration {
	nodes := c.nodes(true)
	begin := make([]time.Duration, len(nodes))
	latest := map[string]time.Duration{}
	order, _ := stopOrder(nodes)
	for _, i := range order {
		end := begin[i] + nodes[i].timeout
		for _, dep := range nodes[i].dependsOn {
			begin[dep] = max(begin[dep], end)
		}
		if i < len(c.Children) {
			latest[c.Children[i].Name] = end
		}
	}
	return latest
}

// KillTimeout is that of the slowest instance; without one it is 0.
func (c *Child) KillTimeout() time.Duration {
	var most time.Duration
	for _, i := range c.Instances {
		most = max(most, i.Policy.KillTimeout)
	}
	return most
}

// Sidecar reports whether the child is one. A child without instances is none.
func (c *Child) Sidecar() bool { return len(c.Instances) > 0 && c.Instances[0].Policy.Sidecar }
