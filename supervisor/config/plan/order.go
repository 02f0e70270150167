// Package plan computes, from a configuration, the order of a start and of a stop and how the
// deadline is divided; and, from two configurations, what a reload changes.
package plan

import (
	"slices"
	"time"

	"tp0/supervisor/config"
)

// StoppedBefore returns, for each child by name, the names of the children that stop after
// it in a complete stop. These are the children of [StoppedAfter], and all sidecars if the
// child is not a sidecar.
func StoppedBefore(c *config.Config) map[string][]string {
	after, names := StoppedAfter(c), make(map[string][]string, len(c.Children))
	for _, child := range c.Children {
		for _, other := range c.Children {
			depends := slices.Contains(after[child.Name], other.Name)
			sameKind := other.Sidecar() == child.Sidecar()
			if other.Sidecar() && !child.Sidecar() || depends && sameKind {
				names[child.Name] = append(names[child.Name], other.Name)
			}
		}
	}
	return names
}

// StartLayers returns the children in the order of a start. The children of the first layer
// depend on no child; the children of each further layer depend only on children of the
// layers before it. Within a layer the order is that of the file.
func StartLayers(c *config.Config) [][]*config.Child {
	index := indexByName(c)
	dependents := make([]stopNode, len(c.Children))
	for i, child := range c.Children {
		for _, d := range child.DependsOn {
			if dep, ok := index[d.Child]; ok {
				dependents[dep].dependsOn = append(dependents[dep].dependsOn, i)
			}
		}
	}
	return layers(c, dependents)
}

// StopLayers returns the children in the order of a stop. All children of a layer stop at the
// same time, after the last child of the layer before it. Within a layer the order is that
// of the file.
func StopLayers(c *config.Config) [][]*config.Child { return layers(c, stopNodes(c)) }

func layers(c *config.Config, nodes []stopNode) [][]*config.Child {
	_, layer := stopOrder(nodes)
	layers := make([][]*config.Child, slices.Max(append(layer, -1))+1)
	for i, child := range c.Children {
		layers[layer[i]] = append(layers[layer[i]], child)
	}
	// The node that [addBarrier] appends has a layer without children.
	return slices.DeleteFunc(layers, func(l []*config.Child) bool { return l == nil })
}

// WorstCase returns the chain of children that takes longest to stop, and the sum of their
// timeouts. The children of a chain stop one after the other.
func WorstCase(c *config.Config) (chain []*config.Child, sum time.Duration) {
	nodes := stopNodes(c)
	longest := longestChains(nodes)
	for i := range nodes {
		if longest.layer[i] > 0 || longest.from[i] <= sum {
			continue
		}
		chain, sum = nil, longest.from[i]
		for _, at := range longest.chain(i) {
			if nodes[at].timeout > 0 {
				chain = append(chain, c.Children[at])
			}
		}
	}
	return chain, sum
}

// LatestStops returns, for each child by name, the latest moment at which it has stopped,
// counted from the start of the stop.
func LatestStops(c *config.Config) map[string]time.Duration {
	nodes := stopNodes(c)
	longest := longestChains(nodes)
	latest := map[string]time.Duration{}
	for i, child := range c.Children {
		latest[child.Name] = longest.before[i] + nodes[i].timeout
	}
	return latest
}
