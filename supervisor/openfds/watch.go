package openfds

import (
	"cmp"
	"fmt"
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

// Growths returns the growth of each kind, such as "file from 11 to 20 in 10 counts".
func (l *Leak) Growths() (all []string) {
	for _, g := range l.Grown {
		all = append(all, fmt.Sprintf("%s from %d to %d in %d counts", g.Kind, g.From, g.To,
			g.Counts))
	}
	return all
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
	last      Counted
	kinds     map[string]*trend
	nearLimit bool // it was reported, and the share was not below limitOver since
}

// trend is the number of descriptors of one kind since it fell last.
type trend struct {
	from, last    int
	counts, rises int
	// reported is the leak that was reported and is not over; nil: there is none. The leak is over
	// once half of what it opened until then is closed.
	reported *Growth
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
		t.last = c
		l := Leak{Counted: c, Grown: t.grown(c.Kinds), NearLimit: t.reachesLimit(&c)}
		if len(l.Grown) > 0 || l.NearLimit {
			leaks = append(leaks, l)
		}
	}
	return leaks
}

// Present returns the leaks that Add returned and that are not over, by pid. The number of open
// descriptors is that of the last count, the growth is that of the report.
func (w *Watch) Present() (leaks []Leak) {
	for _, t := range w.processes {
		l := Leak{Counted: t.last, NearLimit: t.nearLimit}
		for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
			if g := t.kinds[kind].reported; g != nil {
				l.Grown = append(l.Grown, *g)
			}
		}
		if len(l.Grown) > 0 || l.NearLimit {
			leaks = append(leaks, l)
		}
	}
	slices.SortFunc(leaks, func(a, b Leak) int { return cmp.Compare(a.Pid, b.Pid) })
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
		if g := t.kinds[kind].add(kind, kinds[kind]); g != nil {
			all = append(all, *g)
		}
	}
	return all
}

// add adds a number of a kind. It returns the leak if that is new.
func (t *trend) add(kind string, n int) *Growth {
	if g := t.reported; g != nil && n <= g.From+(g.To-g.From)/2 {
		t.reported = nil
	}
	rose := n > t.last
	switch {
	case n < t.last:
		*t = trend{from: n, last: n, counts: 1, reported: t.reported}
		return nil
	case rose:
		t.rises++
	}
	t.last = n
	t.counts++
	if t.reported != nil || !rose || t.counts < leakCounts || t.rises < leakRises {
		return nil
	}
	t.reported = &Growth{kind, t.from, t.last, t.counts}
	return t.reported
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
