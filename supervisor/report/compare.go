package report

import (
	"cmp"
	"slices"
	"strings"
)

// A stop is slower or faster if its p50 or its p95 differs by both of these. Smaller differences
// are common between two equal stops.
const (
	minChangeMS = 10.0
	minChange   = 0.1 // of the smaller value
)

// Change says what differs between two sets of reports.
type Change string

// The changes of a child. NotMeasured means that one of the sets has no stop of it: the child had
// ended by itself.
const (
	Slower      Change = "slower"
	Faster      Change = "faster"
	Same        Change = "same"
	NotMeasured Change = "not_measured"
	Added       Change = "added"
	Removed     Change = "removed"
)

// changes are all changes, in the order of the tables.
var changes = []Change{Slower, Added, Removed, Faster, Same, NotMeasured}

// Comparison compares two sets of reports, A and B.
type Comparison struct {
	A            *Summary         `json:"a" doc:"the first set"`
	B            *Summary         `json:"b" doc:"the second set"`
	Stop         Change           `json:"stop" doc:"change of the whole stop; see ChildChange"`
	Children     []ChildChange    `json:"children" doc:"slower, added, removed, faster, others"`
	NewFindings  []FindingSummary `json:"new_findings" doc:"findings of the second set only"`
	GoneFindings []FindingSummary `json:"gone_findings" doc:"findings of the first set only"`
}

// ChildChange is how the stop of an instance changed. Its figures are in the summaries.
type ChildChange struct {
	Child  string  `json:"child" doc:"the instance"`
	Change Change  `json:"change" doc:"slower, faster, same, not_measured, added or removed"`
	P50    float64 `json:"p50_change_ms" doc:"p50 of the second set minus that of the first"`
	P95    float64 `json:"p95_change_ms" doc:"p95 of the second set minus that of the first"`
}

// Compare returns how the reports of b differ from those of a.
func Compare(a, b *Summary) *Comparison {
	return &Comparison{
		A: a, B: b, Stop: changeOf(a.Stop, b.Stop), Children: compareChildren(a, b),
		NewFindings: missingIn(a, b.Findings), GoneFindings: missingIn(b, a.Findings),
	}
}

func compareChildren(a, b *Summary) []ChildChange {
	all := []ChildChange{}
	before, after := a.byName(), b.byName()
	for name, x := range before {
		y, ok := after[name]
		switch c := (ChildChange{Child: name, Change: changeOf(x.Times, y.Times)}); {
		case !ok:
			all = append(all, ChildChange{Child: name, Change: Removed})
		case c.Change == NotMeasured:
			all = append(all, c)
		default:
			c.P50, c.P95 = y.P50-x.P50, y.P95-x.P95
			all = append(all, c)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			all = append(all, ChildChange{Child: name, Change: Added})
		}
	}
	slices.SortFunc(all, func(a, b ChildChange) int {
		return cmp.Or(
			slices.Index(changes, a.Change)-slices.Index(changes, b.Change),
			cmp.Compare(max(b.P50, b.P95), max(a.P50, a.P95)), strings.Compare(a.Child, b.Child),
		)
	})
	return all
}

// byName returns the summaries of the instances by their names.
func (s *Summary) byName() map[string]ChildSummary {
	all := make(map[string]ChildSummary, len(s.Children))
	for _, c := range s.Children {
		all[c.Child] = c
	}
	return all
}

// changeOf compares durations. A larger p50 or p95 makes a stop slower, even if the other one is
// smaller.
func changeOf(a, b Times) Change {
	switch {
	case a.N == 0 || b.N == 0:
		return NotMeasured
	case longer(a.P50, b.P50) || longer(a.P95, b.P95):
		return Slower
	case longer(b.P50, a.P50) || longer(b.P95, a.P95):
		return Faster
	}
	return Same
}

// longer reports whether b is longer than a by more than two equal stops differ.
func longer(a, b float64) bool { return b-a >= minChangeMS && b-a >= minChange*a }

// missingIn returns the findings that a summary does not have.
func missingIn(s *Summary, all []FindingSummary) []FindingSummary {
	known := make(map[FindingID]bool, len(s.Findings))
	for _, f := range s.Findings {
		known[f.FindingID] = true
	}
	missing := []FindingSummary{}
	for _, f := range all {
		if !known[f.FindingID] {
			missing = append(missing, f)
		}
	}
	return missing
}
