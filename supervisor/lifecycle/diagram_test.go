package lifecycle

import (
	"fmt"
	"strings"
	"testing"

	"tp0/supervisor/fixture/section"
)

// TestDiagram compares the diagram in docs/architecture.md with the table.
func TestDiagram(t *testing.T) {
	section.Check(t, "../../docs/architecture.md", "states", "./supervisor/lifecycle", diagram())
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
