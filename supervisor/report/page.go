package report

import (
	"encoding/json"
	"io"

	"tp0/supervisor/event"
)

// maxRows is the number of rows that the page shows of a table. The document in the page has all
// rows.
const maxRows = 500

// Page writes the document as an HTML page that needs no other file and no network. The page has no
// script: its script element is data, which `supervisor report` reads.
func Page(w io.Writer, d *Document) error {
	b, err := json.Marshal(d) // escapes <, > and &
	if err != nil {
		return err
	}
	v := view{
		Document: d, Name: d.name(), Chart: newChart(d), Totals: totals(d.Budget),
		Findings: d.findingSheet().first(maxRows),
	}
	v.Why, v.MoreWhy = explanations(d)
	for _, f := range d.Findings {
		if harmful(f.Finding) {
			v.Harmful++
		}
	}
	for _, s := range []sheet{
		d.warningSheet(), d.childSheet(), d.orphanSheet(), d.beforeSheet(), d.leftSheet(),
		d.closedSheet(), d.ownSheet(), d.uncountedSheet(), d.totalSheet(),
	} {
		if len(s.Rows) > 0 {
			v.Folded = append(v.Folded, s.first(maxRows))
		}
	}
	v.Tone = v.tone()
	v.setShades()
	_, err = io.WriteString(w, v.html(string(b)))
	return err
}

// tone returns the class of the verdict. Only harm is bad: a process was killed, or data was lost.
func (v *view) tone() string {
	switch {
	case v.Verdict == event.Forced || v.Harmful > 0:
		return "bad"
	case v.Verdict == event.Leaky:
		return "warn"
	}
	return "good"
}

// setShades makes the bar of the budget. Each process has a colour of its own, or shares it with
// the fourth one after it.
func (v *view) setShades() {
	shades := map[TimeShare]int{}
	for i := range v.Totals {
		t := &v.Totals[i]
		if t.Kind != self {
			t.Shade = 1 + len(shades)%4
			shades[t.identity()] = t.Shade
		}
	}
	for _, s := range v.Budget {
		v.Stack = append(
			v.Stack,
			part{
				s, percent(s.From, v.Elapsed), percent(s.To-s.From, v.Elapsed),
				shades[s.identity()],
			},
		)
	}
}
