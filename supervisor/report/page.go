package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"sync"

	"tp0/supervisor/event"
)

//go:embed page.html
var source string

// parsed is made when it is needed: most verbs, and most runs, need no page.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"num": formatMS, "shown": escaped, "plural": plural, "processes": processes,
		"pct":    func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) },
		"column": func(s sheet, i int) column { return s.Columns[i] },
	}).Parse(source))
})

// mostRows is the number of rows that the page shows of a table; the document in it has all.
const mostRows = 500

// view is the document as the page shows it.
type view struct {
	*Document
	Name     string
	Tone     string // of the verdict: bad, warn, good
	Chart    chart
	Stack    []part // the budget, drawn
	Totals   []total
	Why      [][]string
	MoreWhy  int // explanations that are not shown
	Findings sheet
	Harmful  int     // findings that did harm
	Folded   []sheet // in an element that the reader opens
	JSON     template.JS
}

// part is a piece of the bar of the budget, in percent.
type part struct {
	TimeShare
	X, W  float64
	Shade int
}

// Page writes the document as one page that needs nothing else. It has no
// script; the element that looks like one is data, which `supervisor report`
// reads.
func Page(w io.Writer, d *Document) error {
	b, err := json.Marshal(d) // escapes <, > and &
	if err != nil {
		return err
	}
	v := view{
		Document: d, Name: d.name(), Chart: newChart(d), Totals: totals(d.Budget),
		Findings: d.findingSheet().first(mostRows), JSON: template.JS(b),
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
			v.Folded = append(v.Folded, s.first(mostRows))
		}
	}
	v.Tone = v.tone()
	v.paint()
	return parsed().Execute(w, v)
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

// paint draws the budget, with a colour for each who took much of it.
func (v *view) paint() {
	shades := map[TimeShare]int{}
	for i := range v.Totals {
		t := &v.Totals[i]
		if t.Kind != self {
			t.Shade = 1 + len(shades)%4
			shades[t.who()] = t.Shade
		}
	}
	for _, s := range v.Budget {
		v.Stack = append(
			v.Stack,
			part{s, percent(s.From, v.Elapsed), percent(s.To-s.From, v.Elapsed), shades[s.who()]},
		)
	}
}
