package plan

import (
	"time"

	"tp0/supervisor/config"
)

// Budget is the division of a stop's deadline between the children. Children are named by
// their index in [Config.Children].
//
// A child stops after all children that depend on it. So a chain of dependencies takes the
// sum of its timeouts, and chains that do not depend on each other stop at the same time.
type Budget struct {
	Timeouts []time.Duration // of each child: the given part, and its share
	Longest  []time.Duration // the sum of given timeouts in the longest chain through the child
	Over     [][]int         // chains whose given timeouts alone exceed the deadline
	Sharing  int             // the layers of the stop order that have a child with a share
}

// NewBudget divides the deadline of c, without its reserve, between the children. Timeouts that the
// file gives are kept, see [config.Policy.GivenStopTime]. The dependencies must not have cycles.
func NewBudget(c *config.Config) Budget {
	nodes := stopNodes(c)
	for i, child := range c.Children {
		if given, shares := child.GivenStopTime(); len(child.Instances) > 0 {
			nodes[i].given, nodes[i].timeout = shares == 0, given
		}
	}
	b := newBudget(nodes, c.Shutdown.Deadline-c.Shutdown.Reserve)
	n := len(c.Children) // without the barrier
	for i, chain := range b.Over {
		b.Over[i] = withoutBarrier(chain, n)
	}
	b.Timeouts, b.Longest = b.Timeouts[:n], b.Longest[:n]
	return b
}

func withoutBarrier(chain []int, children int) (kept []int) {
	for _, i := range chain {
		if i < children {
			kept = append(kept, i)
		}
	}
	return kept
}

// newBudget divides the available time between nodes. The share of a node is the time that
// the longest chain of given timeouts through the node leaves, divided by the number of
// layers that have a node without a timeout. A chain has at most one node in each layer.
// So no chain exceeds the available time, except the chains in Over.
func newBudget(nodes []stopNode, available time.Duration) Budget {
	longest := longestChains(nodes)
	b := Budget{
		Timeouts: make([]time.Duration, len(nodes)),
		Longest:  make([]time.Duration, len(nodes)),
	}
	sharing := map[int]bool{} // layers
	for i, n := range nodes {
		b.Longest[i] = longest.before[i] + longest.from[i]
		if longest.layer[i] == 0 && longest.from[i] > available {
			b.Over = append(b.Over, longest.chain(i))
		}
		if !n.given {
			sharing[longest.layer[i]] = true
		}
	}
	b.Sharing = len(sharing)
	for i, n := range nodes {
		b.Timeouts[i] = n.timeout
		if !n.given {
			b.Timeouts[i] += max(0, available-b.Longest[i]) / time.Duration(b.Sharing)
		}
	}
	return b
}
