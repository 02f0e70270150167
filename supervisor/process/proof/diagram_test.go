package proof

import (
	"fmt"
	"strings"
	"testing"

	"tp0/supervisor/fixture/machine"
	"tp0/supervisor/fixture/section"
)

// TestDiagram compares the diagram and the table in docs/architecture.md with the transition table.
func TestDiagram(t *testing.T) {
	section.Check(t, "../../../docs/architecture.md", "proof", "./supervisor/process/proof",
		diagram()+"\n"+stops())
}

// diagram draws the transitions that change the state.
func diagram() string {
	var d machine.Diagram
	d.Start(Found)
	for _, from := range States() {
		for _, on := range Events() {
			if tr, ok := table[from][on]; ok && tr.to != from {
				d.Arrow(from, tr.to, on.String(), join(tr.do))
			}
		}
	}
	d.End(Forgotten)
	return d.String()
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
			if do := table[s][e].do; len(do) > 0 {
				b.WriteString(" " + join(do))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func join(do []Action) string {
	var all []string
	for _, a := range do {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}
