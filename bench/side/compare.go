package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxTogether is the largest number of children of each peer in a table row that starts all peers
// before it measures the first one. With more, the peers would measure each other: the fd scans of
// a stop with 100 children take twice the time beside 1,200 other processes.
const maxTogether = 10

// compare measures the row with each peer in turns. Every second round is in the reverse order,
// because the program before it can make a program slower or faster.
func compare(r row, all []peer) (*measured, error) {
	m := &measured{row: r, results: map[string]*result{}}
	for round := range r.rounds {
		if err := useCopies(round / 2); err != nil {
			return nil, err
		}
		turn := slices.DeleteFunc(slices.Clone(all), func(p peer) bool {
			x := m.results[p.name]
			return !r.includes(p) || round > 0 && (x == nil || x.err != nil)
		})
		if round%2 == 1 {
			slices.Reverse(turn)
		}
		switch {
		case r.idle == nil:
			for _, p := range turn {
				values, note, err := r.measure(p)
				m.add(p.name, values, note, err)
			}
		case r.n <= maxTogether:
			m.startAndMeasure(turn)
		default:
			for _, p := range turn {
				m.startAndMeasure([]peer{p})
			}
		}
	}
	for _, x := range m.results {
		if r.tail && x.err == nil {
			x.note = fmt.Sprintf("p99 %s %s of %d", figure(quantile(x.values, 0.99)), r.unit,
				len(x.values))
		}
	}
	return m, nil
}

// startAndMeasure starts the peers, waits until they are idle, and measures them one after the
// other. One wait for all of them saves most of the time of the row.
func (m *measured) startAndMeasure(turn []peer) {
	var trials []*trial
	for _, p := range turn {
		t, err := m.start(p, m.n)
		if err != nil {
			m.add(p.name, nil, "", err)
			continue
		}
		trials = append(trials, t)
	}
	if len(trials) > 0 {
		time.Sleep(idle)
	}
	for _, t := range trials {
		values, err := m.idle(t, m.n)
		m.add(t.peer.name, values, "", err)
		t.clear()
	}
}

// add adds what was measured of a peer in one round.
func (m *measured) add(name string, values []float64, note string, err error) {
	if errors.Is(err, errUnsupported) {
		return
	}
	x := m.results[name]
	if x == nil {
		x = &result{}
		m.results[name] = x
		m.names = append(m.names, name)
	}
	x.values, x.err = append(x.values, values...), err
	if note != "" {
		x.note = note
	}
}
