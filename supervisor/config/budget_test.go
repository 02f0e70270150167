package config

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReserve(t *testing.T) {
	for deadline, want := range map[time.Duration]time.Duration{
		9 * time.Second:       450 * time.Millisecond,
		10 * time.Second:      500 * time.Millisecond,
		time.Hour:             500 * time.Millisecond,
		10 * time.Millisecond: 500 * time.Microsecond,
	} {
		if got := reserve(deadline); got != want {
			t.Errorf("reserve(%v) = %v, want %v", deadline, got, want)
		}
	}
}

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
			must(t, err)
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
			b := newBudget(nodes, 8*time.Second)
			var got, over []string
			for i, name := range names {
				got = append(got, fmt.Sprintf("%s:%d:%v", name, b.layer[i], b.timeout[i]))
			}
			for _, chain := range b.over {
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
		b := newBudget(nodes, available)
		worst := time.Duration(0) // of what is given
		var walk func(i int, given, all time.Duration)
		walk = func(i int, given, all time.Duration) {
			given += nodes[i].timeout
			all += b.timeout[i]
			worst = max(worst, given)
			if len(b.over) == 0 && all > available {
				t.Fatalf("a chain that ends with %d takes %v: %+v %+v", i, all, nodes, b)
			}
			for _, dep := range nodes[i].dependsOn {
				if b.layer[dep] <= b.layer[i] {
					t.Fatalf("%d is not stopped after %d: %+v %+v", dep, i, nodes, b)
				}
				walk(dep, given, all)
			}
		}
		for i := range nodes {
			walk(i, 0, 0)
			if nodes[i].given && b.timeout[i] != nodes[i].timeout {
				t.Fatalf("the timeout of %d was changed: %+v %+v", i, nodes, b)
			}
			if b.timeout[i] < 0 {
				t.Fatalf("a share is negative: %+v %+v", nodes, b)
			}
		}
		if (worst > available) != (len(b.over) > 0) {
			t.Fatalf("the longest chain takes %v, and over is %v: %+v", worst, b.over, nodes)
		}
		if len(b.over) == 0 {
			fits++
		} else {
			exceeds++
		}
	}
	if fits < 500 || exceeds < 500 {
		t.Errorf("%d graphs fit and %d do not: too few to say anything", fits, exceeds)
	}
}

func TestStops(t *testing.T) {
	_, opt := machine(t)
	c := good(t, `
child "db" { command = "server" }
child "web" {
  command = "server"
  depends_on = ["api", "db"]
}
child "api" {
  command = "server"
  count = 2
  depends_on = ["db", "db"]
}
child "alone" { command = "server" }`, opt)
	var got [][]string
	for _, layer := range c.StopLayers() {
		var names []string
		for _, child := range layer {
			names = append(names, child.Name)
		}
		got = append(got, names)
	}
	if want := [][]string{{"web", "alone"}, {"api"}, {"db"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, i := range c.Instances() {
		if want := 2850 * time.Millisecond; i.Policy.KillTimeout != want {
			t.Errorf("%s has %v, want %v", i.Name, i.Policy.KillTimeout, want)
		}
	}
}
