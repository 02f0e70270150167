package proof

import (
	"fmt"
	"strings"
	"testing"

	"tp0/supervisor/fixture/section"
)

// TestDiagram compares the diagram and the table in docs/architecture.md with the transition table.
func TestDiagram(t *testing.T) {
	section.Check(t, "../../../docs/architecture.md", "proof", "./supervisor/process/proof",
		diagram()+"\n"+stops())
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
