package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// roleOf is the attribute for each mark in a text of shape.
var roleOf = map[string]string{"!": "sidecar", "?": "oneshot", "-": "disabled"}

// shape returns the file that a text describes. In "b>a:started a=5s!" the child b waits until a
// is started, and a has a kill_timeout of 5 s and is a sidecar. "?" makes a oneshot, and "-" a
// disabled child.
func shape(text string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		head, deps, _ := strings.Cut(word, ">")
		name := strings.TrimRight(head, "!?-")
		name, timeout, given := strings.Cut(name, "=")
		fmt.Fprintf(&b, "child %q {\n  command = \"server\"\n", name)
		for mark, attribute := range roleOf {
			if strings.Contains(head, mark) {
				fmt.Fprintf(&b, "  %s = true\n", attribute)
			}
		}
		if given {
			fmt.Fprintf(&b, "  kill_timeout = %q\n", timeout)
		}
		b.WriteString("  depends_on = [")
		for dep := range strings.SplitSeq(deps, ",") {
			if on, until, ok := strings.Cut(dep, ":"); ok {
				fmt.Fprintf(&b, "{ child = %q, until = %q }, ", on, until)
			} else if dep != "" {
				fmt.Fprintf(&b, "%q, ", dep)
			}
		}
		b.WriteString("]\n}\n")
	}
	return b.String()
}

// inLayers returns the names of children, with " | " between layers.
func inLayers(layers [][]*config.Child) string {
	var words []string
	for _, layer := range layers {
		var names []string
		for _, c := range layer {
			names = append(names, c.Name)
		}
		words = append(words, strings.Join(names, " "))
	}
	return strings.Join(words, " | ")
}

func TestOrder(t *testing.T) {
	tests := map[string]struct{ shape, starts, stops, worst string }{
		"one child":                {"a", "a", "a", "a 8.55s"},
		"chain":                    {"c>b b>a a", "a | b | c", "c | b | a", "c b a 8.55s"},
		"oneshot":                  {"a>m m?", "m | a", "a m", "a 8.55s"},
		"until ready of a oneshot": {"a>m:ready m?", "m | a", "a | m", "a m 8.55s"},
		"until completed": {"b=3s>a:completed,c a=5s c=1s", "a c | b", "b a | c",
			"a 5s"},
		"stop order through a oneshot": {"w=3s>m m=1s?>d d=2s", "d | m | w", "w m | d", "w d 5s"},
		"stop order through two oneshots": {"w=3s>m m=1s?>n n=1s?>d d=2s", "d | n | m | w",
			"w m n | d",
			"w d 5s"},
		"until started": {"b>a:started a", "a | b", "b | a", "b a 8.55s"},
		"sidecars": {"s! p!>s a=2s b=1s>a", "s a | p b", "b | a | p | s",
			"b a p s 8.55s"},
		"sidecar depends on a child": {"s=2s!>a a=1s", "a | s", "a | s", "a s 3s"},
		"child depends on a sidecar": {"s=2s! a=1s>s", "s | a", "a | s", "a s 3s"},
		"only sidecars":              {"s! p!>s", "s | p", "p | s", "p s 8.55s"},
		"disabled":                   {"b>a a-", "a | b", "b | a", "b 8.55s"},
		"disabled sidecar":           {"s!- a", "s a", "s a", "a 8.55s"},
		"longest of two chains":      {"a=1s b=2s>c c=2s", "a c | b", "a b | c", "b c 4s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := load(t, shape(test.shape))
			if got := inLayers(plan.StartLayers(c)); got != test.starts {
				t.Errorf("starts: got %s, want %s", got, test.starts)
			}
			if got := inLayers(plan.StopLayers(c)); got != test.stops {
				t.Errorf("stops: got %s, want %s", got, test.stops)
			}
			chain, sum := plan.WorstCase(c)
			names := strings.ReplaceAll(inLayers([][]*config.Child{chain}), "|", "")
			if got := fmt.Sprintf("%s %v", names, sum); got != test.worst {
				t.Errorf("worst case: got %s, want %s", got, test.worst)
			}
			latest := time.Duration(0)
			for _, d := range plan.LatestStops(c) {
				latest = max(latest, d)
			}
			if latest != sum {
				t.Errorf("the last child stops after %v, want %v, as in the worst case", latest,
					sum)
			}
		})
	}
}

// randomShape returns the text of up to 7 children with random roles and dependencies.
func randomShape(r *rand.Rand) string {
	var words []string
	for i := range 1 + r.IntN(7) {
		word := string(rune('a' + i))
		for _, mark := range []string{"!", "?", "-"} {
			if r.IntN(4) == 0 {
				word += mark
			}
		}
		var deps []string
		for j := range i {
			if r.IntN(3) == 0 {
				until := []string{"", ":started", ":ready", ":completed"}[r.IntN(4)]
				deps = append(deps, string(rune('a'+j))+until)
			}
		}
		words = append(words, word+">"+strings.Join(deps, ","))
	}
	r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words, " ")
}

// layerOf returns the index of the layer that contains a child.
func layerOf(layers [][]*config.Child, child *config.Child) int {
	return slices.IndexFunc(layers, func(l []*config.Child) bool {
		return slices.Contains(l, child)
	})
}

// TestOrderOfRandomGraphs checks that a child starts after its dependencies and stops before them,
// that sidecars stop last, and that a stop fits the deadline.
func TestOrderOfRandomGraphs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		text := randomShape(r)
		c := load(t, shape(text))
		starts, stops := plan.StartLayers(c), plan.StopLayers(c)
		for _, a := range c.Children {
			for _, d := range a.DependsOn {
				b := c.Child(d.Child)
				if layerOf(starts, b) >= layerOf(starts, a) {
					t.Fatalf("%s: %s does not start before %s", text, b.Name, a.Name)
				}
				if d.StopsAfterDependent() && a.Sidecar() == b.Sidecar() &&
					layerOf(stops, b) <= layerOf(stops, a) {
					t.Fatalf("%s: %s does not stop after %s", text, b.Name, a.Name)
				}
			}
			for _, b := range c.Children {
				if a.Sidecar() && !b.Sidecar() && layerOf(stops, b) >= layerOf(stops, a) {
					t.Fatalf("%s: the sidecar %s does not stop after %s", text, a.Name, b.Name)
				}
			}
		}
		if _, sum := plan.WorstCase(c); sum > 8550*time.Millisecond {
			t.Fatalf("%s: a stop takes %v, want 8.55s at most", text, sum)
		}
	}
}

// TestStopLayers checks the stop order of a file, and the kill_timeout of three layers.
func TestStopLayers(t *testing.T) {
	c := load(t, `
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
child "alone" { command = "server" }`)
	if got, want := inLayers(plan.StopLayers(c)), "web alone | api | db"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, i := range c.Instances() {
		if want := 2850 * time.Millisecond; i.Policy.KillTimeout != want {
			t.Errorf("kill_timeout of %s: got %v, want %v", i.Name, i.Policy.KillTimeout,
				want)
		}
	}
}

func TestStopsAfter(t *testing.T) {
	for text, want := range map[string]string{
		"a=1s":                            "a 0s",
		"a=1s b=2s>a c=1s>b":              "a 0s, b 1s, c 3s",
		"a=1s b=4s c=1s>a,b":              "a 0s, b 0s, c 4s",
		"a=1s m=2s?>a c=1s>m:completed":   "a 0s, m 1s, c 1s",
		"log=2s! a=1s b=1s>a":             "log 0s, a 2s, b 3s",
		"a=1s b=1s>a c=2s>a d=1s>b e=1s>": "a 0s, b 1s, c 1s, d 2s, e 0s",
	} {
		c := load(t, shape(text))
		after := plan.StopsAfter(c)
		var got []string
		for _, child := range c.Children {
			got = append(got, fmt.Sprint(child.Name, " ", after[child.Name]))
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
