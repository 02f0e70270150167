package openfds

import (
	"maps"
	"slices"
)

// The rule for a leak.
const (
	// leakCounts is the number of counts in a row in which the number of a kind does not fall.
	leakCounts = 10
	// leakRises is the number of those counts in which it rises. A pool of connections that is
	// filled at once rises once or twice.
	leakRises = 5
	// A process near its limit soon gets EMFILE. The warning is due above the first share, and
	// again only after the number was below the second one.
	limitShare, limitOver = 0.80, 0.70
)

// Leak is a process that keeps more and more descriptors open, or has almost as many as it may.
type Leak struct {
	Counted
	Grown []Growth // the kinds that grew
	// NearLimit says that the process has 80 % or more of the descriptors that it may have.
	NearLimit bool
}

// GrownKinds returns the kinds that grew; nil: all kinds are meant.
func (l *Leak) GrownKinds() (all []string) {
	for _, g := range l.Grown {
		all = append(all, g.Kind)
	}
	return all
}

// Growth is the growth of a kind.
type Growth struct {
	Kind     string
	From, To int
	Counts   int // the number of counts between From and To
}

// Watch finds leaks in the counts of a process tree. The zero value is ready to use, by one
// goroutine.
type Watch struct{ processes map[identity]*trends }

// identity identifies a process.
type identity struct {
	pid   int
	start uint64
}

// trends are the trends of a process.
type trends struct {
	kinds     map[string]*trend
	nearLimit bool // it was reported
}

// trend is the number of descriptors of one kind since it fell last.
type trend struct {
	from, last    int
	counts, rises int
	// reported is the number at which the leak was reported; 0: it was not. The leak is over once
	// half of what it opened until then is closed.
	reported, origin int
}

// Add adds the next count, and returns the leaks that were not reported before.
func (w *Watch) Add(all []Counted) (leaks []Leak) {
	before := w.processes
	w.processes = make(map[identity]*trends, len(all))
	for _, c := range all {
		id := identity{c.Pid, c.StartTime}
		t := before[id]
		if t == nil {
			t = &trends{kinds: map[string]*trend{}}
		}
		w.processes[id] = t
		l := Leak{Counted: c, Grown: t.grown(c.Kinds), NearLimit: t.reachesLimit(&c)}
		if len(l.Grown) > 0 || l.NearLimit {
			leaks = append(leaks, l)
		}
	}
	return leaks
}

// grown adds a count, and returns the kinds of which a leak is new.
func (t *trends) grown(kinds map[string]int) (all []Growth) {
	for kind := range kinds {
		if t.kinds[kind] == nil {
			t.kinds[kind] = &trend{from: kinds[kind], last: kinds[kind]}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
		if k := t.kinds[kind]; k.add(kinds[kind]) {
			all = append(all, Growth{kind, k.from, k.last, k.counts})
		}
	}
	return all
}

// add adds a number. It reports whether a leak is new.
func (t *trend) add(n int) bool {
	if t.reported > 0 && n <= t.origin+(t.reported-t.origin)/2 {
		t.reported = 0
	}
	rose := n > t.last
	switch {
	case n < t.last:
		*t = trend{from: n, last: n, counts: 1, reported: t.reported, origin: t.origin}
		return false
	case rose:
		t.rises++
	}
	t.last = n
	t.counts++
	if t.reported > 0 || !rose || t.counts < leakCounts || t.rises < leakRises {
		return false
	}
	t.reported, t.origin = n, t.from
	return true
}

// reachesLimit reports whether the process is near its limit, and was not before.
func (t *trends) reachesLimit(c *Counted) bool {
	if c.Limit == 0 {
		return false
	}
	share := float64(c.Open()) / float64(c.Limit)
	switch {
	case share < limitOver:
		t.nearLimit = false
	case share >= limitShare && !t.nearLimit:
		t.nearLimit = true
		return true
	}
	return false
}
