package lifecycle

import (
	"strings"
	"testing"

	"tp0/supervisor/fixture/machine"
	"tp0/supervisor/fixture/section"
)

// TestDiagram compares the diagram in docs/architecture.md with the table.
func TestDiagram(t *testing.T) {
	section.Check(t, "../../docs/architecture.md", "states", "./supervisor/lifecycle", diagram())
}

func diagram() string {
	var d machine.Diagram
	d.Start(Waiting)
	for _, from := range States() {
		for _, on := range Events() {
			tr, ok := table[from][on]
			if !ok {
				continue
			}
			actions := ""
			if tr.do != Nothing {
				actions = tr.do.String()
			}
			d.Arrow(from, tr.to, strings.ReplaceAll(on.String(), ",", ""), actions)
		}
	}
	return d.String()
}
