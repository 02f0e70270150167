package phase

import (
	"testing"

	"tp0/supervisor/fixture/machine"
	"tp0/supervisor/fixture/section"
)

// TestDiagrams compares the diagrams in docs/architecture.md with the tables.
func TestDiagrams(t *testing.T) {
	for name, diagram := range map[string]string{
		"phases": phaseDiagram(), "delivery": deliveryDiagram(),
	} {
		section.Check(t, "../../../docs/architecture.md", name, "./supervisor/process/phase",
			diagram)
	}
}

func phaseDiagram() string {
	var d machine.Diagram
	d.Start(AtBarrier)
	d.Start(Running)
	for _, from := range allPhases() {
		for _, c := range allChanges() {
			if to := from.Next(c); to != from {
				d.Arrow(from, to, c.String(), "")
			}
		}
	}
	d.End(Over)
	return d.String()
}

func deliveryDiagram() string {
	var d machine.Diagram
	d.Start(NoStop)
	for _, from := range allStates() {
		for _, e := range allEvents() {
			if to, do := Next(from, e); to != from {
				d.Arrow(from, to, e.String(), do.String())
			}
		}
	}
	return d.String()
}
