package lifecycle

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the state diagram into docs/architecture.md")

// TestDiagram compares the diagram in docs/architecture.md with the table. -update writes it.
func TestDiagram(t *testing.T) {
	const (
		path  = "../../docs/architecture.md"
		begin = "<!-- states: go test ./supervisor/lifecycle -update -->\n"
		end   = "<!-- end of states -->\n"
	)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s does not contain %q and %q", path, begin, end)
	}
	want := head + begin + diagram() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s differs from the table; to write it, run:\n"+
			"go test ./supervisor/lifecycle -run Diagram -update", path)
	}
}

func diagram() string {
	var b strings.Builder
	name := func(s State) string { return strings.ReplaceAll(s.String(), " ", "_") }
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> waiting\n")
	for _, from := range States() {
		for _, on := range Events() {
			tr, ok := table[from][on]
			if !ok {
				continue
			}
			label := strings.ReplaceAll(on.String(), ",", "")
			if tr.do != Nothing {
				label += " / " + tr.do.String()
			}
			fmt.Fprintf(&b, "    %s --> %s: %s\n", name(from), name(tr.to), label)
		}
	}
	b.WriteString("```\n")
	return b.String()
}
