package phase

import (
	"fmt"
	"strings"
	"testing"

	"tp0/supervisor/fixture/section"
)

// TestDiagrams compares the diagrams in docs/architecture.md with the tables.
func TestDiagrams(t *testing.T) {
	for name, diagram := range map[string]string{
		"phases": drawPhases(), "delivery": drawDelivery(),
	} {
		section.Check(t, "../../../docs/architecture.md", name, "./supervisor/process/phase",
			"```mermaid\nstateDiagram-v2\n"+diagram+"```\n")
	}
}

func drawPhases() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    [*] --> %s\n    [*] --> %s\n", id(AtBarrier), id(Running))
	for _, from := range allPhases() {
		for _, c := range allChanges() {
			if to := from.Next(c); to != from {
				fmt.Fprintf(&b, "    %s --> %s: %s\n", id(from), id(to), c)
			}
		}
	}
	fmt.Fprintf(&b, "    %s --> [*]\n", id(Over))
	return b.String()
}

func drawDelivery() string {
	var b strings.Builder
	fmt.Fprintf(&b, "    [*] --> %s\n", id(NoStop))
	for _, from := range allStates() {
		for _, e := range allEvents() {
			if to, do := Next(from, e); to != from && do != Nothing {
				fmt.Fprintf(&b, "    %s --> %s: %s / %s\n", id(from), id(to), e, actionNames[do])
			} else if to != from {
				fmt.Fprintf(&b, "    %s --> %s: %s\n", id(from), id(to), e)
			}
		}
	}
	return b.String()
}

func id(s fmt.Stringer) string { return strings.ReplaceAll(s.String(), " ", "_") }
