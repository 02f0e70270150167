package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// graph returns the nodes that a text describes, and their names. In "a=5s>b,c b c=1s" the node a
// has a timeout of 5 s and depends on b and c.
func graph(t *testing.T, text string) ([]stopNode, []string) {
	t.Helper()
	var names []string
	for _, word := range strings.Fields(text) {
		name, _, _ := strings.Cut(word, ">")
		name, _, _ = strings.Cut(name, "=")
		names = append(names, name)
	}
	var nodes []stopNode
	for _, word := range strings.Fields(text) {
		head, deps, _ := strings.Cut(word, ">")
		var n stopNode
		if _, timeout, ok := strings.Cut(head, "="); ok {
			d, err := time.ParseDuration(timeout)
			if err != nil {
				t.Fatal(err)
			}
			n.given, n.timeout = true, d
		}
		for dep := range strings.SplitSeq(deps, ",") {
			if dep != "" {
				n.dependsOn = append(n.dependsOn, slices.Index(names, dep))
			}
		}
		nodes = append(nodes, n)
	}
	return nodes, names
}

// joinNodes returns the names of a chain of nodes, with ">" between them.
func joinNodes(names []string, chain []int) string {
	var parts []string
	for _, i := range chain {
		parts = append(parts, names[i])
	}
	return strings.Join(parts, ">")
}

func TestBudget(t *testing.T) {
	tests := map[string]struct {
		graph string // 8 s are available
		want  string // name:layer:timeout of each node
		over  string // the chains that exceed 8 s
	}{
		"one node":                           {"a", "a:0:8s", ""},
		"one timeout given":                  {"a=3s", "a:0:3s", ""},
		"all available time given":           {"a=8s", "a:0:8s", ""},
		"more than the available time given": {"a=9s", "a:0:9s", "a"},
		"two nodes in one layer":             {"a b", "a:0:8s b:0:8s", ""},
		"two layers":                         {"a>b b", "a:0:4s b:1:4s", ""},
		"four layers":                        {"a>b b>c c>d d", "a:0:2s b:1:2s c:2:2s d:3:2s", ""},
		"the remaining time for one node":    {"a>b b=5s", "a:0:3s b:1:5s", ""},
		"the remaining time for two nodes": {"a>b b=5s>c c",
			"a:0:1.5s b:1:5s c:2:1.5s", ""},
		"a node without dependencies beside a chain": {"a>b b x", "a:0:4s b:1:4s x:0:4s",
			""},
		"diamond": {"a>b,c b>d c>d d",
			"a:0:2.666666666s b:1:2.666666666s c:1:2.666666666s d:2:2.666666666s", ""},
		"a long timeout does not shorten another chain": {"a=7s>b b c>d d",
			"a:0:7s b:1:500ms c:0:4s d:1:4s", ""},
		"no time remains": {"a>b b=8s", "a:0:0s b:1:8s", ""},
		"a chain exceeds the available time": {"a=5s>b b>c c=4s",
			"a:0:5s b:1:0s c:2:4s", "a>b>c"},
		"two chains exceed the available time": {"a=5s>c b=6s>c c=4s",
			"a:0:5s b:0:6s c:1:4s", "a>c b>c"},
		"only the longest chain exceeds the available time": {"a=1s>b,c b=2s c=8s",
			"a:0:1s b:1:2s c:1:8s", "a>c"},
		"the layer follows the longest chain": {"a>b,c b>c c",
			"a:0:2.666666666s b:1:2.666666666s c:2:2.666666666s", ""},
		"two timeouts given in one layer": {"a=4s>c b=3s>c c", "a:0:4s b:0:3s c:1:4s", ""},
		"nodes in another order": {"c a>c b>a",
			"c:2:2.666666666s a:1:2.666666666s b:0:2.666666666s", ""},
		"no nodes":                            {"", "", ""},
		"one timeout given in a layer of two": {"a=5s>s b>s s", "a:0:5s b:0:4s s:1:1.5s", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nodes, names := graph(t, test.graph)
			b, chains := newBudget(nodes, 8*time.Second), longestChains(nodes)
			var got, over []string
			for i, name := range names {
				got = append(got, fmt.Sprintf("%s:%d:%v", name, chains.layer[i], b.Timeouts[i]))
			}
			for _, chain := range b.Over {
				over = append(over, joinNodes(names, chain))
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := strings.Join(over, " "); got != test.over {
				t.Errorf("chains that exceed the time: got %q, want %q", got, test.over)
			}
		})
	}
}

// randomNodes returns up to 9 nodes without a cycle, half of them with a timeout.
func randomNodes(random *rand.Rand) []stopNode {
	nodes := make([]stopNode, 1+random.IntN(9))
	position := random.Perm(len(nodes))
	for i := range nodes {
		if random.IntN(2) == 0 {
			nodes[i].given = true
			nodes[i].timeout = time.Duration(random.IntN(6000)) * time.Millisecond
		}
		for j := range nodes {
			if position[j] > position[i] && random.IntN(2) == 0 {
				nodes[i].dependsOn = append(nodes[i].dependsOn, j)
			}
		}
	}
	return nodes
}

// TestBudgetOfRandomGraphs compares the budget with a search through every chain.
func TestBudgetOfRandomGraphs(t *testing.T) {
	const available = 8 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	fitting, exceeding := 0, 0
	for range 3000 {
		nodes := randomNodes(random)
		b, chains := newBudget(nodes, available), longestChains(nodes)
		longest := time.Duration(0) // sum of the given timeouts of a chain
		var walk func(i int, given, all time.Duration)
		walk = func(i int, given, all time.Duration) {
			given += nodes[i].timeout
			all += b.Timeouts[i]
			longest = max(longest, given)
			if len(b.Over) == 0 && all > available {
				t.Fatalf("a chain that ends with node %d takes %v, want %v at most: %+v %+v", i,
					all, available, nodes, b)
			}
			for _, dep := range nodes[i].dependsOn {
				if chains.layer[dep] <= chains.layer[i] {
					t.Fatalf("node %d is in layer %d, want it after layer %d of node %d: %+v",
						dep, chains.layer[dep], chains.layer[i], i, nodes)
				}
				walk(dep, given, all)
			}
		}
		for i, n := range nodes {
			walk(i, 0, 0)
			if got := b.Timeouts[i]; got < 0 || n.given && got != n.timeout {
				t.Fatalf("node %d got the timeout %v: %+v %+v", i, got, n, b)
			}
		}
		if exceeds := longest > available; exceeds != (len(b.Over) > 0) {
			t.Fatalf("the longest chain takes %v of %v, and the chains %v exceed it: %+v", longest,
				available, b.Over, nodes)
		}
		if len(b.Over) == 0 {
			fitting++
		} else {
			exceeding++
		}
	}
	if fitting < 500 || exceeding < 500 {
		t.Errorf("%d graphs fit and %d do not, want 500 of each at least", fitting, exceeding)
	}
}
