package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

const floorName = "floor"

// print writes a row as text.
func (m *measured) print(w io.Writer) {
	fmt.Fprintf(w, "%s, N=%d (%s)\n", m.title, m.n, m.unit)
	for _, name := range m.names {
		x := m.results[name]
		if x.err != nil {
			fmt.Fprintf(w, "  %-20s %v\n", name, x.err)
			continue
		}
		fmt.Fprintf(w, "  %-20s %10.3f  %s  quartiles %.3f to %.3f  %s\n", name, x.median(),
			m.ratio(name), quantile(x.values, 0.25), quantile(x.values, 0.75), x.note)
	}
}

// ratio says how a peer compares with the floor.
func (m *measured) ratio(name string) string {
	floor := m.results[floorName]
	if floor == nil || floor.err != nil || floor.median() == 0 {
		return "      "
	}
	return fmt.Sprintf("%5.2f×", m.results[name].median()/floor.median())
}

const (
	beginTables = "<!-- made by make bench -->\n"
	endTables   = "<!-- end of what make bench made -->\n"
)

// write puts the tables into the page, and the plots beside it.
func write(page string, table []*measured, missing []string) error {
	b, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(b), beginTables)
	_, tail, ended := strings.Cut(rest, endTables)
	if !ok || !ended {
		return fmt.Errorf("%s has no place for the tables", page)
	}
	var w strings.Builder
	fmt.Fprint(&w, "\n| work | N | goal |")
	names := []string{floorName, "ours", "ours, no proof", "ours, a block each", "supervisord",
		"runit", "s6", "tini", "dumb-init"}
	for _, name := range names {
		fmt.Fprintf(&w, " %s |", name)
	}
	fmt.Fprint(&w, "\n|---|--:|---|"+strings.Repeat("--:|", len(names))+"\n")
	var notes []string
	for _, m := range table {
		unit := m.unit
		if unit != "" {
			unit = ", " + unit
		}
		fmt.Fprintf(&w, "| %s%s | %d | %s |", m.title, unit, m.n, m.goal)
		for _, name := range names {
			x := m.results[name]
			switch {
			case x == nil:
				fmt.Fprint(&w, " – |")
				continue
			case x.err != nil:
				fmt.Fprint(&w, " failed |")
				notes = append(notes, fmt.Sprintf("%s, %s: %v", m.title, name, x.err))
				continue
			}
			cell := figure(x.median())
			if r := strings.TrimSpace(m.ratio(name)); name != floorName && r != "" &&
				m.unit == "ms" && !strings.HasPrefix(m.title, "overshoot") {
				cell += " (" + figure(x.median()/m.results[floorName].median()) + " ×)"
			}
			if x.note != "" {
				notes = append(notes, fmt.Sprintf("%s, N=%d, %s: %s", m.title, m.n, name, x.note))
				cell += fmt.Sprintf(" [%d]", len(notes))
			}
			fmt.Fprintf(&w, " %s |", cell)
		}
		fmt.Fprintln(&w)
	}
	fmt.Fprintln(&w)
	for i, n := range notes {
		fmt.Fprintf(&w, "%d. %s\n", i+1, n)
	}
	fmt.Fprintf(&w,
		"\nThe machine's noise (half the distance of the floor's quartiles, over its median): "+
			"%s.\n", noise(table))
	if len(missing) > 0 {
		fmt.Fprintf(&w, "Not installed: %s.\n", strings.Join(missing, ", "))
	}
	for _, title := range []string{"exec to the last child's main", "stop, the whole tree gone"} {
		name := strings.Fields(strings.ReplaceAll(title, ",", ""))[0] + ".svg"
		svg := plot(title, table, names)
		if svg == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(page), "img", name), []byte(svg),
			0o644); err != nil {
			return err
		}
		fmt.Fprintf(&w, "\n![%s](img/%s)\n", title, name)
	}
	return os.WriteFile(page, []byte(head+beginTables+w.String()+endTables+tail), 0o644)
}

// figure writes a number with three digits that mean something.
func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func noise(table []*measured) string {
	least, most := math.Inf(1), 0.0
	for _, m := range table {
		if x := m.results[floorName]; x != nil && len(x.values) > 3 && x.median() > 0 {
			n := (quantile(x.values, 0.75) - quantile(x.values, 0.25)) / 2 / x.median() * 100
			least, most = min(least, n), max(most, n)
		}
	}
	if most == 0 {
		return "not known"
	}
	return fmt.Sprintf("%.0f to %.0f %%", least, most)
}

var colours = []string{"#888888", "#0a7d4b", "#5fbf8f", "#b5d99c", "#c23b22", "#d98e04", "#3b6fb5",
	"#7b4fa3", "#a0522d"}

// plot draws how a work grows with N, on logarithmic axes.
func plot(title string, table []*measured, names []string) string {
	const width, height, left, right, top, bottom = 760, 420, 60, 150, 40, 45
	series := map[string][][2]float64{}
	least, most := math.Inf(1), 0.0
	for _, m := range table {
		if m.title != title {
			continue
		}
		for name, x := range m.results {
			if x.err == nil && x.median() > 0 {
				series[name] = append(series[name], [2]float64{float64(m.n), x.median()})
				least, most = min(least, x.median()), max(most, x.median())
			}
		}
	}
	if len(series) == 0 {
		return ""
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(most))
	px := func(n float64) float64 { return left + math.Log10(n)/3*(width-left-right) }
	py := func(v float64) float64 {
		return height - bottom - (math.Log10(v)-low)/(high-low)*(height-top-bottom)
	}
	var w strings.Builder
	fmt.Fprintf(&w,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&w,
		`<rect width="%d" height="%d" fill="white"/><text x="%d" y="22" font-size="15">%s, ms</text>`+"\n", width, height, left, title)
	for e := low; e <= high; e++ {
		y := py(math.Pow(10, e))
		fmt.Fprintf(&w,
			`<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left, y, width-right, left-6, y+4, math.Pow(10, e))
	}
	for _, n := range []float64{1, 10, 100, 1000} {
		fmt.Fprintf(&w, `<text x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", px(n),
			height-bottom+18, n)
	}
	fmt.Fprintf(&w, `<text x="%.1f" y="%d" text-anchor="middle">children</text>`+"\n",
		(left+width-right)/2.0, height-8)
	line := 0
	for i, name := range names {
		points := series[name]
		if len(points) == 0 {
			continue
		}
		var path []string
		for _, p := range points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", px(p[0]), py(p[1])))
			fmt.Fprintf(&w, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", px(p[0]),
				py(p[1]), colours[i])
		}
		fmt.Fprintf(&w, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n",
			strings.Join(path, " "), colours[i])
		y := top + 10 + line*18
		fmt.Fprintf(&w,
			`<path d="M%d %dh18" stroke="%s" stroke-width="3"/><text x="%d" y="%d">%s</text>`+"\n",
			width-right+12, y, colours[i], width-right+36, y+4, name)
		line++
	}
	w.WriteString("</svg>\n")
	return w.String()
}
