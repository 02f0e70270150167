package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/termtext"
)

type (
	// sheet is a table of the document, which both the page and the terminal show.
	sheet struct {
		Title   string
		Columns []column
		Rows    [][]cell
		Total   int    // number of rows; Rows can have fewer
		Summary string // shown beside the title; empty: the number of rows
	}
	column struct {
		Name, Class string // class n: a number; class long: a text that can wrap
		PageOnly    bool   // the terminal does not show it
	}
	cell struct {
		Text, Tone string // tone: bad, warn or empty
		Below      string // a second line
	}
)

// columns returns columns with the names of a list. "#" before a name marks a number, "~" a text
// that can wrap, "+" a number that only the page shows.
func columns(names ...string) []column {
	all := make([]column, len(names))
	for i, name := range names {
		switch name[0] {
		case '#':
			all[i] = column{Name: name[1:], Class: "n"}
		case '~':
			all[i] = column{Name: name[1:], Class: "long"}
		case '+':
			all[i] = column{Name: name[1:], Class: "n", PageOnly: true}
		default:
			all[i] = column{Name: name}
		}
	}
	return all
}

// cells returns cells without a tone.
func cells(texts ...string) []cell {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i].Text = text
	}
	return row
}

// add adds a row.
func (s *sheet) add(row []cell) {
	s.Rows = append(s.Rows, row)
	s.Total++
}

// first returns the sheet with n rows at most.
func (s sheet) first(n int) sheet {
	s.Rows = s.Rows[:min(len(s.Rows), n)]
	return s
}

// Summarize returns the numbers that the page shows while the table is folded.
func (s sheet) Summarize() string { return cmp.Or(s.Summary, strconv.Itoa(s.Total)) }

// Omitted is the number of rows that are not shown.
func (s sheet) Omitted() int { return s.Total - len(s.Rows) }

func (d *Document) findingSheet() sheet {
	s := sheet{Title: "Findings", Columns: columns(
		"child", "#pid", "#fd", "finding", "~harm and advice",
	)}
	for _, f := range d.Findings {
		child := f.Child
		if f.Process != "" {
			child += " (" + f.Process + ")"
		}
		row := cells(child, strconv.Itoa(f.Pid), strconv.Itoa(f.FD), f.Finding, f.Harm)
		row[3].Tone = FD{Finding: f.Finding}.tone()
		row[4].Below = f.Advice
		s.add(row)
	}
	return s
}

func (d *Document) warningSheet() sheet {
	s := sheet{Title: "Warnings", Columns: columns("warning", "#at ms", "child", "~reason")}
	for _, m := range d.Warnings {
		s.add(cells(m.What, formatMS(m.At), m.Child, m.Why))
	}
	return s
}

func (d *Document) childSheet() sheet {
	s := sheet{Title: "Children", Columns: columns(
		"child", "#pid", "signals", "#at ms", "#stop ms", "end", "#closed", "#left", "#findings",
		"proof", "+CPU ms", "+memory",
	)}
	s.Summary = fmt.Sprint(len(d.Children))
	found := map[string]int{}
	for _, f := range d.Findings {
		found[f.Child]++
	}
	for _, c := range d.Children {
		row := cells(
			c.Child, strconv.Itoa(c.Pid), signals(c.Steps), firstStepMS(c.Steps),
			optionalMS(c.Stop), endOf(c.Exit), strconv.Itoa(c.ClosedN),
			strconv.Itoa(c.LeftN), nonZero(found[c.Child]),
			string(c.Proof), formatMS(c.User+c.System), fmt.Sprintf("%d KiB", c.MaxRSS),
		)
		if c.Restarts > 0 {
			row[0].Below = fmt.Sprintf("restarted %d×", c.Restarts)
		}
		if c.Exit == nil || c.Exit.Signal == "SIGKILL" {
			row[5].Tone = "bad"
		}
		row[8].Tone = worstTone(c.Left)
		row[9].Below = c.NoProof
		s.add(row)
		for _, p := range c.Processes {
			s.add(cells(
				"└ "+p.Command, strconv.Itoa(p.Pid), "", "", "", endIfSeen(p.Exit),
				strconv.Itoa(p.ClosedN), strconv.Itoa(p.LeftN), "", string(p.Proof), "", "",
			))
		}
	}
	if n := s.Total - len(d.Children); n > 0 {
		s.Summary += " and " + termtext.Count(n, "descendant", "descendants")
	}
	return s
}

func (d *Document) orphanSheet() sheet {
	s := sheet{Title: "Orphans", Columns: columns(
		"command", "#pid", "signals", "#at ms", "#ended ms", "end",
	)}
	for _, o := range d.Orphans {
		s.add(cells(
			o.Command, strconv.Itoa(o.Pid), signals(o.Steps), firstStepMS(o.Steps),
			optionalMS(o.Ended), endOf(o.Exit),
		))
	}
	return s
}

func (d *Document) beforeSheet() sheet {
	s := sheet{
		Title: "Ended before the stop", Columns: columns("child", "#pid", "end", "#restarts"),
	}
	for _, b := range d.Before {
		s.add(cells(b.Child, strconv.Itoa(b.Pid), b.Exit.String(), nonZero(b.Restarts)))
	}
	return s
}

// leftSheet has the leaked descriptors that are no findings. In a report of an older supervisor,
// which has no findings, it has every leaked descriptor.
func (d *Document) leftSheet() sheet {
	s := fdSheet("Left open, no finding")
	for _, c := range d.Children {
		for _, f := range counted(c.Left) {
			if f.Finding == "" {
				s.addFD(c.Child, c.Pid, f)
			}
		}
	}
	return s.sheet()
}

func (d *Document) closedSheet() sheet {
	s := fdSheet("Closed by the children")
	for _, c := range d.Children {
		for _, f := range counted(c.Closed) {
			s.addFD(c.Child, c.Pid, f)
		}
	}
	return s.sheet()
}

func (d *Document) ownSheet() sheet {
	s := fdSheet("Closed by the supervisor")
	for _, f := range d.Own {
		s.addFD(self, 0, f)
	}
	return s.sheet()
}

// uncountedSheet has descriptors that do not count: standard streams, inherited ones, and those of
// runtimes.
func (d *Document) uncountedSheet() sheet {
	s := fdSheet("Not counted")
	for _, c := range d.Children {
		for _, f := range slices.Concat(c.Closed, c.Left) {
			if f.Uncounted != "" {
				s.addFD(c.Child, c.Pid, f)
			}
		}
	}
	return s.sheet()
}

// totalSheet has the totals since the start of the supervisor, beside the numbers of this stop.
func (d *Document) totalSheet() sheet {
	b := d.Balance
	s := sheet{Title: "Since the start", Columns: columns("of the supervisor", "~total")}
	s.Summary = termtext.Count(b.Spawned, "process", "processes")
	s.add(cells("processes", fmt.Sprintf("%d started, %d reaped", b.Spawned, b.Reaped)))
	s.add(cells("orphans", fmt.Sprintf("%d reaped", b.Orphans)))
	s.add(cells("killed", fmt.Sprintf("%d before this stop, %d in it", b.KilledBefore, b.Killed)))
	s.add(cells("leaked by children", fmt.Sprintf(
		"%d before this stop, %d in it", b.LeftBefore, b.Left,
	)))
	s.add(cells("supervisor's descriptors", fmt.Sprintf(
		"%d opened, %d closed", b.Opened, b.Closed,
	)))
	return s
}

// fdRows builds a table of descriptors, and counts their kinds.
type fdRows struct {
	table sheet
	kinds map[string]int // number of descriptors of a kind
}

func fdSheet(title string) *fdRows {
	return &fdRows{
		sheet{Title: title, Columns: columns(
			"owner", "#pid", "#fd", "kind", "~target", "~details", "proof",
		)},
		map[string]int{},
	}
}

// addFD adds a descriptor of a process. f.Pid is set if a descendant had it.
func (s *fdRows) addFD(owner string, pid int, f FD) {
	s.kinds[f.Kind]++
	notes := f.notes()
	if f.Uncounted != "" {
		notes = append([]string{f.Uncounted}, notes...)
	}
	s.table.add(cells(
		owner, nonZero(cmp.Or(f.Pid, pid)), strconv.Itoa(f.FD), f.Kind, f.Target,
		strings.Join(notes, ", "), string(f.Proof),
	))
}

// sheet returns the table. Its summary has the kinds, the most frequent one first.
func (s *fdRows) sheet() sheet {
	names := make([]string, 0, len(s.kinds))
	for name := range s.kinds {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(s.kinds[b]-s.kinds[a], strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, s.kinds[name])
	}
	s.table.Summary = fmt.Sprintf("%d: %s", s.table.Total, strings.Join(names, ", "))
	return s.table
}
