package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// columns are the peers of the table, in this order.
var columns = [...]string{floorName, nopName, forwardName, "supervisor", "supervisor, no proof",
	"supervisor, N blocks", execName, "supervisord", "runit", "s6", "tini", "dumb-init"}

// A row is one row of the table: a measurement with a number of children.
type row struct {
	title, unit string
	n           int // children
	goal        string
	rounds      int // measurements of each peer
	measure     func(p peer) (values []float64, note string, err error)
	// start and idle replace measure. idle measures a supervisor whose children have run for a
	// while.
	start func(p peer, n int) (*trial, error)
	idle  func(t *trial, n int) (values []float64, err error)
	only  []string // names of the peers to measure; nil measures all except nop
	base  string   // the peer of the ratios; empty is the floor
	tail  bool     // the note gives the 99th percentile
}

// heading returns the title with the unit.
func (r row) heading() string {
	if r.unit == "" {
		return r.title
	}
	return r.title + ", " + r.unit
}

// includes reports whether the row measures a peer.
func (r row) includes(p peer) bool {
	if r.only == nil {
		return p.name != nopName
	}
	return slices.Contains(r.only, p.base())
}

// baseName returns the peer of the ratios.
func (r row) baseName() string {
	if r.base == "" {
		return floorName
	}
	return r.base
}

// result holds the values of one peer in a row. A peer with an error is not measured again.
type result struct {
	values []float64
	note   string
	err    error
}

// measured is a row with its results.
type measured struct {
	row
	names   []string // the peers that support the workload, in the order of measurement
	results map[string]*result
}

func (r *result) median() float64 { return quantile(r.values, 0.5) }

// spans reports whether v is between the quartiles.
func (r *result) spans(v float64) bool {
	return quantile(r.values, 0.25) <= v && v <= quantile(r.values, 0.75)
}

// quantile interpolates between the two nearest values. It returns 0 without a value.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

// print writes the row as text.
func (m *measured) print(w io.Writer) {
	fmt.Fprintf(w, "%s, N=%d (%s)\n", m.title, m.n, m.unit)
	for _, name := range m.names {
		x := m.results[name]
		if x.err != nil {
			fmt.Fprintf(w, "  %-24s %v\n", name, x.err)
			continue
		}
		ratio := "      "
		if r := m.ratio(name); r > 0 {
			ratio = fmt.Sprintf("%5.2f×", r)
		}
		fmt.Fprintf(w, "  %-24s %10.3f  %s  quartiles %.3f to %.3f  %s\n", name, x.median(), ratio,
			quantile(x.values, 0.25), quantile(x.values, 0.75), x.note)
	}
}

// ratio returns the median of a peer divided by that of the row's base, or 0 without a base.
func (m *measured) ratio(name string) float64 {
	base := m.results[m.baseName()]
	if base == nil || base.err != nil || base.median() == 0 {
		return 0
	}
	return m.results[name].median() / base.median()
}

// figure formats v with three significant digits.
func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// noise returns the range of the floor's half interquartile distance, in percent of its median.
func noise(table []*measured) string {
	least, most := math.Inf(1), 0.0
	for _, m := range table {
		if x := m.results[floorName]; x != nil && len(x.values) > 3 && x.median() > 0 {
			n := (quantile(x.values, 0.75) - quantile(x.values, 0.25)) / 2 / x.median() * 100
			least, most = min(least, n), max(most, n)
		}
	}
	if most == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.0f to %.0f %%", least, most)
}
