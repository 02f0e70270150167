package report

import (
	"cmp"
	"math"
	"slices"
)

const self = "supervisor"

// span is the part of a stop that somebody took.
type span struct {
	TimeShare
	group     string
	dependsOn []string
}

// spent finds who used up the time. It goes back from the end: who ended last
// was told when the last of those that depend on it had ended, and so on up to
// the begin. What lies between is the supervisor's own. A child that took long
// beside a longer one is not in it: without it the stop would not have been
// shorter.
func spent(d *Document, group map[string]string) []TimeShare {
	spans := spansOf(d, group)
	var path []TimeShare
	used := make([]bool, len(spans))
	at := last(spans, used, math.Inf(1), func(span) bool { return true })
	for at >= 0 {
		x := spans[at]
		used[at] = true
		path = append(path, x.TimeShare)
		at = last(spans, used, x.From, func(before span) bool {
			return before.Kind == "child" && (x.Kind == "orphan" || slices.Contains(before.dependsOn, x.group))
		})
	}
	slices.Reverse(path)
	return fill(path, d.Elapsed)
}

// last returns the index of who fits and ended last, until a time.
func last(spans []span, used []bool, until float64, fits func(span) bool) int {
	found := -1
	for i, x := range spans {
		if !used[i] && x.To <= until && fits(x) && (found < 0 || x.To > spans[found].To) {
			found = i
		}
	}
	return found
}

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
		spans = append(spans, span{TimeShare: TimeShare{Who: who, Kind: kind, Pid: pid, From: from, To: to, Steps: len(steps)}})
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

// fill puts the supervisor where nobody else is, and says each one's share.
func fill(path []TimeShare, elapsed float64) []TimeShare {
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

// who is what tells spenders apart.
func (s TimeShare) who() TimeShare { return TimeShare{Who: s.Who, Kind: s.Kind, Pid: s.Pid} }

// total is who took how much in all, the most first.
type total struct {
	TimeShare
	Took  float64
	Shade int // in the page
}

func totals(budget []TimeShare) []total {
	var all []total
	at := map[TimeShare]int{}
	for _, s := range budget {
		i, ok := at[s.who()]
		if !ok {
			i = len(all)
			at[s.who()] = i
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
