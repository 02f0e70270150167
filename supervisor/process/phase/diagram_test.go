package phase

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the diagrams into docs/architecture.md")

// TestDiagrams checks that the diagrams in the documentation show the tables.
func TestDiagrams(t *testing.T) {
	const path = "../../../docs/architecture.md"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := place(t, place(t, string(b), "phases", drawPhases()), "delivery", drawDelivery())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s does not show the tables; run the test with -update", path)
	}
}

// place puts a diagram into its place in the document.
func place(t *testing.T, doc, name, diagram string) string {
	t.Helper()
	begin := "<!-- " + name + ": go test ./supervisor/process/phase -update -->\n"
	end := "<!-- end of " + name + " -->\n"
	head, rest, ok := strings.Cut(doc, begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("there is no place for the diagram of %s", name)
	}
	return head + begin + "```mermaid\nstateDiagram-v2\n" + diagram + "```\n" + end + tail
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
