package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
)

//go:embed page.html
var source string

// parsed is made when it is needed: most verbs, and most runs, need no page.
var parsed = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"num": formatMS, "shown": escaped, "signals": signals, "first": first, "maybe": maybe,
		"ended": end,
		"notes": func(f FD) string { return strings.Join(f.notes(), ", ") },
		"pct":   func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) },
	}).Parse(source))
})

// What a page shows of the longest lists; the document in it has all.
const (
	mostRows = 500
	openRows = 40 // a longer table is folded
)

// view is the document as the page shows it.
type view struct {
	*Document
	Chart    chart
	Stack    []part // the budget, drawn
	Totals   []total
	Left     []fdRow
	Rest     []fdRow // the other descriptors
	Known    bool    // something is known of them beside their target
	Omitted  int     // of the rows of both
	Closed   int     // descriptors that children closed themselves
	Children []Child
	Folded   bool
	Hidden   int // children beyond mostRows
	JSON     template.JS
}

// part is a piece of the bar of the budget, in percent.
type part struct {
	TimeShare
	X, W  float64
	Shade int
}

// OrphanRows and BeforeRows are as many as the page shows.
func (v view) OrphanRows() []Orphan { return v.Orphans[:min(len(v.Orphans), mostRows)] }

// BeforeRows: see OrphanRows.
func (v view) BeforeRows() []EarlierEnd { return v.Before[:min(len(v.Before), mostRows)] }

// CPU is the time that a run used, of both kinds.
func (c Child) CPU() float64 { return c.User + c.System }

// fdRow is a descriptor in a table.
type fdRow struct {
	Owner string
	Pid   int
	FD
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
		Document: d, Chart: newChart(d), Totals: totals(d.Budget), Children: d.Children,
		Folded: len(d.Children) > openRows, JSON: template.JS(b),
	}
	if v.Hidden = max(0, len(d.Children)-mostRows); v.Hidden > 0 {
		v.Children = d.Children[:mostRows]
	}
	v.descriptors()
	v.paint()
	return parsed().Execute(w, v)
}

// descriptors sorts out what was left open.
func (v *view) descriptors() {
	add := func(to *[]fdRow, r fdRow) {
		if len(*to) < mostRows {
			*to = append(*to, r)
		} else {
			v.Omitted++
		}
	}
	for _, c := range v.Document.Children {
		v.Closed += c.ClosedN
		for _, f := range c.Left {
			to := &v.Left
			if f.Uncounted != "" {
				to = &v.Rest
			} else {
				v.Known = v.Known || len(f.notes()) > 0
			}
			add(to, fdRow{c.Child, or(f.Pid, c.Pid), f})
		}
		for _, f := range c.Closed {
			add(&v.Rest, fdRow{c.Child, or(f.Pid, c.Pid), f})
		}
	}
	for _, f := range v.Own {
		add(&v.Rest, fdRow{self, 0, f})
	}
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
