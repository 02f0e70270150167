package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// runs returns an instance that runs a command with arguments. An entry K=V is a part of the
// environment. An entry with a colon before it claims an address: ready:, http:, check:, listen:.
func runs(name string, words ...string) *config.Instance {
	i := &config.Instance{Name: name, Child: strings.TrimRight(name, "0123456789")}
	i.Launch.Command = "cmd"
	for _, w := range words {
		kind, address, _ := strings.Cut(w, ":")
		switch {
		case kind == "ready":
			i.Launch.Ready = &config.Ready{Probe: config.Probe{TCP: address}}
		case kind == "http":
			i.Launch.Ready = &config.Ready{Probe: config.Probe{HTTP: address}}
		case kind == "check":
			c := config.Check{Probe: config.Probe{TCP: address}}
			i.Policy.Checks = append(i.Policy.Checks, c)
		case kind == "listen" && strings.HasPrefix(address, "/"):
			i.Launch.Listen = append(i.Launch.Listen, config.Listen{Unix: address})
		case kind == "listen":
			i.Launch.Listen = append(i.Launch.Listen, config.Listen{TCP: address})
		case strings.Contains(w, "="):
			i.Launch.Env = append(i.Launch.Env, w)
		default:
			i.Launch.Args = append(i.Launch.Args, w)
		}
	}
	return i
}

func ends(i *config.Instance, listens ...string) plan.Ending {
	return plan.Ending{Spec: i, Listens: listens}
}

// becomes is an instance whose process is replaced.
func becomes(old, next *config.Instance, listens ...string) plan.Ending {
	return plan.Ending{Spec: old, Next: next, Listens: listens}
}

func starts(i *config.Instance) plan.Starting { return plan.Starting{Spec: i} }

func replaces(old, next *config.Instance) plan.Starting {
	return plan.Starting{Spec: next, Before: old}
}

// handOvers describes the hand-overs, sorted: "web<api 127.0.0.1:80".
func handOvers(starting []plan.Starting, ending []plan.Ending) string {
	var all []string
	for i, list := range plan.HandOvers(starting, ending) {
		for _, h := range list {
			var givers []string
			for _, g := range h.Givers {
				givers = append(givers, ending[g].Spec.Name)
			}
			what := h.Reason()
			if address, ok := strings.CutPrefix(what, "both claim "); ok {
				what = address
			}
			text := fmt.Sprintf("%s<%s %s", starting[i].Spec.Name, strings.Join(givers, "+"), what)
			if h.Socket != "" {
				text += " deferred"
			}
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

type handOverCase struct {
	name     string
	starting []plan.Starting
	ending   []plan.Ending
	want     string
}

func checkHandOvers(t *testing.T, cases []handOverCase) {
	t.Helper()
	for _, c := range cases {
		if got := handOvers(c.starting, c.ending); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

const (
	sameCommand = "both run the same command with the same arguments"
	inUse       = " is in use, and the arguments or the environment have it"
)

func TestHandOvers(t *testing.T) {
	a80, a81 := runs("a", "80", "ready:127.0.0.1:80"), runs("a", "81", "ready:127.0.0.1:81")
	b80, b81 := runs("b", "80", "ready:127.0.0.1:80"), runs("b", "81", "ready:127.0.0.1:81")
	checkHandOvers(t, []handOverCase{
		{"nothing ends", []plan.Starting{starts(a80)}, nil, ""},
		{"a renamed child", []plan.Starting{starts(b80)}, []plan.Ending{ends(a80)},
			"b<a 127.0.0.1:80"},
		{"another port", []plan.Starting{starts(b81)}, []plan.Ending{ends(a80)}, ""},
		{"swapped ports", []plan.Starting{replaces(a80, a81), replaces(b81, b80)},
			[]plan.Ending{becomes(a80, a81), becomes(b81, b80)},
			"a<b 127.0.0.1:81, b<a 127.0.0.1:80"},
		{"a restart hands nothing over", []plan.Starting{replaces(a80, a80)},
			[]plan.Ending{becomes(a80, a80)}, ""},
		{"a replaced process that keeps its address", []plan.Starting{starts(b80)},
			[]plan.Ending{becomes(a80, runs("a", "-v", "ready:127.0.0.1:80"))}, ""},
		{"several givers", []plan.Starting{starts(runs("a", "check:127.0.0.1:80"))},
			[]plan.Ending{ends(runs("a1", "ready::80")), ends(runs("a2", "ready::80"))},
			"a<a1+a2 [::]:80"},
		{"from one to many", []plan.Starting{
			starts(runs("a1", "x", "ready:localhost:80")), starts(runs("a2", "y"))},
			[]plan.Ending{ends(a80)}, "a1<a 127.0.0.1:80"},
		{"each moves to the port of the next one", []plan.Starting{
			replaces(runs("a1", "1", "ready::1"), runs("a1", "2", "ready::2")),
			replaces(runs("a2", "2", "ready::2"), runs("a2", "3", "ready::3"))},
			[]plan.Ending{
				becomes(runs("a1", "1", "ready::1"), runs("a1", "2", "ready::2")),
				becomes(runs("a2", "2", "ready::2"), runs("a2", "3", "ready::3"))},
			"a1<a2 [::]:2"},
		{"a process that probed the address of another one before",
			[]plan.Starting{replaces(runs("web", "http:http://127.0.0.1:80/"),
				runs("web", "-v", "http:http://127.0.0.1:80/"))},
			[]plan.Ending{ends(a80)}, ""},
		{"an http probe", []plan.Starting{starts(runs("web", "http:http://localhost/ready"))},
			[]plan.Ending{ends(a80)}, "web<a 127.0.0.1:80"},
	})
}

// TestHandOverOfListeners has processes whose addresses the configuration does not tell.
func TestHandOverOfListeners(t *testing.T) {
	checkHandOvers(t, []handOverCase{
		{"a renamed child without an address", []plan.Starting{starts(runs("b", "x"))},
			[]plan.Ending{ends(runs("a", "x"))}, "b<a " + sameCommand},
		{"the same command with other arguments", []plan.Starting{starts(runs("b", "y"))},
			[]plan.Ending{ends(runs("a", "x"))}, ""},
		{"the addresses are known, and differ",
			[]plan.Starting{starts(runs("b", "ready::81"))},
			[]plan.Ending{ends(runs("a", "ready::80"))}, ""},
		{"a replaced process of the same command", []plan.Starting{starts(runs("b", "x"))},
			[]plan.Ending{becomes(runs("a", "x"), runs("a", "y"))}, ""},
		{"an overlap of two processes of one name",
			[]plan.Starting{replaces(runs("a", "y"), runs("a", "x"))},
			[]plan.Ending{ends(runs("a", "x")), becomes(runs("a", "y"), runs("a", "x"))}, ""},
		{"the new one declares where the old one listens",
			[]plan.Starting{starts(runs("b", "ready:127.0.0.1:80"))},
			[]plan.Ending{ends(runs("a", "x"), "[::]:80", "127.0.0.1:9")}, "b<a [::]:80"},
		{"the arguments have the port", []plan.Starting{starts(runs("b", "--port=8080"))},
			[]plan.Ending{ends(runs("a", "x"), "127.0.0.1:8080")}, "b<a port 8080" + inUse},
		{"the environment has the port", []plan.Starting{starts(runs("b", "PORT=8080"))},
			[]plan.Ending{ends(runs("a", "x"), "127.0.0.1:8080")}, "b<a port 8080" + inUse},
		{"a part of a number", []plan.Starting{starts(runs("b", "18080"))},
			[]plan.Ending{ends(runs("a", "x"), "127.0.0.1:8080")}, ""},
		{"the arguments had the port before",
			[]plan.Starting{replaces(runs("b", "8080"), runs("b", "8080", "-v"))},
			[]plan.Ending{ends(runs("a", "x"), "127.0.0.1:8080")}, ""},
		{"ports in the arguments are swapped",
			[]plan.Starting{replaces(runs("a", "80"), runs("a", "81")),
				replaces(runs("b", "81"), runs("b", "80"))},
			[]plan.Ending{becomes(runs("a", "80"), runs("a", "81"), "0.0.0.0:80"),
				becomes(runs("b", "81"), runs("b", "80"), "0.0.0.0:81")},
			"a<b port 81" + inUse + ", b<a port 80" + inUse},
		{"a new process may not listen yet", []plan.Starting{starts(runs("b", "-p8080"))},
			[]plan.Ending{{Spec: runs("a", "8080"), New: true}}, "b<a port 8080" + inUse},
		{"a new process with a port after a colon",
			[]plan.Starting{starts(runs("b", "PORT=80"))},
			[]plan.Ending{{Spec: runs("a", "*:80"), New: true}}, "b<a port 80" + inUse},
		{"a new process with a small number", []plan.Starting{starts(runs("b", "SHLVL=3"))},
			[]plan.Ending{{Spec: runs("a", "--workers=3", "-n", "3"), New: true}}, ""},
		{"a new process that listens already", []plan.Starting{starts(runs("b", "-p8080"))},
			[]plan.Ending{{Spec: runs("a", "8080"), Listens: []string{"[::]:9"}, New: true}}, ""},
		{"a new process with an address", []plan.Starting{starts(runs("b", "-p8080"))},
			[]plan.Ending{{Spec: runs("a", "8080", "ready::80"), New: true}}, ""},
		{"a replaced process may listen there again", []plan.Starting{starts(runs("b", "80"))},
			[]plan.Ending{becomes(runs("a", "x"), runs("a", "y"), "0.0.0.0:80")}, ""},
		{"a replaced process that keeps the port", []plan.Starting{starts(runs("b", "ready::80"))},
			[]plan.Ending{becomes(runs("a", "80", "x"), runs("a", "80", "y"), "0.0.0.0:80")}, ""},
	})
}

// TestHandOverOfSockets has sockets of listen blocks, which the supervisor holds.
func TestHandOverOfSockets(t *testing.T) {
	checkHandOvers(t, []handOverCase{
		{"the same socket of another child", []plan.Starting{starts(runs("b", "listen::80"))},
			[]plan.Ending{ends(runs("a", "listen::80"), "[::]:80")}, ""},
		{"a probe of the own socket",
			[]plan.Starting{starts(runs("b", "listen::80", "check:127.0.0.1:80"))},
			[]plan.Ending{ends(runs("a", "listen::80"))}, ""},
		{"the old one listens itself", []plan.Starting{starts(runs("b", "listen::80"))},
			[]plan.Ending{ends(runs("a", "ready::80"))}, "b<a [::]:80 deferred"},
		{"the old one was seen to listen", []plan.Starting{starts(runs("b", "listen::80"))},
			[]plan.Ending{ends(runs("a", "x"), "127.0.0.1:80")}, "b<a 127.0.0.1:80 deferred"},
		{"the new one listens itself", []plan.Starting{starts(runs("b", "ready::80"))},
			[]plan.Ending{ends(runs("a", "listen::80"))}, "b<a [::]:80"},
		{"a child that gets a listen block",
			[]plan.Starting{replaces(runs("a", "ready::80"), runs("a", "listen::80"))},
			[]plan.Ending{becomes(runs("a", "ready::80"), runs("a", "listen::80"))},
			"a<a [::]:80 deferred"},
		{"a socket of more addresses",
			[]plan.Starting{replaces(runs("a", "listen:127.0.0.1:80"), runs("a", "listen::80"))},
			[]plan.Ending{becomes(runs("a", "listen:127.0.0.1:80"), runs("a", "listen::80"))},
			"a<a 127.0.0.1:80 deferred"},
		{"unix sockets", []plan.Starting{starts(runs("b", "listen:/run/x.sock"))},
			[]plan.Ending{ends(runs("a", "x"), "/run/x.sock"), ends(runs("c", "y"), "/run/y.sock")},
			"b<a /run/x.sock deferred"},
	})
}

// TestAddressesOverlap compares pairs of addresses as bind(2) does.
func TestAddressesOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "[::1]:80", false},
		{"localhost:80", "127.0.0.1:80", true},
		{"localhost:80", "[::1]:80", true},
		{"LocalHost.:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "[::1]:80", false},
		{"0.0.0.0:80", "[::]:80", true},
		{"[::]:80", "127.0.0.1:80", true},
		{":80", "10.0.0.1:80", true},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
		{"[fe80::1%lo]:80", "[fe80::1]:80", true},
		{"box:80", "127.0.0.1:80", true}, // a name may stand for each address
		{"box:80", "BOX:80", true},
		{"box:80", "other:80", false},
		{"/run/a/../x", "/run/x", true},
		{"/run/x", "/run/y", false},
		{"@x", "/x", false},
		{"no address", "no address", false},
	} {
		x, y := runs("a", "ready:"+tt.a), runs("b", "ready:"+tt.b)
		for range 2 {
			got := handOvers([]plan.Starting{starts(x)}, []plan.Ending{ends(y)})
			if overlap := got != "" && !strings.Contains(got, sameCommand); overlap != tt.want {
				t.Errorf("%s and %s: got %v, want %v", x.Launch.Ready.TCP, y.Launch.Ready.TCP,
					overlap, tt.want)
			}
			x, y = y, x
		}
	}
}

func TestDoubleClaims(t *testing.T) {
	for _, tt := range []struct {
		name       string
		kept, next *config.Instance
		want       string
	}{
		{"one address", runs("a", "ready::80"), runs("b", "ready:127.0.0.1:80"),
			"127.0.0.1:80 a b"},
		{"other addresses", runs("a", "ready::80"), runs("b", "ready::81"), ""},
		{"an http probe", runs("a", "ready::80"), runs("b", "http:http://127.0.0.1/"), ""},
		{"one socket", runs("a", "listen::80"), runs("b", "listen::80"), ""},
		{"a socket and a listener", runs("a", "listen::80"), runs("b", "ready::80"), "[::]:80 a b"},
		{"one child", runs("a1", "ready::80"), runs("a2", "ready::80"), ""},
	} {
		got := ""
		for _, c := range plan.DoubleClaims([]*config.Instance{tt.kept},
			[]*config.Instance{tt.next}) {
			got += fmt.Sprint(c.Address, " ", c.Kept, " ", c.Next)
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
