package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"sync"

	"tp0/supervisor/event"

	"tp0/supervisor/termtext"
)

//go:embed page.html
var pageSource string

// pageTemplate is parsed when it is first needed: most verbs and most supervisors write no page.
var pageTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"num": formatMS, "shown": escaped, "count": termtext.Count[int],
		"pct":    func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) },
		"column": func(s sheet, i int) column { return s.Columns[i] },
	}).Parse(pageSource))
})

// maxRows is the number of rows that the page shows of a table. The document in the page has all
// rows.
const maxRows = 500

// view is the document as the page shows it.
type view struct {
	*Document
	Name     string
	Tone     string // of the verdict: bad, warn, good
	Chart    chart
	Stack    []part // the bar of the budget
	Totals   []total
	Why      [][]string
	MoreWhy  int // explanations that are not shown
	Findings sheet
	Harmful  int     // findings that did harm
	Folded   []sheet // in elements that are closed at first
	JSON     template.JS
}

// part is a piece of the bar of the budget, in percent.
type part struct {
	TimeShare
	X, W  float64
	Shade int
}

// Page writes the document as an HTML page that needs no other file and no network. The page has no
// script: its script element is data, which `supervisor report` reads.
func Page(w io.Writer, d *Document) error {
	b, err := json.Marshal(d) // escapes <, > and &
	if err != nil {
		return err
	}
	v := view{
		Document: d, Name: d.name(), Chart: newChart(d), Totals: totals(d.Budget),
		Findings: d.findingSheet().first(maxRows), JSON: template.JS(b),
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
	return pageTemplate().Execute(w, v)
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
