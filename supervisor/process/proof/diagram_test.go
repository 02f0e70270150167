package proof

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the diagram into docs/architecture.md")

// TestDiagram compares the diagram and the table in the documentation with the transition table.
func TestDiagram(t *testing.T) {
	const path = "../../../docs/architecture.md"
	const startMarker = "<!-- proof: go test ./supervisor/process/proof -update -->\n"
	const endMarker = "<!-- end of proof -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), startMarker)
	_, tail, ok2 := strings.Cut(rest, endMarker)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", path, startMarker, endMarker)
	}
	want := head + startMarker + diagram() + "\n" + stops() + endMarker + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s differs from the transition table; run the test with -update", path)
	}
}

// diagram draws the transitions that change the state.
func diagram() string {
	var b strings.Builder
	name := func(s State) string {
		return strings.NewReplacer(", ", "_", " ", "_", "-", "_").Replace(s.String())
	}
	fmt.Fprintf(&b, "```mermaid\nstateDiagram-v2\n    [*] --> %s\n", name(Found))
	for _, from := range States() {
		for _, on := range Events() {
			if tr, ok := table[from][on]; ok && tr.to != from {
				fmt.Fprintf(&b, "    %s --> %s: %s%s\n",
					name(from), name(tr.to), on, join(" / ", tr.do))
			}
		}
	}
	fmt.Fprintf(&b, "    %s --> [*]\n```\n", name(Forgotten))
	return b.String()
}

// stops lists the actions on each ptrace stop, for each state in which threads are traced.
func stops() string {
	var b strings.Builder
	b.WriteString("| ptrace stop |")
	var states []State
	for _, s := range States() {
		if s.IsTraced() {
			states = append(states, s)
			fmt.Fprintf(&b, " %s |", s)
		}
	}
	b.WriteString("\n" + strings.Repeat("|---", len(states)+1) + "|\n")
	for _, e := range Events() {
		if !e.IsPtraceStop() {
			continue
		}
		fmt.Fprintf(&b, "| %s |", e)
		for _, s := range states {
			fmt.Fprintf(&b, "%s |", join(" ", table[s][e].do))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func join(prefix string, do []Action) string {
	if len(do) == 0 {
		return ""
	}
	var all []string
	for _, a := range do {
		all = append(all, a.String())
	}
	return prefix + strings.Join(all, ", ")
}
