// Side measures us side by side with our peers and with a floor in C: the same
// work under each in turns (A B C A B C …), so that the machine's moods fall on
// all alike. Children note themselves when something happened to them. It
// writes medians and ratios as a page for docs/performance.md. Run it with make
// bench, or make bench-quick for a tenth.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/side:", err)
		os.Exit(1)
	}
}

// result is what came of a row for one peer.
type result struct {
	values []float64
	note   string
	err    error
}

func (r *result) median() float64 { return quantile(r.values, 0.5) }

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

func run() error {
	bin := flag.String("supervisor", "bin/supervisor", "what is measured")
	page := flag.String("page", "", "the page whose tables are made anew; empty: none")
	scale := flag.Float64("scale", 1, "what part of the rounds is done")
	only := flag.String("only", "", "a regular expression for the rows that are done")
	before := flag.String("before", "", "another build of ours, measured in the same turns")
	who := flag.String("peers", "", "a regular expression for the peers that are measured")
	flag.Parse()
	chosen, err := regexp.Compile(*who)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-side-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"child", "floor"} {
		c := exec.Command("gcc", "-O2", "-o", filepath.Join(dir, name),
			filepath.Join("bench", "side", name+".c"))
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s.c: %w\n%s", name, err, out)
		}
	}
	childPath = filepath.Join(dir, "child")
	ours, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	all, missing := installed(peers(ours, filepath.Join(dir, "floor")))
	if *before != "" {
		old, err := filepath.Abs(*before)
		if err != nil {
			return err
		}
		all = append(all, own(old, "before")...)
	}
	all = slices.DeleteFunc(all, func(p peer) bool { return !chosen.MatchString(p.name) })
	for _, name := range missing {
		fmt.Fprintf(os.Stderr, "%s is not installed: it is left out\n", name)
	}
	var table []*measured
	for _, r := range rows(*scale) {
		if !wanted.MatchString(fmt.Sprintf("%s N=%d", r.title, r.n)) {
			continue
		}
		m := compare(r, all)
		m.print(os.Stdout)
		table = append(table, m)
	}
	if *page == "" {
		return nil
	}
	return write(*page, table, missing)
}

// measured is a row with what came of it.
type measured struct {
	row
	names   []string // of the peers that could do it
	results map[string]*result
}

// compare gives each peer its turns.
func compare(r row, all []peer) *measured {
	m := &measured{row: r, results: map[string]*result{}}
	for round := range r.rounds {
		for _, p := range all {
			if r.only != nil && !slices.Contains(r.only, p.base()) {
				continue
			}
			x := m.results[p.name]
			if round > 0 && (x == nil || x.err != nil) {
				continue
			}
			values, note, err := r.measure(p)
			if errors.Is(err, errCannot) {
				continue
			}
			if x == nil {
				x = &result{}
				m.results[p.name] = x
				m.names = append(m.names, p.name)
			}
			x.values, x.err = append(x.values, values...), err
			if note != "" {
				x.note = note
			}
		}
	}
	for _, x := range m.results {
		if r.tail && x.err == nil {
			x.note = fmt.Sprintf("p99 %s %s of %d", figure(quantile(x.values, 0.99)), r.unit,
				len(x.values))
		}
	}
	return m
}
