package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The tables of the page are between these lines.
const (
	beginTables = "<!-- made by make bench -->\n"
	endTables   = "<!-- end of what make bench made -->\n"
)

// writePage replaces the tables in the page, and the plots in the folder img beside it.
func writePage(page string, table []*measured, missing []string) error {
	b, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), beginTables)
	_, tail, ended := strings.Cut(rest, endTables)
	if !ok || !ended {
		return fmt.Errorf("%s has no lines %q and %q", page, beginTables, endTables)
	}
	var w strings.Builder
	writeTable(&w, table)
	writeChanges(&w, table)
	fmt.Fprintf(&w,
		"\nThe machine's noise (half the distance of the floor's quartiles, over its median): "+
			"%s.\n", noise(table))
	if len(missing) > 0 {
		fmt.Fprintf(&w, "Not installed: %s.\n", strings.Join(missing, ", "))
	}
	for _, p := range []struct{ name, title string }{
		{"exec.svg", startTitle}, {"stop.svg", stopTitle},
	} {
		svg := plot(p.title, table)
		if svg == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(page), "img", p.name), []byte(svg),
			0o644); err != nil {
			return err
		}
		fmt.Fprintf(&w, "\n![%s](img/%s)\n", p.title, p.name)
	}
	tables := strings.ReplaceAll(w.String(), "\n\n\n", "\n\n")
	return os.WriteFile(page, []byte(head+beginTables+tables+endTables+tail), 0o644)
}

// writeTable writes a line for each row, and the numbered notes below the table.
func writeTable(w *strings.Builder, table []*measured) {
	fmt.Fprintf(w, "\n| work | N | goal | %s |\n", strings.Join(columns[:], " | "))
	fmt.Fprintf(w, "|---|--:|---|%s\n", strings.Repeat("--:|", len(columns)))
	var notes []string
	for _, m := range table {
		fmt.Fprintf(w, "| %s | %d | %s |", m.heading(), m.n, m.goal)
		for _, name := range columns {
			text, note := m.cell(name)
			if note != "" {
				notes = append(notes, note)
				text += fmt.Sprintf(" [%d]", len(notes))
			}
			fmt.Fprintf(w, " %s |", text)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	for i, n := range notes {
		fmt.Fprintf(w, "%d. %s\n", i+1, n)
	}
}

// writeChanges writes a table that compares the build with an earlier one, if there was one.
func writeChanges(w *strings.Builder, table []*measured) {
	variants := []string{"", ", no proof", ", N blocks", ", exec"}
	var lines strings.Builder
	for _, m := range table {
		cells, measured := "", false
		for _, v := range variants {
			before, now := m.results["before"+v], m.results["supervisor"+v]
			if before == nil || now == nil || before.err != nil || now.err != nil {
				cells += " – | – |"
				continue
			}
			measured = true
			cells += fmt.Sprintf(" %s | %s%s |", figure(before.median()), figure(now.median()),
				change(before, now))
		}
		if measured {
			fmt.Fprintf(&lines, "| %s | %d |%s\n", m.heading(), m.n, cells)
		}
	}
	if lines.Len() == 0 {
		return
	}
	fmt.Fprint(w, "\nThe same run with an earlier build, *before*. The sign ≈ says that each "+
		"median is between the\nquartiles of the other build.\n\n| work | N |")
	for _, v := range variants {
		fmt.Fprintf(w, " before%s | now%s |", v, v)
	}
	fmt.Fprintf(w, "\n|---|--:|%s\n%s", strings.Repeat("--:|", 2*len(variants)), lines.String())
}

// change returns the change of the median in percent, or ≈ if it is within the quartiles of both.
func change(before, now *result) string {
	switch {
	case before.median() == 0:
		return ""
	case before.spans(now.median()) && now.spans(before.median()):
		return " ≈"
	}
	return fmt.Sprintf(" (%+.0f %%)", (now.median()/before.median()-1)*100)
}

// cell returns the cell of a peer, with the ratio to the row's base where the row measures a
// duration or has a base of its own.
func (m *measured) cell(name string) (text, note string) {
	x := m.results[name]
	switch {
	case x == nil:
		return "–", ""
	case x.err != nil:
		return "failed", fmt.Sprintf("%s, N=%d, %s: %v", m.title, m.n, name, x.err)
	}
	text = figure(x.median())
	if r := m.ratio(name); name != m.baseName() && r > 0 && (m.unit == "ms" || m.base != "") {
		text += " (" + figure(r) + " ×)"
	}
	if x.note != "" {
		note = fmt.Sprintf("%s, N=%d, %s: %s", m.title, m.n, name, x.note)
	}
	return text, note
}
