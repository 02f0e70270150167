package report

import (
	"cmp"
	"math"
	"slices"
)

// span is the time from the first signal of a process to its end.
type span struct {
	TimeShare
	group     string
	dependsOn []string
}

// criticalPath returns the processes that determined the time of the stop, in order. It follows the
// path back from the end of the stop: the process that ended last got its first signal when the
// last of its dependents had ended, and so on to the start. The gaps are the supervisor's time. A
// child that was slow beside a slower one is not on the path, because the stop would have taken as
// long without it.
func criticalPath(d *Document, group map[string]string) []TimeShare {
	spans := spansOf(d, group)
	var path []TimeShare
	used := make([]bool, len(spans))
	at := lastEnded(spans, used, math.Inf(1), func(span) bool { return true })
	for at >= 0 {
		x := spans[at]
		used[at] = true
		path = append(path, x.TimeShare)
		at = lastEnded(spans, used, x.From, func(before span) bool {
			return before.Kind == "child" &&
				(x.Kind == "orphan" || slices.Contains(before.dependsOn, x.group))
		})
	}
	slices.Reverse(path)
	return fillGaps(path, d.Elapsed)
}

// lastEnded returns the index of the unused span that fits and ended last before a time, or -1.
func lastEnded(spans []span, used []bool, until float64, fits func(span) bool) int {
	found := -1
	for i, x := range spans {
		if !used[i] && x.To <= until && fits(x) && (found < 0 || x.To > spans[found].To) {
			found = i
		}
	}
	return found
}

// spansOf returns a span for each process that got a signal. group has the child of each instance.
func spansOf(d *Document, group map[string]string) (spans []span) {
	add := func(who, kind string, pid int, steps []Step, ended *float64) *span {
		if len(steps) == 0 {
			return &span{}
		}
		to := d.Elapsed
		if ended != nil {
			to = min(max(0, *ended), to)
		}
		from := min(max(0, steps[0].At), to)
		spans = append(
			spans,
			span{
				TimeShare: TimeShare{
					Who: who, Kind: kind, Pid: pid, From: from, To: to, Steps: len(steps),
				},
			},
		)
		return &spans[len(spans)-1]
	}
	for _, c := range d.Children {
		s := add(c.Child, "child", c.Pid, c.Steps, c.Ended)
		s.group, s.dependsOn = group[c.Child], c.DependsOn
	}
	for _, o := range d.Orphans {
		add(o.Command, "orphan", o.Pid, o.Steps, o.Ended)
	}
	return spans
}

// fillGaps fills the gaps of the path with the time of the supervisor, and computes the shares.
func fillGaps(path []TimeShare, elapsed float64) []TimeShare {
	all := []TimeShare{}
	at := 0.0
	gap := func(to float64) {
		if to > at {
			all = append(all, TimeShare{Who: self, Kind: self, From: at, To: to})
		}
		at = max(at, to)
	}
	for _, s := range path {
		gap(s.From)
		all = append(all, s)
		at = s.To
	}
	gap(elapsed)
	for i := range all {
		if elapsed > 0 {
			all[i].Share = math.Round((all[i].To-all[i].From)/elapsed*1e4) / 1e4
		}
	}
	return all
}

// identity returns the part of a share that identifies its process.
func (s TimeShare) identity() TimeShare { return TimeShare{Who: s.Who, Kind: s.Kind, Pid: s.Pid} }

// total is the sum of the shares of one process.
type total struct {
	TimeShare
	Took  float64
	Shade int // its colour in the page; 0: that of the supervisor
}

// totals returns the total of each process, the largest first.
func totals(budget []TimeShare) []total {
	var all []total
	at := map[TimeShare]int{}
	for _, s := range budget {
		i, ok := at[s.identity()]
		if !ok {
			i = len(all)
			at[s.identity()] = i
			all = append(all, total{TimeShare: s})
			all[i].Share = 0
		}
		all[i].To = s.To
		all[i].Took += s.To - s.From
		all[i].Share += s.Share
	}
	slices.SortStableFunc(all, func(a, b total) int { return cmp.Compare(b.Took, a.Took) })
	return all
}
