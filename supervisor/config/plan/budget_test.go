package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// graph reads nodes as "a=5s>b,c b c=1s": a has 5 s and depends on b and c.
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

func TestBudget(t *testing.T) {
	tests := map[string]struct {
		graph string // 8 s are available
		want  string
		over  string
	}{
		"one":                           {"a", "a:0:8s", ""},
		"one given":                     {"a=3s", "a:0:3s", ""},
		"all there is":                  {"a=8s", "a:0:8s", ""},
		"too much":                      {"a=9s", "a:0:9s", "a"},
		"side by side":                  {"a b", "a:0:8s b:0:8s", ""},
		"a layer each":                  {"a>b b", "a:0:4s b:1:4s", ""},
		"a chain of four":               {"a>b b>c c>d d", "a:0:2s b:1:2s c:2:2s d:3:2s", ""},
		"the rest of one":               {"a>b b=5s", "a:0:3s b:1:5s", ""},
		"the rest of two":               {"a>b b=5s>c c", "a:0:1.5s b:1:5s c:2:1.5s", ""},
		"alone beside a chain":          {"a>b b x", "a:0:4s b:1:4s x:0:4s", ""},
		"a diamond":                     {"a>b,c b>d c>d d", "a:0:2.666666666s b:1:2.666666666s c:1:2.666666666s d:2:2.666666666s", ""},
		"a slow one starves no other":   {"a=7s>b b c>d d", "a:0:7s b:1:500ms c:0:4s d:1:4s", ""},
		"nothing is left":               {"a>b b=8s", "a:0:0s b:1:8s", ""},
		"a chain too long":              {"a=5s>b b>c c=4s", "a:0:5s b:1:0s c:2:4s", "a>b>c"},
		"two chains too long":           {"a=5s>c b=6s>c c=4s", "a:0:5s b:0:6s c:1:4s", "a>c b>c"},
		"the longest of the chains":     {"a=1s>b,c b=2s c=8s", "a:0:1s b:1:2s c:1:8s", "a>c"},
		"the layer is the longest way":  {"a>b,c b>c c", "a:0:2.666666666s b:1:2.666666666s c:2:2.666666666s", ""},
		"given ones beside each other":  {"a=4s>c b=3s>c c", "a:0:4s b:0:3s c:1:4s", ""},
		"in the order of the file":      {"c a>c b>a", "c:2:2.666666666s a:1:2.666666666s b:0:2.666666666s", ""},
		"no nodes":                      {"", "", ""},
		"a layer with given and others": {"a=5s>s b>s s", "a:0:5s b:0:4s s:1:1.5s", ""},
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
				var parts []string
				for _, i := range chain {
					parts = append(parts, names[i])
				}
				over = append(over, strings.Join(parts, ">"))
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := strings.Join(over, " "); got != test.over {
				t.Errorf("over: got %q, want %q", got, test.over)
			}
		})
	}
}

// TestBudgetOfRandomGraphs compares with a search through every chain.
func TestBudgetOfRandomGraphs(t *testing.T) {
	const available = 8 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	fits, exceeds := 0, 0
	for range 3000 {
		n := 1 + random.IntN(9)
		nodes := make([]stopNode, n)
		shuffled := random.Perm(n)
		for i := range nodes {
			if random.IntN(2) == 0 {
				nodes[i].given, nodes[i].timeout = true, time.Duration(random.IntN(6000))*time.Millisecond
			}
			for j := range n {
				if shuffled[j] > shuffled[i] && random.IntN(2) == 0 {
					nodes[i].dependsOn = append(nodes[i].dependsOn, j)
				}
			}
		}
		b, chains := newBudget(nodes, available), longestChains(nodes)
		worst := time.Duration(0) // of what is given
		var walk func(i int, given, all time.Duration)
		walk = func(i int, given, all time.Duration) {
			given += nodes[i].timeout
			all += b.Timeouts[i]
			worst = max(worst, given)
			if len(b.Over) == 0 && all > available {
				t.Fatalf("a chain that ends with %d takes %v: %+v %+v", i, all, nodes, b)
			}
			for _, dep := range nodes[i].dependsOn {
				if chains.layer[dep] <= chains.layer[i] {
					t.Fatalf("%d is not stopped after %d: %+v %+v", dep, i, nodes, b)
				}
				walk(dep, given, all)
			}
		}
		for i := range nodes {
			walk(i, 0, 0)
			if nodes[i].given && b.Timeouts[i] != nodes[i].timeout {
				t.Fatalf("the timeout of %d was changed: %+v %+v", i, nodes, b)
			}
			if b.Timeouts[i] < 0 {
				t.Fatalf("a share is negative: %+v %+v", nodes, b)
			}
		}
		if (worst > available) != (len(b.Over) > 0) {
			t.Fatalf("the longest chain takes %v, and over is %v: %+v", worst, b.Over, nodes)
		}
		if len(b.Over) == 0 {
			fits++
		} else {
			exceeds++
		}
	}
	if fits < 500 || exceeds < 500 {
		t.Errorf("%d graphs fit and %d do not: too few to say anything", fits, exceeds)
	}
}
