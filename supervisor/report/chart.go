package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"tp0/supervisor/event"
)

const (
	maxLanes       = 200 // the slowest lanes are drawn
	unfoldedLanes  = 40  // the slowest of them are not folded
	maxDescendants = 8   // of one process that are drawn
	maxTicks       = 14  // descriptors of one lane that are drawn
)

// chart is the timeline. Positions along it are in percent of its width.
type chart struct {
	Lanes    []lane
	Folded   []lane          // in an element that is closed at first
	Hidden   int             // lanes that are not drawn
	Step     float64         // between two lines of the axis
	Marks    []mark          // of the axis
	Deadline float64         // its position; 0: beyond the end
	Has      map[string]bool // the classes of the drawn elements, for the legend
	Used     float64         // part of the deadline, in percent
	until    float64         // the time at the right end, in ms
}

type (
	lane struct {
		Kind, Name, Note string
		Bars             []bar
		Marks            []mark
		Own              []mark // descriptors of the supervisor, when they were closed
		End              float64
		Ticks            []tick // descriptors of the process, behind its end
		More             int    // ticks that are not drawn
		TextAt           int    // px behind the end
		Text             string
		Tone             string  // of the text: warn, bad
		Deadline         float64 // its position; 0: beyond the end
		took             float64
	}
	bar struct {
		X, W         float64
		Class, Title string
	}
	mark struct {
		X            float64
		Class, Label string
		Title        string
		LabelAt      int // px behind X
	}
	tick struct {
		At           int // px behind the end
		Class, Title string
	}
)

func newChart(d *Document) chart {
	c := chart{until: max(d.Elapsed, 0.001), Used: percent(d.Elapsed, max(d.Deadline, 0.001))}
	if d.Deadline > 0 && d.Deadline <= 1.3*c.until {
		c.until = max(c.until, d.Deadline)
		c.Deadline = c.x(d.Deadline)
	}
	c.axis()
	c.Lanes = []lane{c.supervisorLane(d)}
	c.drawGroups(c.groups(d))
	for _, lanes := range [][]lane{c.Lanes, c.Folded} {
		for i := range lanes {
			lanes[i].Deadline = c.Deadline
		}
	}
	c.Has = map[string]bool{"own": len(c.Lanes[0].Own) > 0}
	for _, l := range slices.Concat(c.Lanes, c.Folded) {
		for _, b := range l.Bars {
			c.Has[b.Class] = true
		}
		for _, t := range l.Ticks {
			c.Has[t.Class] = true
		}
	}
	return c
}

func (c *chart) x(ms float64) float64 {
	return percent(ms, c.until)
}

// axis adds four to ten lines at round numbers of ms.
func (c *chart) axis() {
	step := math.Pow(10, math.Floor(math.Log10(c.until)))
	for _, f := range []float64{0.1, 0.2, 0.5, 1} {
		if c.until/(step*f) <= 7 {
			step *= f
			break
		}
	}
	c.Step = math.Round(1e7*step/c.until) / 1e5
	for i := 0; float64(i)*step <= c.until*0.97 && i < 20; i++ {
		c.Marks = append(
			c.Marks, mark{X: c.x(float64(i) * step), Label: fmt.Sprintf("%.4g", float64(i)*step)},
		)
	}
}

// chartGroup is a process of a child with its descendants, or an orphan.
type chartGroup struct {
	took  float64
	lanes int
	draw  func() []lane
}

func (c *chart) groups(d *Document) (all []chartGroup) {
	for i := range d.Children {
		x := &d.Children[i]
		descendants := min(len(x.Processes), maxDescendants)
		c.Hidden += len(x.Processes) - descendants
		all = append(
			all,
			chartGroup{
				x.took(d.Elapsed), 1 + descendants,
				func() []lane { return c.childLanes(x, d.Elapsed) },
			},
		)
	}
	for i := range d.Orphans {
		x := &d.Orphans[i]
		all = append(
			all,
			chartGroup{
				stopDuration(x.Steps, x.Ended, d.Elapsed), 1,
				func() []lane { return []lane{c.orphanLane(x, d.Elapsed)} },
			},
		)
	}
	return all
}

// drawGroups draws the groups that took the longest, in their order. Only the slowest of them are
// not folded, so that the timeline is short.
func (c *chart) drawGroups(groups []chartGroup) {
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(
		order, func(a, b int) int { return cmp.Compare(groups[b].took, groups[a].took) },
	)
	lanes := make([]*[]lane, len(groups)) // the list for a group; nil: it is not drawn
	n := 0
	for _, i := range order {
		if n += groups[i].lanes; n > maxLanes {
			break
		}
		if lanes[i] = &c.Lanes; n > unfoldedLanes {
			lanes[i] = &c.Folded
		}
	}
	for i, g := range groups {
		if lanes[i] == nil {
			c.Hidden += g.lanes
		} else {
			*lanes[i] = append(*lanes[i], g.draw()...)
		}
	}
}

func (c *chart) supervisorLane(d *Document) lane {
	l := lane{
		Kind: self, Name: self, End: c.x(d.Elapsed), TextAt: 10, Text: formatMS(d.Elapsed) + " ms",
	}
	for _, s := range d.Budget {
		if s.Kind == self {
			l.Bars = append(
				l.Bars,
				bar{
					c.x(s.From), c.x(s.To) - c.x(s.From), "self",
					fmt.Sprintf("its own time: %s to %s ms", formatMS(s.From), formatMS(s.To)),
				},
			)
		}
	}
	for _, s := range d.Signals[:min(len(d.Signals), maxTicks)] {
		title := s.What + " received at " + formatMS(s.At) + " ms"
		if s.Why != "" {
			title += ": " + escaped(s.Why)
		}
		l.Marks = append(
			l.Marks,
			mark{X: c.x(s.At), Class: "in", Label: shortSignal(s.What), Title: title, LabelAt: 4},
		)
	}
	for _, f := range d.Own[:min(len(d.Own), maxLanes)] {
		l.Own = append(
			l.Own,
			mark{
				X: c.x(f.At),
				Title: fmt.Sprintf(
					"closed at %s ms: fd %d, %s %s", formatMS(f.At), f.FD, escaped(f.Kind),
					escaped(f.Target),
				),
			},
		)
	}
	return l
}

func (c *chart) childLanes(x *Child, elapsed float64) []lane {
	l := lane{Kind: "child", Name: escaped(x.Child), Note: fmt.Sprint(x.Pid)}
	c.drawSteps(&l, x.Steps, x.Ended, elapsed)
	l.took = x.took(elapsed)
	if x.Stop != nil && x.Ended != nil && len(x.Steps) > 0 {
		if asked, sent := c.x(*x.Ended-*x.Stop), c.x(x.Steps[0].At); sent-asked > 0.3 {
			l.Bars = append(
				l.Bars,
				bar{
					asked, sent - asked, "self",
					"the supervisor read its descriptors before the signal",
				},
			)
		}
	}
	c.drawTicks(&l, counted(x.Closed), counted(x.Left), x.ClosedN+x.LeftN)
	c.writeText(&l, x.Exit)
	if tone := worstTone(x.Left); tone != "" && l.Tone == "" {
		l.Tone = tone
	}
	group := []lane{l}
	for i := range x.Processes[:min(len(x.Processes), maxDescendants)] {
		group = append(group, c.descendantLane(&x.Processes[i]))
	}
	return group
}

func (c *chart) descendantLane(p *Process) lane {
	l := lane{
		Kind: "descendant", Name: escaped(p.Command), Note: fmt.Sprint(p.Pid), End: c.x(p.Ended),
	}
	from := max(0, p.Ended-p.Lifetime)
	class := "descendant"
	if p.InStop {
		class = "new"
	}
	l.Bars = []bar{
		{
			c.x(from), l.End - c.x(from), class,
			fmt.Sprintf("%s: ended at %s ms, %s", l.Name, formatMS(p.Ended), endIfSeen(p.Exit)),
		},
	}
	c.drawTicks(&l, nil, nil, 0)
	c.writeText(&l, p.Exit)
	return l
}

func (c *chart) orphanLane(o *Orphan, elapsed float64) lane {
	l := lane{Kind: "orphan", Name: escaped(o.Command), Note: fmt.Sprint(o.Pid)}
	c.drawSteps(&l, o.Steps, o.Ended, elapsed)
	c.drawTicks(&l, nil, nil, 0)
	c.writeText(&l, o.Exit)
	return l
}

// drawSteps draws a bar from each signal to the next one, and from the last one to the end.
func (c *chart) drawSteps(l *lane, steps []Step, ended *float64, elapsed float64) {
	to := elapsed
	if ended != nil {
		to = *ended
	}
	l.End = c.x(to)
	for i, r := range steps {
		until := to
		if i+1 < len(steps) {
			until = steps[i+1].At
		}
		class := "r1"
		switch {
		case r.Signal == "SIGKILL":
			class, l.Tone = "kill", "bad"
		case r.Step > 1:
			class = "r2"
		}
		l.Bars = append(
			l.Bars,
			bar{
				c.x(r.At), max(0, c.x(until)-c.x(r.At)), class,
				fmt.Sprintf(
					"%s: %s at %s ms, then %s ms", l.Name, r.Signal, formatMS(r.At),
					formatMS(until-r.At),
				),
			},
		)
		m := mark{
			X: c.x(r.At), Class: class, Title: r.Signal + " at " + formatMS(r.At) + " ms",
			LabelAt: -3,
		}
		if i > 0 && (len(l.Marks) == 0 || m.X-l.Marks[i-1].X > 4) {
			m.Label = shortSignal(r.Signal)
		}
		l.Marks = append(l.Marks, m)
	}
	l.took = stopDuration(steps, ended, elapsed)
}

// drawTicks draws descriptors behind the end of the lane: first findings, then other leaked
// descriptors, then closed ones. n is the number of all of them.
func (c *chart) drawTicks(l *lane, closed, left []FD, n int) {
	add := func(class, what string, f FD) {
		if len(l.Ticks) < maxTicks {
			l.Ticks = append(l.Ticks, tick{
				10 + 11*len(l.Ticks), class,
				fmt.Sprintf("%s: fd %d, %s %s", what, f.FD, escaped(f.Kind), escaped(f.Target)),
			})
		}
	}
	for _, tone := range []string{"bad", "warn", ""} {
		for _, f := range left {
			if f.tone() == tone {
				add(leftClass(tone), leftWords(f), f)
			}
		}
	}
	for _, f := range closed {
		add("closed", "closed by "+l.Name, f)
	}
	l.More = max(0, n-len(l.Ticks))
	l.TextAt = 8 + 11*len(l.Ticks)
}

func leftClass(tone string) string {
	if tone == "" {
		return "left"
	}
	return "finding " + tone
}

func leftWords(f FD) string {
	if f.Finding == "" {
		return "left open"
	}
	return "finding " + escaped(f.Finding)
}

// writeText writes the text behind the end of a lane: its time, and how the process ended.
func (c *chart) writeText(l *lane, e *event.Exit) {
	if l.More > 0 {
		l.Text = fmt.Sprintf("+%d  ", l.More)
	}
	if l.took > 0 {
		l.Text += formatMS(l.took) + " ms"
	}
	switch {
	case e == nil && l.Kind != "descendant":
		l.Text, l.Tone = l.Text+" survived", "bad"
	case e != nil && e.Signal != "":
		l.Text += " " + shortSignal(e.Signal)
	case e != nil && e.Code != 0:
		l.Text += fmt.Sprintf(" code %d", e.Code)
	}
}
