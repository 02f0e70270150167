package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"tp0/supervisor/termtext"
)

// Text prints the document: who took the time and why, then the findings, then the other tables.
func Text(w io.Writer, d *Document) error {
	t := newTable(w)
	reason := d.Signal
	if reason == "" {
		reason = d.Reason
	}
	t.line(
		"%s: exit code %d after %s of %s ms", string(d.Verdict), d.Code, formatMS(d.Elapsed),
		formatMS(d.Deadline),
	)
	t.line(
		"%s on %s, %s at %s, supervisor %s, %s", d.name(), d.Host, reason,
		d.Began.Format("2006-01-02 15:04:05.000Z07:00"), d.Supervisor, d.Config,
	)
	t.line(
		"in this stop: %s, %d ended, %d killed, %s, %s, %d left open",
		termtext.Count(d.Stop.Processes, "process", "processes"), d.Stop.Ended, d.Stop.Killed,
		termtext.Count(d.Stop.Orphans, "orphan", "orphans"),
		termtext.Count(d.Stop.Findings, "finding", "findings"), d.Stop.Left,
	)
	if d.Stop.Unproven > 0 {
		unproven := termtext.Count(d.Stop.Unproven, "process", "processes")
		t.line("without an exact proof: %s", unproven)
	}
	if len(d.Failed) > 0 {
		t.line("failed: %s", strings.Join(d.Failed, ", "))
	}
	t.sheet(budgetSheet(d))
	t.why(d)
	for _, s := range []sheet{
		d.findingSheet(), d.warningSheet(), d.childSheet(), d.orphanSheet(), d.beforeSheet(),
		d.leftSheet(), d.totalSheet(),
	} {
		t.sheet(s)
	}
	if d.Omitted > 0 {
		t.line("\n%d entries are not in the report: there were too many.", d.Omitted)
	}
	return t.flush()
}

// budgetSheet has the part of each process in the time of the stop.
func budgetSheet(d *Document) sheet {
	s := sheet{Title: "Who took the time", Columns: columns(
		"who", "#pid", "#ms", "#share", "#signals",
	)}
	for _, t := range totals(d.Budget) {
		s.add(cells(
			t.Who, nonZero(t.Pid), formatMS(t.Took), fmt.Sprintf("%.1f %%", 100*t.Share),
			nonZero(t.Steps),
		))
	}
	return s
}

// table prints sheets to a terminal. Each has its own width of the columns.
type table struct {
	out  io.Writer
	w    *tabwriter.Writer // to text
	text bytes.Buffer
	err  error
}

func newTable(out io.Writer) *table {
	t := &table{out: out}
	t.w = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	return t
}

// flush aligns the rows since the last flush and writes them, without trailing spaces.
func (t *table) flush() error {
	if err := t.w.Flush(); t.err == nil {
		t.err = err
	}
	for line := range bytes.Lines(t.text.Bytes()) {
		if _, err := fmt.Fprintf(t.out, "%s\n", bytes.TrimRight(line, " \n")); t.err == nil {
			t.err = err
		}
	}
	t.text.Reset()
	return t.err
}

// line prints a line outside a table. Its texts are escaped.
func (t *table) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escaped(s)
		}
	}
	_ = t.flush()
	fmt.Fprintf(t.w, format+"\n", args...)
	_ = t.flush()
}

// row prints a row of a table. Its texts are escaped.
func (t *table) row(texts ...string) {
	for i, text := range texts {
		texts[i] = escaped(text)
	}
	fmt.Fprintln(t.w, strings.Join(texts, "\t"))
}

// sheet prints a table; its title is the heading of the first column. A cell with a second line
// has that line in a row of its own.
func (t *table) sheet(s sheet) {
	if len(s.Rows) == 0 {
		return
	}
	_ = t.flush()
	fmt.Fprintln(t.w)
	head := []string{strings.ToUpper(s.Title)}
	for _, c := range s.Columns[1:] {
		if !c.PageOnly {
			head = append(head, strings.ToUpper(c.Name))
		}
	}
	t.row(head...)
	for _, r := range s.Rows {
		var row, secondLine []string
		hasSecond := false
		for i, c := range r {
			if !s.Columns[i].PageOnly {
				row, secondLine = append(row, c.Text), append(secondLine, c.Below)
				hasSecond = hasSecond || c.Below != ""
			}
		}
		t.row(row...)
		if hasSecond {
			t.row(secondLine...)
		}
	}
}

// why prints the explanations, the slowest child first.
func (t *table) why(d *Document) {
	all, more := explanations(d)
	for i, e := range all {
		if i == 0 {
			t.line("\nWHY")
		}
		t.line("%s", e[0])
		for _, detail := range e[1:] {
			t.line("  %s", detail)
		}
	}
	if more > 0 {
		t.line("%d more explanations are in the document.", more)
	}
}
