package report

import (
	"bytes"
	"fmt"
	"html"
)

// markup is HTML that is being written.
type markup struct{ bytes.Buffer }

// add writes a format of package fmt. Each argument that is no number is escaped: it can be the
// text of an element, or a part of an attribute in double quotes. It must not be a part of a script
// or of a style. A child may have chosen the text, so control characters must be escaped before, as
// [escaped] does.
func (m *markup) add(format string, args ...any) {
	for i, arg := range args {
		switch arg.(type) {
		case int, float64:
		default:
			args[i] = html.EscapeString(fmt.Sprint(arg))
		}
	}
	fmt.Fprintf(m, format, args...)
}

// addIf is add if a condition holds.
func (m *markup) addIf(condition bool, format string, args ...any) {
	if condition {
		m.add(format, args...)
	}
}

// addTable writes a table.
func (m *markup) addTable(s sheet) {
	m.add("<div class=\"scroll\"><table>\n<thead><tr>")
	for _, c := range s.Columns {
		m.add("<th")
		m.addIf(c.Class == "n", ` class="n"`)
		m.add(">%s</th>", c.Name)
	}
	m.add("</tr></thead>\n<tbody>")
	for _, row := range s.Rows {
		m.add("<tr>")
		for i, c := range row {
			m.add(`<td class="%s %s" data-label="%s">%s`,
				s.Columns[i].Class, c.Tone, s.Columns[i].Name, escaped(c.Text))
			m.addIf(c.Below != "", `<span class="below-text">%s</span>`, escaped(c.Below))
			m.add("</td>")
		}
		m.add("</tr>\n")
	}
	m.add("</tbody></table></div>")
	m.addIf(s.Omitted() > 0, `<p class="note">%d more are in the document, which `+
		`<code>supervisor report</code> reads.</p>`, s.Omitted())
}

// addLane writes a lane of the timeline.
func (m *markup) addLane(l lane) {
	m.add(`<div class="lane %s"><span class="name" title="%s %s">`, l.Kind, l.Name, l.Note)
	m.addIf(l.Kind == "descendant", "└ ")
	m.add("%s <small>", l.Name)
	m.addIf(l.Kind == "orphan", "orphan ")
	m.add(`%s</small></span><svg role="img" aria-label="%s: %s">`, l.Note, l.Name, l.Text)
	for _, b := range l.Bars {
		m.add(`<rect class="bar %s" x="%v%%" y="9" width="%v%%" height="10" rx="2">`+
			`<title>%s</title></rect>`, b.Class, b.X, b.W, b.Title)
	}
	for _, o := range l.Own {
		m.add(`<line class="own" x1="%v%%" x2="%v%%" y1="10" y2="23"><title>%s</title></line>`,
			o.X, o.X, o.Title)
	}
	for _, k := range l.Marks {
		m.add(`<line class="mark %s" x1="%v%%" x2="%v%%" y1="4" y2="24"><title>%s</title></line>`,
			k.Class, k.X, k.X, k.Title)
		m.addIf(k.Label != "", `<svg x="%v%%" style="background:none;overflow:visible" width="1" `+
			`height="28"><text x="%d" y="7" class="small %stext">%s</text></svg>`,
			k.X, k.LabelAt, k.Class, k.Label)
	}
	m.addIf(l.Deadline != 0, `<line class="deadline" x1="%v%%" x2="%v%%" y1="0" y2="28">`+
		`<title>the deadline</title></line>`, l.Deadline, l.Deadline)
	m.add(`<svg x="%v%%" width="1" height="28" style="background:none;overflow:visible">`, l.End)
	for _, t := range l.Ticks {
		if t.Class == "closed" {
			m.add(`<circle class="closed" cx="%d" cy="14" r="3.5"><title>%s</title></circle>`,
				t.At, t.Title)
		} else {
			m.add(`<path class="%s" transform="translate(%d 14)" d="M0-6.5L6 5H-6z">`+
				`<title>%s</title></path>`, t.Class, t.At, t.Title)
		}
	}
	m.add(`<text x="%d" y="18"`, l.TextAt)
	m.addIf(l.Tone != "", ` class="%stext"`, l.Tone)
	m.add(">%s</text></svg></svg></div>\n", l.Text)
}
