package config

import (
	"slices"
	"time"
)

// reserve is the part of a deadline that no timeout may use: the sweep of what
// is left and the flush of the output come after the last child.
func reserve(deadline time.Duration) time.Duration {
	return min(deadline/20, 500*time.Millisecond)
}

// stopNode is a child as the budget sees it.
type stopNode struct {
	dependsOn []int
	given     bool          // the timeout is the file's
	timeout   time.Duration // of the slowest instance; 0 if not given
	sidecar   bool
}

// budget is how the time of a stop is spread. A stop goes against the order of
// the start: layer 0 are those that nobody depends on, and a child's turn
// comes after all that depend on it, so a chain of dependencies takes the sum
// of its timeouts, and chains run beside each other.
type budget struct {
	layer   []int
	timeout []time.Duration // given, or the share
	over    [][]int         // chains whose given timeouts alone exceed what there is
	longest []time.Duration // the most that is given along a chain through the node
}

// newBudget spreads available over nodes that have no cycles. A timeout that
// was not given is what the longest chain of given ones through the child
// leaves, divided by the number of layers with such a child. That is at most
// one share in each layer and a chain has at most one child in each, so no
// chain exceeds what there is unless it is in over.
func newBudget(nodes []stopNode, available time.Duration) budget {
	order, layer := stopOrder(nodes)
	b := budget{
		layer:   layer,
		timeout: make([]time.Duration, len(nodes)),
		longest: make([]time.Duration, len(nodes)),
	}
	before := make([]time.Duration, len(nodes)) // given along the chains that end just before the node
	for _, i := range order {
		for _, dep := range nodes[i].dependsOn {
			before[dep] = max(before[dep], before[i]+nodes[i].timeout)
		}
	}
	from := make([]time.Duration, len(nodes)) // given along the chains that start with the node
	next := make([]int, len(nodes))
	for _, i := range slices.Backward(order) {
		next[i] = -1
		for _, dep := range nodes[i].dependsOn {
			if next[i] < 0 || from[dep] > from[next[i]] {
				next[i] = dep
			}
		}
		from[i] = nodes[i].timeout
		if next[i] >= 0 {
			from[i] += from[next[i]]
		}
		b.longest[i] = before[i] + from[i]
	}
	for i := range nodes {
		if layer[i] == 0 && from[i] > available {
			b.over = append(b.over, follow(next, i))
		}
	}
	b.share(nodes, available)
	return b
}

func (b *budget) share(nodes []stopNode, available time.Duration) {
	open := map[int]bool{}
	for i, n := range nodes {
		if !n.given {
			open[b.layer[i]] = true
		}
	}
	for i, n := range nodes {
		b.timeout[i] = n.timeout
		if !n.given {
			b.timeout[i] = max(0, available-b.longest[i]) / time.Duration(len(open))
		}
	}
}

func follow(next []int, i int) []int {
	var chain []int
	for ; i >= 0; i = next[i] {
		chain = append(chain, i)
	}
	return chain
}

// stopOrder returns the nodes so that each comes after all that depend on it,
// and the length of the longest chain that leads to each.
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
