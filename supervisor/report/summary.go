package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/event"
)

// Summary has the figures of several reports.
type Summary struct {
	Reports  int              `json:"reports" doc:"number of reports, each counted once"`
	Configs  []string         `json:"configs" doc:"their configurations, by name"`
	First    time.Time        `json:"first_began" doc:"when the earliest stop began"`
	Last     time.Time        `json:"last_began" doc:"when the latest stop began"`
	Graceful int              `json:"graceful" doc:"stops with this verdict"`
	Leaky    int              `json:"leaky" doc:"stops with this verdict"`
	Forced   int              `json:"forced" doc:"stops with this verdict"`
	Omitted  int              `json:"left_out" doc:"entries that the reports do not have"`
	Stop     Times            `json:"stop" doc:"durations of the whole stops"`
	Children []ChildSummary   `json:"children" doc:"instances, the largest p95 first"`
	Findings []FindingSummary `json:"findings" doc:"the most frequent first"`
}

// ChildSummary has the figures of one instance. A stop counts once, even if two processes of the
// instance were stopped in it, as in a rolling update.
type ChildSummary struct {
	Child string `json:"child" doc:"the instance"`
	Times
	Reports  int `json:"reports" doc:"stops in which it had a process"`
	Critical int `json:"critical" doc:"of these, stops with it on the critical path"`
	Forced   int `json:"forced" doc:"of these, stops in which it got SIGKILL"`
	Leaky    int `json:"with_findings" doc:"of these, stops in which it had a finding"`
}

// FindingSummary is a finding that is the same in several reports. Addresses of connections, and
// numbers of pipes, are not a part of it.
type FindingSummary struct {
	FindingID
	Stops  int    `json:"stops" doc:"stops that have it"`
	Advice string `json:"advice" doc:"what to do, in a sentence"`
}

// FindingID identifies a finding in different stops.
type FindingID struct {
	Child   string `json:"child" doc:"the instance"`
	Process string `json:"process,omitempty" doc:"command of the descendant"`
	Finding string `json:"finding" doc:"kind of finding, such as unread_data"`
	Target  string `json:"target" doc:"what is the same in each stop"`
}

// Collector collects the figures of reports. It does not keep the reports.
type Collector struct {
	total    Summary
	stops    []sample
	children map[string]*childFigures
	findings map[FindingID]*FindingSummary
	known    map[[sha256.Size]byte]string // the file of each report
}

// childFigures has what several reports say about an instance.
type childFigures struct {
	ChildSummary
	stops []sample
}

// NewCollector returns a collector without a report.
func NewCollector() *Collector {
	return &Collector{
		children: map[string]*childFigures{}, findings: map[FindingID]*FindingSummary{},
		known: map[[sha256.Size]byte]string{},
	}
}

// Add adds the report of a file. It adds nothing if another file had the same report, as JSON or as
// a page, and returns the name of that file.
func (c *Collector) Add(file string, d *Document) (sameAs string) {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(d) // a document that was read can be written
	id := [sha256.Size]byte(h.Sum(nil))
	if first, ok := c.known[id]; ok {
		return first
	}
	c.known[id] = file
	c.addTotals(d)
	c.stops = append(c.stops, sample{d.Elapsed, file})
	c.addChildren(file, d)
	c.addFindings(d)
	return ""
}

func (c *Collector) addTotals(d *Document) {
	t := &c.total
	if t.Reports == 0 || d.Began.Before(t.First) {
		t.First = d.Began
	}
	if d.Began.After(t.Last) {
		t.Last = d.Began
	}
	t.Reports++
	t.Omitted += d.Omitted
	if at, ok := slices.BinarySearch(t.Configs, d.name()); !ok {
		t.Configs = slices.Insert(t.Configs, at, d.name())
	}
	switch d.Verdict {
	case event.Graceful:
		t.Graceful++
	case event.Leaky:
		t.Leaky++
	case event.Forced:
		t.Forced++
	}
}

func (c *Collector) addChildren(file string, d *Document) {
	forced := map[string]bool{} // of each instance in this stop
	for i := range d.Children {
		x := &d.Children[i]
		f := c.children[x.Child]
		if f == nil {
			f = &childFigures{ChildSummary: ChildSummary{Child: x.Child}}
			c.children[x.Child] = f
		}
		if len(x.Steps) > 0 {
			f.stops = append(f.stops, sample{x.took(d.Elapsed), file})
		}
		forced[x.Child] = forced[x.Child] || x.gotSIGKILL()
	}
	critical, leaky := map[string]bool{}, map[string]bool{}
	for _, s := range d.Budget {
		critical[s.Who] = critical[s.Who] || s.Kind == "child"
	}
	for _, f := range d.Findings {
		leaky[f.Child] = true
	}
	for name := range forced {
		f := c.children[name]
		f.Reports++
		f.Critical += oneIf(critical[name])
		f.Forced += oneIf(forced[name])
		f.Leaky += oneIf(leaky[name])
	}
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (c *Collector) addFindings(d *Document) {
	inThis := map[FindingID]bool{}
	for _, f := range d.Findings {
		id := FindingID{f.Child, f.Process, f.Finding, stableTarget(f)}
		if inThis[id] {
			continue
		}
		inThis[id] = true
		if c.findings[id] == nil {
			c.findings[id] = &FindingSummary{FindingID: id, Advice: f.Advice}
		}
		c.findings[id].Stops++
	}
}

// stableTarget returns the part of the target of a finding that is the same in each stop: the path
// of a file, the address of a listener. The ports of a connection and the number of a pipe are
// others in each stop.
func stableTarget(f Finding) string {
	protocol, _, _ := strings.Cut(f.Target, " ")
	switch {
	case f.Kind == "socket" && strings.Contains(f.Target, " -> "):
		return protocol + " connection"
	case f.Kind == "file", f.Kind == "socket" && protocol != f.Target:
		return f.Target
	}
	return f.Kind
}

// Summary returns the figures of the reports that were added.
func (c *Collector) Summary() *Summary {
	s := c.total
	s.Stop = timesOf(c.stops)
	s.Children = make([]ChildSummary, 0, len(c.children))
	for _, f := range c.children {
		x := f.ChildSummary
		x.Times = timesOf(f.stops)
		s.Children = append(s.Children, x)
	}
	slices.SortFunc(s.Children, func(a, b ChildSummary) int {
		return cmp.Or(cmp.Compare(b.P95, a.P95), strings.Compare(a.Child, b.Child))
	})
	s.Findings = make([]FindingSummary, 0, len(c.findings))
	for _, f := range c.findings {
		s.Findings = append(s.Findings, *f)
	}
	slices.SortFunc(s.Findings, func(a, b FindingSummary) int {
		return cmp.Or(b.Stops-a.Stops, a.FindingID.compare(b.FindingID))
	})
	return &s
}

// compare orders findings by child, process, kind and target.
func (f FindingID) compare(g FindingID) int {
	return cmp.Or(
		strings.Compare(f.Child, g.Child), strings.Compare(f.Process, g.Process),
		strings.Compare(f.Finding, g.Finding), strings.Compare(f.Target, g.Target),
	)
}
