package report

import (
	_ "embed"
	"fmt"

	"tp0/supervisor/event"
	"tp0/supervisor/termtext"
)

//go:embed page.css
var pageStyle string

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
}

// part is a piece of the bar of the budget, in percent.
type part struct {
	TimeShare
	X, W  float64
	Shade int
}

// icon returns the path of the symbol beside the verdict.
func (v *view) icon() string {
	switch v.Verdict {
	case event.Graceful:
		return "M3 9.5l4 4 8-9"
	case event.Leaky:
		return "M9 2.5c3.2 4 5 6.3 5 8.6a5 5 0 0 1-10 0c0-2.3 1.8-4.6 5-8.6z"
	}
	return "M4 4l10 10M14 4L4 14"
}

// html returns the page. document is the document as JSON, without <, > and &.
func (v *view) html(document string) string {
	var m markup
	v.addHead(&m)
	v.addHeader(&m)
	v.addCards(&m)
	v.addTimeline(&m)
	v.addBudget(&m)
	m.add("<section>\n<h2>Findings</h2>\n")
	if len(v.Findings.Rows) > 0 {
		m.addTable(v.Findings)
	} else {
		m.add(`<p class="soft">No finding: no leaked descriptor needs an action.</p>`)
	}
	m.add("\n</section>\n\n")
	for _, s := range v.Folded {
		m.add(`<details><summary>%s <span class="soft">%s</span></summary>`+"\n",
			s.Title, escaped(s.Summarize()))
		m.addTable(s)
		m.add("</details>\n")
	}
	m.addIf(v.Omitted > 0, `<p class="note">%d entries are not in this report: there were too `+
		"many.</p>", v.Omitted)
	m.add("\n</main>\n" + `<script type="application/json" id="report">`)
	m.WriteString(document)
	m.add("</script>\n</body>\n</html>\n")
	return m.String()
}

func (v *view) addHead(m *markup) {
	m.add(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; `+
		`style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s: %s</title>
<style>
`, escaped(v.Name), v.Verdict)
	m.WriteString(pageStyle)
	m.add("</style>\n</head>\n<body>\n<main>\n")
}

func (v *view) addHeader(m *markup) {
	began := escaped(v.Reason)
	if v.Signal != "" {
		began = v.Signal
	}
	m.add(`<header>
  <div>
    <h1>%s</h1>
    <p class="soft">%s on %s · %s · exit code %d</p>
    <p class="soft">`, escaped(v.Name), began, escaped(v.Host),
		v.Began.UTC().Format("2 January 2006, 15:04:05.000 UTC"), v.Code)
	m.addIf(v.Config != "", "%s · ", escaped(v.Config))
	m.add("supervisor %s</p>", escaped(v.Supervisor))
	for i, name := range v.Failed {
		if i == 0 {
			m.add("\n" + `    <p class="warn">failed: `)
		} else {
			m.add(", ")
		}
		m.add("%s", escaped(name))
	}
	m.addIf(len(v.Failed) > 0, "</p>")
	m.add(`
  </div>
  <span class="verdict %s"><svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true" `+
		`fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" `+
		`stroke-linejoin="round"><path d="%s"/></svg>%s</span>
</header>

`, v.Tone, v.icon(), v.Verdict)
}

func (v *view) addCards(m *markup) {
	m.add(`<div class="cards" aria-label="numbers of this stop alone">
  <div><div class="label">Time of the stop</div><b>%s <small>of %s ms</small></b>
    <svg class="gauge" aria-hidden="true"><rect width="100%%" height="6" rx="3" `+
		`fill="var(--grid)"/><rect width="%v%%" height="6" rx="3" fill="var(--r1)"/></svg></div>
  <div><div class="label">Findings</div><b`,
		formatMS(v.Elapsed), formatMS(v.Deadline), v.Chart.Used)
	m.addIf(v.Harmful > 0, ` class="bad"`)
	m.addIf(v.Harmful == 0 && v.Stop.Findings > 0, ` class="warn"`)
	m.add(`>%d <small>of %d left open</small></b>
    <div class="under">`, v.Stop.Findings, v.Stop.Left)
	m.addIf(v.Harmful > 0, `<span class="bad">%d lost data or clients</span> · `, v.Harmful)
	m.add("%d closed by children", v.Stop.Closed)
	m.addIf(v.Stop.Unproven > 0, ` · <span class="warn">%s not proven</span>`,
		termtext.Count(v.Stop.Unproven, "process", "processes"))
	m.add(`</div></div>
  <div><div class="label">Processes in the stop</div><b>%d <small>of %d ended</small></b>
    <div class="under">`, v.Stop.Ended, v.Stop.Processes)
	m.addIf(v.Stop.Killed > 0, `<span class="bad">%d killed</span>`, v.Stop.Killed)
	m.addIf(v.Stop.Killed == 0, "none killed")
	m.add(` · %s ended</div></div>
  <div><div class="label">Descriptors of the supervisor</div><b>%d <small>closed in the stop`+
		`</small></b>
    <div class="under">`, termtext.Count(v.Stop.Orphans, "orphan", "orphans"), v.Stop.OwnClosed)
	if b := v.Balance; b.Closed == b.Opened {
		m.add("since the start: all %d closed", b.Opened)
	} else {
		m.add(`<span class="warn">since the start: %d of %d closed</span>`, b.Closed, b.Opened)
	}
	m.add("</div></div>\n</div>\n\n")
}

// legend has the classes of the elements of a timeline, with their symbols and meanings.
var legend = [...]struct{ class, symbol, meaning string }{
	{"r1", barSymbol, "after the first signal"},
	{"r2", barSymbol, "after a further signal"},
	{"kill", barSymbol, "after SIGKILL"},
	{"descendant", barSymbol, "a descendant"},
	{"new", barSymbol, "a descendant forked in the stop"},
	{"self", barSymbol, "the supervisor's own time, for example an fd scan"},
	{"finding bad", tickSymbol, "finding: data or clients were lost"},
	{"finding warn", tickSymbol, "finding: left open"},
	{"left", tickSymbol, "left open, no finding"},
	{"closed", `<circle class="%s" cx="8" cy="7" r="3.5"/>`, "closed by the child before its exit"},
	{"own", lineSymbol, "closed by the supervisor"},
	{"deadline", lineSymbol, "the deadline"},
}

const (
	barSymbol  = `<rect class="bar %s" x="1" y="3" width="13" height="8" rx="2"/>`
	tickSymbol = `<path class="%s" transform="translate(8 7)" d="M0-6.5L6 5H-6z"/>`
	lineSymbol = `<line class="%s" x1="8" x2="8" y1="0" y2="14"/>`
)

func (v *view) addTimeline(m *markup) {
	c := &v.Chart
	m.add("<section style=\"--step: %v%%\">\n<h2>Timeline</h2>\n", c.Step)
	for _, l := range c.Lanes {
		m.addLane(l)
	}
	m.add(`<div class="lane axis"><span class="name soft">ms</span><svg aria-hidden="true">`)
	for _, k := range c.Marks {
		m.add(`<text x="%v%%" y="13">%s</text>`, k.X, k.Label)
	}
	m.add("</svg></div>\n")
	m.addIf(len(c.Folded) > 0, `<details class="in"><summary>%d faster lanes</summary>`+"\n",
		len(c.Folded))
	for _, l := range c.Folded {
		m.addLane(l)
	}
	m.addIf(len(c.Folded) > 0, "</details>\n")
	m.addIf(c.Hidden > 0,
		`<p class="note">The slowest lanes are drawn. %d more are not.</p>`, c.Hidden)
	m.add("\n<div class=\"legend\">\n")
	for _, l := range legend {
		if c.Has[l.class] || l.class == "deadline" && c.Deadline != 0 {
			m.add("<span><svg>"+l.symbol+"</svg>"+l.meaning+"</span>\n", l.class)
		}
	}
	m.add("</div>\n</section>\n\n")
}

func (v *view) addBudget(m *markup) {
	m.add(`<section>
<h2>Who took the time</h2>
<svg class="stack" role="img" aria-label="the time of the stop, from left to right">`)
	for _, p := range v.Stack {
		m.add(`<svg x="%v%%" width="%v%%" height="30"><rect class="k%d" width="100%%" height="30">`+
			`<title>%s: %s to %s ms, %s</title></rect>`, p.X, p.W, p.Shade,
			escaped(p.Who), formatMS(p.From), formatMS(p.To), formatShare(p.Share))
		m.addIf(p.W > 12, `<text x="10" y="19">%s · %s</text>`,
			escaped(p.Who), formatShare(p.Share))
		m.add("</svg>")
	}
	m.add(`</svg>
<div class="scroll"><table class="slim">
<thead><tr><th>who</th><th class="n">pid</th><th class="n">ms</th><th class="n">share</th>` +
		`<th class="n">signals</th></tr></thead>
<tbody>`)
	for _, t := range v.Totals {
		v.addTotal(m, t)
	}
	m.add(`</tbody></table></div>
<p class="note">Each of these processes was stopped after the one before it had ended, so their ` +
		`times add up to the time of the stop. A child that ended while a slower one was still ` +
		`running is not listed.</p>
`)
	m.addIf(len(v.Why) > 0, "<h3>Why</h3>\n<ul class=\"why\">")
	for _, why := range v.Why {
		m.add("<li>")
		for i, s := range why {
			m.addIf(i == 0, "%s", escaped(s))
			m.addIf(i > 0, `<span class="below-text">%s</span>`, escaped(s))
		}
		m.add("</li>\n")
	}
	m.addIf(len(v.Why) > 0, "</ul>")
	m.addIf(v.MoreWhy > 0, `<p class="note">%d more explanations are in the document, which `+
		"<code>supervisor report</code> reads.</p>", v.MoreWhy)
	m.add("\n</section>\n\n")
}

// addTotal writes the row of a process in the table of the time.
func (v *view) addTotal(m *markup, t total) {
	m.add(`<tr><td data-label="who"><span><svg class="dot" aria-hidden="true"><rect class="k%d" `+
		`width="10" height="10" rx="3"/></svg>%s`, t.Shade, escaped(t.Who))
	m.addIf(t.Kind == "orphan", ` <span class="soft">orphan</span>`)
	m.add(`</span></td><td class="n" data-label="pid">`)
	m.addIf(t.Pid != 0, "%d", t.Pid)
	m.add(`</td><td class="n" data-label="ms">%s</td><td class="n" data-label="share">%s</td>`+
		`<td class="n" data-label="signals">`, formatMS(t.Took), formatShare(t.Share))
	m.addIf(t.Steps != 0, "%d", t.Steps)
	m.add("</td></tr>\n")
}

// formatShare formats a part of the time.
func formatShare(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
