package plan_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// shape reads children as "b>a:started a=5s!": b waits until a is started, a
// has 5 s and is a sidecar; "?" for a oneshot, "-" for one that is disabled.
func shape(text string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		head, deps, _ := strings.Cut(word, ">")
		name := strings.TrimRight(head, "!?-")
		name, timeout, given := strings.Cut(name, "=")
		fmt.Fprintf(&b, "child %q {\n  command = \"server\"\n", name)
		for mark, attribute := range map[string]string{"!": "sidecar", "?": "oneshot", "-": "disabled"} {
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
		"alone":               {"a", "a", "a", "a 8.55s"},
		"a chain":             {"c>b b>a a", "a | b | c", "c | b | a", "c b a 8.55s"},
		"a oneshot":           {"a>m m?", "m | a", "a m", "a 8.55s"},
		"an explicit until":   {"a>m:ready m?", "m | a", "a | m", "a m 8.55s"},
		"completed":           {"b=3s>a:completed,c a=5s c=1s", "a c | b", "b a | c", "a 5s"},
		"through a oneshot":   {"w=3s>m m=1s?>d d=2s", "d | m | w", "w m | d", "w d 5s"},
		"through two":         {"w=3s>m m=1s?>n n=1s?>d d=2s", "d | n | m | w", "w m n | d", "w d 5s"},
		"started":             {"b>a:started a", "a | b", "b | a", "b a 8.55s"},
		"sidecars":            {"s! p!>s a=2s b=1s>a", "s a | p b", "b | a | p | s", "b a p s 8.55s"},
		"a sidecar after":     {"s=2s!>a a=1s", "a | s", "a | s", "a s 3s"},
		"a sidecar before":    {"s=2s! a=1s>s", "s | a", "a | s", "a s 3s"},
		"only sidecars":       {"s! p!>s", "s | p", "p | s", "p s 8.55s"},
		"disabled":            {"b>a a-", "a | b", "b | a", "b 8.55s"},
		"a disabled sidecar":  {"s!- a", "s a", "s a", "a 8.55s"},
		"the longest of them": {"a=1s b=2s>c c=2s", "a c | b", "a b | c", "b c 4s"},
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
			latest := time.Duration(0)
			for _, d := range plan.LatestStops(c) {
				latest = max(latest, d)
			}
			if latest != sum {
				t.Errorf("the last is over after %v, and the longest way takes %v", latest, sum)
			}
			if got := strings.ReplaceAll(inLayers([][]*config.Child{chain}), "|", "") + fmt.Sprintf(" %v", sum); got != test.worst {
				t.Errorf("worst: got %s, want %s", got, test.worst)
			}
		})
	}
}

// Any order fits its deadline once it is accepted, comes after what it waits
// for, and ends with the sidecars.
func TestOrderOfRandomGraphs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	place := func(layers [][]*config.Child, name string) int {
		return slices.IndexFunc(layers, func(l []*config.Child) bool {
			return slices.ContainsFunc(l, func(c *config.Child) bool { return c.Name == name })
		})
	}
	for range 300 {
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
					deps = append(deps, string(rune('a'+j))+[]string{"", ":started", ":ready", ":completed"}[r.IntN(4)])
				}
			}
			words = append(words, word+">"+strings.Join(deps, ","))
		}
		r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		text := strings.Join(words, " ")
		c := load(t, shape(text))
		starts, stops := plan.StartLayers(c), plan.StopLayers(c)
		for _, a := range c.Children {
			for _, d := range a.DependsOn {
				b := c.Child(d.Child)
				if place(starts, b.Name) >= place(starts, a.Name) {
					t.Fatalf("%s: %s is not started before %s", text, b.Name, a.Name)
				}
				if d.StopsAfterDependent() && a.Sidecar() == b.Sidecar() && place(stops, b.Name) <= place(stops, a.Name) {
					t.Fatalf("%s: %s is not stopped after %s", text, b.Name, a.Name)
				}
			}
			for _, b := range c.Children {
				if a.Sidecar() && !b.Sidecar() && place(stops, b.Name) >= place(stops, a.Name) {
					t.Fatalf("%s: the sidecar %s is not stopped after %s", text, a.Name, b.Name)
				}
			}
		}
		if _, sum := plan.WorstCase(c); sum > 8550*time.Millisecond {
			t.Fatalf("%s: a stop takes %v", text, sum)
		}
	}
}

func TestStops(t *testing.T) {
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
	var got [][]string
	for _, layer := range plan.StopLayers(c) {
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
