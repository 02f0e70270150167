package metrics

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/metrics.md")

var goVersion = runtime.Version()

// TestDocs checks that the table of docs/metrics.md has all metrics.
func TestDocs(t *testing.T) {
	const path = "../../docs/metrics.md"
	const begin = "<!-- generated: go test ./supervisor/metrics -run TestDocs -update -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(b), begin)
	if !ok {
		t.Fatalf("%s has no line that begins the generated part", path)
	}
	want := head + begin + table()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s does not match the metrics. Run the test with -update.", path)
	}
}

// table returns the metrics as a table.
func table() string {
	var w strings.Builder
	w.WriteString("\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n")
	for _, f := range families() {
		var labels []string
		for i, name := range f.labels {
			label := "`" + name + "`"
			if i == len(f.labels)-1 && f.values != nil {
				label += " (" + strings.Join(f.values, ", ") + ")"
			}
			labels = append(labels, label)
		}
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s | %s |\n", f.name, f.kind, unitOf(f.name),
			strings.Join(labels, ", "), f.help)
	}
	return w.String()
}

// unitOf returns the unit that a name says.
func unitOf(name string) string {
	name = strings.TrimSuffix(name, "_total")
	for _, unit := range []string{"seconds", "bytes", "ratio"} {
		if strings.HasSuffix(name, "_"+unit) {
			return unit
		}
	}
	return ""
}

// TestNames checks the conventions for names of metrics and labels.
func TestNames(t *testing.T) {
	form := regexp.MustCompile(`^supervisor(_[a-z]+)+$`)
	seen := map[string]bool{}
	for _, f := range families() {
		switch {
		case !form.MatchString(f.name):
			t.Errorf("%s does not have the form %s", f.name, form)
		case seen[f.name]:
			t.Errorf("%s is there twice", f.name)
		case strings.HasSuffix(f.name, "_total") != (f.kind == counter):
			t.Errorf("%s is a %s: a counter, and nothing else, ends in _total", f.name, f.kind)
		case f.help == "" || strings.HasSuffix(f.help, "."):
			t.Errorf("%s has the help %q: it must be a sentence without its full stop", f.name,
				f.help)
		}
		seen[f.name] = true
	}
	if len(seen) < 30 {
		t.Errorf("got %d metrics, want all", len(seen))
	}
}
