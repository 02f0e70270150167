package main

import (
	"fmt"
	"math"
	"strings"
)

// The size of a plot and its margins, in pixels.
const (
	plotWidth, plotHeight   = 760, 420
	leftMargin, rightMargin = 60, 150
	topMargin, bottomMargin = 40, 45
)

// colours has a colour for each of the columns. A column without one is not visible in the plot.
var colours = [len(columns)]string{"#888888", "#444444", "#d45d8c", "#0a7d4b", "#5fbf8f", "#b5d99c",
	"#1f9e9e", "#c23b22", "#d98e04", "#3b6fb5", "#7b4fa3", "#a0522d"}

// A plotPoint is a median.
type plotPoint struct{ children, ms float64 }

// plot returns an SVG of the rows with a title: the medians by the number of children, both axes
// logarithmic. It returns "" without a row.
func plot(title string, table []*measured) string {
	series := map[string][]plotPoint{}
	least, most := math.Inf(1), 0.0
	for _, m := range table {
		if m.title != title {
			continue
		}
		for name, x := range m.results {
			if x.err == nil && x.median() > 0 {
				series[name] = append(series[name], plotPoint{float64(m.n), x.median()})
				least, most = min(least, x.median()), max(most, x.median())
			}
		}
	}
	if len(series) == 0 {
		return ""
	}
	a := axes{math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))}
	var w strings.Builder
	a.draw(&w, title)
	line := 0
	for i, name := range columns {
		if points := series[name]; len(points) > 0 {
			a.curve(&w, points, colours[i])
			y := topMargin + 10 + line*18
			fmt.Fprintf(&w, `<path d="M%d %dh18" stroke="%s" stroke-width="3"/>`,
				plotWidth-rightMargin+12, y, colours[i])
			fmt.Fprintf(&w, `<text x="%d" y="%d">%s</text>`+"\n", plotWidth-rightMargin+36, y+4,
				name)
			line++
		}
	}
	w.WriteString("</svg>\n")
	return w.String()
}

// axes are the powers of ten at both ends of the vertical axis. The horizontal one is 1 to 1,000.
type axes struct{ low, high float64 }

func (a axes) x(children float64) float64 {
	return leftMargin + math.Log10(children)/3*(plotWidth-leftMargin-rightMargin)
}

func (a axes) y(ms float64) float64 {
	return plotHeight - bottomMargin -
		(math.Log10(ms)-a.low)/(a.high-a.low)*(plotHeight-topMargin-bottomMargin)
}

func (a axes) draw(w *strings.Builder, title string) {
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `+
		`font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(w, `<rect width="%d" height="%d" fill="white"/>`, plotWidth, plotHeight)
	fmt.Fprintf(w, `<text x="%d" y="22" font-size="15">%s, ms</text>`+"\n", leftMargin, title)
	for e := a.low; e <= a.high; e++ {
		y := a.y(math.Pow(10, e))
		fmt.Fprintf(w, `<path d="M%d %.1fH%d" stroke="#ddd"/>`, leftMargin, y,
			plotWidth-rightMargin)
		fmt.Fprintf(w, `<text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", leftMargin-6, y+4,
			math.Pow(10, e))
	}
	for _, n := range []float64{1, 10, 100, 1000} {
		fmt.Fprintf(w, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", a.x(n),
			plotHeight-bottomMargin+18, n)
	}
	fmt.Fprintf(w, `<text x="%.1f" y="%d" text-anchor="middle">children</text>`+"\n",
		(leftMargin+plotWidth-rightMargin)/2.0, plotHeight-8)
}

func (a axes) curve(w *strings.Builder, points []plotPoint, colour string) {
	var path []string
	for _, p := range points {
		path = append(path, fmt.Sprintf("%.1f,%.1f", a.x(p.children), a.y(p.ms)))
		fmt.Fprintf(w, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", a.x(p.children),
			a.y(p.ms), colour)
	}
	fmt.Fprintf(w, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n",
		strings.Join(path, " "), colour)
}
