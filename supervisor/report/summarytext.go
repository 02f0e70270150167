package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"tp0/supervisor/termtext"
)

// SummaryText prints a summary: the whole stops, then a table of the children, then the findings.
func SummaryText(w io.Writer, s *Summary) error {
	t := newTable(w)
	t.line("%s", s.head())
	const layout = "2006-01-02 15:04:05Z07:00"
	t.line("from %s to %s", s.First.Format(layout), s.Last.Format(layout))
	t.line("a stop took %s ms (p50), %s ms (p95), %s ms at worst in %s", formatMS(s.Stop.P50),
		formatMS(s.Stop.P95), formatMS(s.Stop.Worst), s.Stop.WorstIn)
	t.sheet(s.childSheet())
	t.sheet(findingSummarySheet("Findings", s.Findings))
	if s.Omitted > 0 {
		t.line("\n%d entries are not in the reports: there were too many.", s.Omitted)
	}
	return t.flush()
}

// head returns the number of stops, their configurations and their verdicts.
func (s *Summary) head() string {
	return fmt.Sprintf("%s of %s: %d graceful, %d leaky, %d forced",
		termtext.Count(s.Reports, "stop", "stops"), strings.Join(s.Configs, ", "), s.Graceful,
		s.Leaky, s.Forced)
}

func (s *Summary) childSheet() sheet {
	t := sheet{Title: "Children", Columns: columns(
		"child", "#n", "#p50 ms", "#p95 ms", "#worst ms", "#critical path", "#forced",
		"#with findings", "worst in",
	)}
	for _, c := range s.Children {
		t.add(cells(
			c.Child, strconv.Itoa(c.N), c.optional(c.P50), c.optional(c.P95), c.optional(c.Worst),
			nonZero(c.Critical), nonZero(c.Forced), nonZero(c.Leaky), c.WorstIn,
		))
	}
	return t
}

// optional returns a duration as text. Without a measured stop it is an empty cell.
func (t Times) optional(ms float64) string {
	if t.N == 0 {
		return ""
	}
	return formatMS(ms)
}

func findingSummarySheet(title string, all []FindingSummary) sheet {
	t := sheet{Title: title, Columns: columns("child", "finding", "~target", "#stops", "~advice")}
	for _, f := range all {
		child := f.Child
		if f.Process != "" {
			child += " (" + f.Process + ")"
		}
		t.add(cells(child, f.Finding, f.Target, strconv.Itoa(f.Stops), f.Advice))
	}
	return t
}

// ComparisonText prints a comparison: the whole stops, then a table of the children, then the
// findings of one set only. nameA and nameB are the files of the sets.
func ComparisonText(w io.Writer, c *Comparison, nameA, nameB string) error {
	t := newTable(w)
	t.line("A %s: %s", nameA, c.A.head())
	t.line("B %s: %s", nameB, c.B.head())
	t.line("the whole stop: %s, p50 %s ms, p95 %s ms, worst %s ms", changeText(c.Stop),
		arrow(formatMS(c.A.Stop.P50), formatMS(c.B.Stop.P50)),
		arrow(formatMS(c.A.Stop.P95), formatMS(c.B.Stop.P95)),
		arrow(formatMS(c.A.Stop.Worst), formatMS(c.B.Stop.Worst)))
	t.sheet(c.childSheet())
	t.sheet(findingSummarySheet("New findings", c.NewFindings))
	t.sheet(findingSummarySheet("Gone findings", c.GoneFindings))
	if len(c.NewFindings) == 0 {
		t.line("\nno new findings")
	}
	return t.flush()
}

func (c *Comparison) childSheet() sheet {
	t := sheet{Title: "Children", Columns: columns(
		"child", "change", "n", "p50 ms", "p95 ms", "worst ms", "forced", "with findings",
	)}
	before, after := c.A.byName(), c.B.byName()
	for _, x := range c.Children {
		a, b := before[x.Child], after[x.Child]
		t.add(cells(
			x.Child, changeText(x.Change), arrow(strconv.Itoa(a.N), strconv.Itoa(b.N)),
			arrow(a.optional(a.P50), b.optional(b.P50)),
			arrow(a.optional(a.P95), b.optional(b.P95)),
			arrow(a.optional(a.Worst), b.optional(b.Worst)),
			arrow(a.part(a.Forced), b.part(b.Forced)), arrow(a.part(a.Leaky), b.part(b.Leaky)),
		))
	}
	return t
}

// part returns a number of the stops in which the instance had a process, as "1 of 12". It is empty
// if there is none.
func (c ChildSummary) part(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d", n, c.Reports)
}

func changeText(c Change) string { return strings.ReplaceAll(string(c), "_", " ") }

// arrow returns two values as "a → b", or one if they are equal. An empty value becomes "-".
func arrow(a, b string) string {
	if a == b {
		return a
	}
	if a == "" {
		a = "-"
	}
	if b == "" {
		b = "-"
	}
	return a + " → " + b
}
