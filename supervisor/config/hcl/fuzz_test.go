package hclconfig

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// maxFuzzTime bounds the time for one input of a fuzz target. The limits of the parser permit some
// seconds, and a fuzz worker shares its processor.
const maxFuzzTime = 30 * time.Second

// addExamples adds the repository's configurations to a corpus.
func addExamples(f *testing.F, add func(src string)) {
	f.Helper()
	files, err := filepath.Glob("../../../examples/*.hcl")
	must(f, err)
	for _, name := range append(files, "../../../supervisor.hcl") {
		src, err := os.ReadFile(name)
		must(f, err)
		add(string(src))
	}
}

// fuzzFile parses a file and checks what holds for each file. It returns nil for a file with
// faults.
func fuzzFile(t *testing.T, src, name string, opt Options) *config.Config {
	t.Helper()
	start := time.Now()
	c, err := parse([]byte(src), name, opt)
	if d := time.Since(start); d > maxFuzzTime {
		t.Errorf("the file took %v, want %v at most", d, maxFuzzTime)
	}
	var faults *Faults
	switch {
	case errors.As(err, &faults):
		checkFaults(t, faults, name)
		if c != nil {
			t.Errorf("got the configuration %v and %d faults, want faults only", c, faults.Len())
		}
		return nil
	case err != nil:
		if len(src) <= maxFile {
			t.Error(err)
		}
		return nil
	}
	checkPlan(t, c)
	return c
}

// checkFaults checks that each fault has a place in the file, and that its text is harmless.
func checkFaults(t *testing.T, faults *Faults, name string) {
	t.Helper()
	var b bytes.Buffer
	must(t, faults.Write(&b, 40, false))
	harmlessText(t, b.String()+faults.Error())
	if faults.Len() == 0 {
		t.Error("got no fault")
	}
	for _, d := range faults.Diagnostics() {
		if d.Range == nil || d.Range.Filename != name || d.Range.Start.Line < 1 ||
			d.Range.Start.Column < 1 || d.Range.Start.Byte < 0 {
			t.Errorf("%s: %s: got the range %+v, want a place in %s", d.Summary, d.Detail, d.Range,
				name)
		}
	}
}

// checkPlan checks that a valid configuration can be started and stopped in an order.
func checkPlan(t *testing.T, c *config.Config) {
	t.Helper()
	if len(c.Children) == 0 || !plan.Compare(c, c).Empty() {
		t.Errorf("%+v differs from itself: %+v", c, plan.Compare(c, c))
	}
	if global, byName := plan.Differences(c, c); len(global)+len(byName) > 0 {
		t.Errorf("%+v differs from itself: %+v %+v", c, global, byName)
	}
	// A oneshot can create the command of a child that is started after it.
	oneshot := slices.ContainsFunc(c.Instances(), func(i *config.Instance) bool {
		return i.Policy.Oneshot
	})
	for _, i := range c.Instances() {
		if i.Launch.Path == "" && !oneshot || i.Policy.KillTimeout <= 0 ||
			i.Policy.KillTimeout > c.Shutdown.Deadline-c.Shutdown.Reserve {
			t.Errorf("%+v", i)
		}
	}
	checkOrder(t, c)
	if _, sum := plan.WorstCase(c); sum > c.Shutdown.Deadline {
		t.Errorf("the worst case of a stop is %v, the deadline %v", sum, c.Shutdown.Deadline)
	}
}

// checkOrder checks that each child starts after its dependencies, and stops before them unless it
// waited for their completion.
func checkOrder(t *testing.T, c *config.Config) {
	t.Helper()
	start, stop := layerOf(t, c, plan.StartLayers(c)), layerOf(t, c, plan.StopLayers(c))
	for _, child := range c.Children {
		for _, d := range child.DependsOn {
			named := func(c *config.Child) bool { return c.Name == d.Child }
			i := slices.IndexFunc(c.Children, named)
			if i < 0 {
				continue // --only excludes it
			}
			if start[child.Name] <= start[d.Child] {
				t.Errorf("%s starts before %s, on which it depends", child.Name, d.Child)
			}
			sameKind := child.Sidecar() == c.Children[i].Sidecar()
			if sameKind && d.StopsAfterDependent() &&
				stop[child.Name] >= stop[d.Child] {
				t.Errorf("%s stops after %s, on which it depends", child.Name, d.Child)
			}
		}
	}
}

// layerOf returns the layer of each child by name. Each child must be in one layer.
func layerOf(t *testing.T, c *config.Config, layers [][]*config.Child) map[string]int {
	t.Helper()
	byName, n := map[string]int{}, 0
	for i, layer := range layers {
		for _, child := range layer {
			byName[child.Name] = i
			n++
		}
	}
	if n != len(c.Children) || len(byName) != n {
		t.Errorf("%d children of %d are in a layer", len(byName), len(c.Children))
	}
	return byName
}

// FuzzParse parses and evaluates a file, and plans its start and stop.
func FuzzParse(f *testing.F) {
	_, opt := machine(f)
	addExamples(f, func(src string) { f.Add(src) })
	f.Add(example)
	f.Add("\ufeff" + strings.ReplaceAll(example, "\n", "\r\n"))
	f.Add(
		"child \"a\" {\n command = \"server\"\n args = [for x in [1, 2] : \"${x}%{if x > " +
			"1}a%{else}b%{endif}\"]\n}\n")
	f.Add(
		"child \"a\" {\n count = 3\n command = <<-E\n  server\n  E\n env = { (index) = " +
			"env(\"X\", {a = 1}[\"a\"]), \"b\" = [1][0] }\n}\n")
	f.Add(
		"child a {\n args = [[1, 2][*], {}.*.b, -index % 2, 1e9 / 3]\n depends_on = [\"a\", " +
			"\"b\"]\n ready {\n tcp = \":1\"\n}\n}\nchild b {\n depends_on = [\"a\"]\n}\n")
	f.Add("a = \x00\xff\u202e")
	f.Add(
		"variable \"p\" {\n type = list(any)\n default = [1, \"a\"]\n}\nlocals {\n" +
			" a = join(\"\", [for x in range(3) : local.b])\n b = var.p[1]\n}\n" +
			"child \"a\" {\n command = \"server\"\n args = [local.a]\n}\n")
	f.Add(
		"include = [\"none*\", \"\\u0000\"]\nlocals {\n a = local.a\n b = local[local.c].d\n" +
			"}\nlog_level = format(\"%*[1]d%999s\", -1, regex(\"(a+)+\", \"aaa\"))\n")
	f.Fuzz(func(t *testing.T, src string) { fuzzFile(t, src, "f", opt) })
}

// FuzzJSON is FuzzParse for a file in JSON.
func FuzzJSON(f *testing.F) {
	_, opt := machine(f)
	f.Add(
		`{"variable": {"p": {"type": "list(string)", "default": ["${1 + 1}"]}}, "locals": ` +
			`{"l": "${var.p[0]}"}, "child": {"a": {"command": "server", "args": ` +
			`["${local.l}\\n", null]}}}`)
	f.Add(
		`{"child": [{"a": {"command": "${format(\"%9999999d\", 1)}"}}, {"b": {}}], "include": ` +
			`["none*"], "log_level": {"${x}": [1e9]}}`)
	f.Fuzz(func(t *testing.T, src string) { fuzzFile(t, src, "f.json", opt) })
}

// FuzzReload compares two configurations, as a reload does.
func FuzzReload(f *testing.F) {
	_, opt := machine(f)
	child := func(text string) string {
		return "child \"a\" {\n command = \"server\"\n" + text + "}\n"
	}
	f.Add(child(""), child(" count = 3\n"))
	f.Add(child(" env = { PORT = \"8080\" }\n"), child(" env = { PORT = \"8081\" }\n"))
	f.Add(child(" listen \"l\" {\n tcp = \":8080\"\n}\n"), strings.ReplaceAll(
		child(" args = [\"-p\", \"8080\"]\n ready {\n tcp = \"127.0.0.1:8080\"\n}\n"),
		"\"a\"", "\"b\""))
	f.Add(example, strings.ReplaceAll(example, "server", "client"))
	addExamples(f, func(src string) { f.Add(src, example) })
	f.Fuzz(func(t *testing.T, old, new string) {
		a := fuzzFile(t, old, "f", opt)
		if a == nil {
			return
		}
		if b := fuzzFile(t, new, "f", opt); b != nil {
			checkReload(t, a, b)
			checkReload(t, b, a)
		}
	})
}

// checkReload checks the difference of two configurations.
func checkReload(t *testing.T, old, new *config.Config) {
	t.Helper()
	p := plan.Compare(old, new)
	seen := map[string]int{}
	for _, name := range slices.Concat(p.Added, p.Removed, p.Kept) {
		seen[name]++
	}
	for _, change := range p.Changed {
		seen[change.Name]++
	}
	for name, n := range seen {
		if n != 1 {
			t.Errorf("%s is in %d parts of the plan %+v", name, n, p)
		}
	}
	for _, i := range append(old.Instances(), new.Instances()...) {
		if seen[i.Name] == 0 {
			t.Errorf("%s is missing in the plan %+v", i.Name, p)
		}
	}
	starting, ending := plan.Processes(old, new)
	if n := len(plan.HandOvers(starting, ending)); n != len(starting) {
		t.Errorf("hand-overs of %d processes, want %d", n, len(starting))
	}
}
