package plan

import (
	"slices"
	"time"

	"tp0/supervisor/config"
)

// StoppedAfter returns, for each child by name, the names of the children that stop after it:
// the children that it needs while it runs, and the children that its completed dependencies
// needed. Example: web depends on migrate, a oneshot that depends on db. Then db stops after
// web.
func StoppedAfter(c *config.Config) map[string][]string {
	dependencies := make(map[string][]config.Dependency, len(c.Children))
	for _, child := range c.Children {
		dependencies[child.Name] = child.DependsOn
	}
	after := make(map[string][]string, len(c.Children))
	for name := range dependencies {
		after[name] = stoppedAfter(name, dependencies)
	}
	return after
}

func stoppedAfter(name string, dependencies map[string][]config.Dependency) (after []string) {
	added, seen := map[string]bool{}, map[string]bool{name: true}
	queue := []string{name}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, d := range dependencies[from] {
			switch {
			case d.StopsAfterDependent() && !added[d.Child]:
				added[d.Child] = true
				after = append(after, d.Child)
			case !d.StopsAfterDependent() && !seen[d.Child]:
				seen[d.Child] = true
				queue = append(queue, d.Child)
			}
		}
	}
	return after
}

// StopsAfter returns, for each child by name, how long the stop of the children that stop after it
// may take: the sum of the timeouts in the longest chain.
func StopsAfter(c *config.Config) map[string]time.Duration {
	nodes := stopNodes(c)
	longest := longestChains(nodes)
	after := make(map[string]time.Duration, len(c.Children))
	for i, child := range c.Children {
		after[child.Name] = longest.from[i] - nodes[i].timeout
	}
	return after
}

// stopNode is a child in the graph of a stop.
type stopNode struct {
	dependsOn []int         // the nodes that stop after this one
	given     bool          // the configuration sets the timeout
	timeout   time.Duration // the longest of its instances; if not given, the part that is
	sidecar   bool
}

// stopNodes returns the graph of a stop. Nodes have the index of their child; [addBarrier]
// may append one node more. All timeouts count as given.
func stopNodes(c *config.Config) []stopNode {
	index, after := indexByName(c), StoppedAfter(c)
	nodes := make([]stopNode, len(c.Children))
	for i, child := range c.Children {
		nodes[i] = stopNode{given: true, timeout: child.StopTime(), sidecar: child.Sidecar()}
		for _, name := range after[child.Name] {
			if dep, ok := index[name]; ok {
				nodes[i].dependsOn = append(nodes[i].dependsOn, dep)
			}
		}
	}
	return addBarrier(nodes)
}

// indexByName returns the index of each child. The first one of a name counts.
func indexByName(c *config.Config) map[string]int {
	index := make(map[string]int, len(c.Children))
	for i, child := range slices.Backward(c.Children) {
		index[child.Name] = i
	}
	return index
}

// addBarrier makes all sidecars stop after all other children. It appends a node without a
// timeout that stops after the other children and before the sidecars. A sidecar does not
// stop before a child that is not a sidecar, even if it depends on that child.
func addBarrier(nodes []stopNode) []stopNode {
	barrier := stopNode{given: true}
	others := false
	for i, n := range nodes {
		if !n.sidecar {
			others = true
			continue
		}
		barrier.dependsOn = append(barrier.dependsOn, i)
		nodes[i].dependsOn = slices.DeleteFunc(n.dependsOn, func(dep int) bool {
			return !nodes[dep].sidecar
		})
	}
	if !others || len(barrier.dependsOn) == 0 {
		return nodes
	}
	for i := range nodes {
		if !nodes[i].sidecar {
			nodes[i].dependsOn = append(nodes[i].dependsOn, len(nodes))
		}
	}
	return append(nodes, barrier)
}

// stopOrder returns the nodes in an order in which each one comes before the nodes that stop
// after it, and for each node the number of nodes in the longest chain before it. The nodes
// must not have cycles.
func stopOrder(nodes []stopNode) (order, layer []int) {
	waits := make([]int, len(nodes))
	for _, n := range nodes {
		for _, dep := range n.dependsOn {
			waits[dep]++
		}
	}
	layer = make([]int, len(nodes))
	for i, n := range waits {
		if n == 0 {
			order = append(order, i)
		}
	}
	for at := 0; at < len(order); at++ {
		i := order[at]
		for _, dep := range nodes[i].dependsOn {
			layer[dep] = max(layer[dep], layer[i]+1)
			if waits[dep]--; waits[dep] == 0 {
				order = append(order, dep)
			}
		}
	}
	return order, layer
}

// chains are the longest chains through each node, measured in timeouts.
type chains struct {
	layer  []int
	before []time.Duration // the longest chain that ends just before the node
	from   []time.Duration // the longest chain that starts with the node
	next   []int           // the next node of that chain; -1 after its last node
}

// longestChains computes the chains. The nodes must not have cycles.
func longestChains(nodes []stopNode) chains {
	order, layer := stopOrder(nodes)
	p := chains{
		layer:  layer,
		before: make([]time.Duration, len(nodes)),
		from:   make([]time.Duration, len(nodes)),
		next:   make([]int, len(nodes)),
	}
	for _, i := range order {
		for _, dep := range nodes[i].dependsOn {
			p.before[dep] = max(p.before[dep], p.before[i]+nodes[i].timeout)
		}
	}
	for _, i := range slices.Backward(order) {
		p.next[i] = -1
		for _, dep := range nodes[i].dependsOn {
			if p.next[i] < 0 || p.from[dep] > p.from[p.next[i]] {
				p.next[i] = dep
			}
		}
		p.from[i] = nodes[i].timeout
		if p.next[i] >= 0 {
			p.from[i] += p.from[p.next[i]]
		}
	}
	return p
}

// chain returns the longest chain that starts with node i.
func (p *chains) chain(i int) (nodes []int) {
	for ; i >= 0; i = p.next[i] {
		nodes = append(nodes, i)
	}
	return nodes
}
