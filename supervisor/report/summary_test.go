package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/event"
)

func TestPercentile(t *testing.T) {
	upTo := func(n int) []float64 {
		all := make([]float64, n)
		for i := range all {
			all[i] = float64(i + 1)
		}
		return all
	}
	for _, tt := range []struct {
		sorted    []float64
		p50, p95  float64
		p1, p100  float64
		condition string
	}{
		{[]float64{7}, 7, 7, 7, 7, "one value is every percentile"},
		{[]float64{1, 9}, 1, 9, 1, 9, "half of two values is the first"},
		{[]float64{1, 2, 3}, 2, 3, 1, 3, "rank 1.5 is rounded up"},
		{[]float64{15, 20, 35, 40, 50}, 35, 50, 15, 50, "a common example"},
		{upTo(19), 10, 19, 1, 19, "below 20 values the p95 is the largest"},
		{upTo(20), 10, 19, 1, 20, "of 20 values it is the 19th"},
		{upTo(100), 50, 95, 1, 100, "of 100 values they are their ranks"},
		{upTo(101), 51, 96, 2, 101, "rank 95.95 is rounded up"},
		{[]float64{4, 4, 4, 4}, 4, 4, 4, 4, "equal values"},
		{[]float64{-2, 0}, -2, 0, -2, 0, "negative values"},
	} {
		for p, want := range map[int]float64{50: tt.p50, 95: tt.p95, 1: tt.p1, 100: tt.p100} {
			if got := percentile(tt.sorted, p); got != want {
				t.Errorf("%s: p%d is %v, want %v", tt.condition, p, got, want)
			}
		}
	}
}

// stopOf returns a report of a stop in which each child took some ms. The first child is on the
// critical path.
func stopOf(began int, took map[string]float64, names ...string) *Document {
	d := &Document{
		Origin: Origin{Schema: Schema, Config: "/etc/app.hcl"}, Verdict: event.Graceful,
		Began: time.Unix(int64(began), 0).UTC(), Findings: []Finding{},
	}
	for i, name := range names {
		ms := took[name]
		d.Elapsed = max(d.Elapsed, ms)
		d.Children = append(d.Children, Child{
			Child: name, Pid: i + 1, Steps: []Step{{Step: 1, Signal: "SIGTERM"}}, Stop: &ms,
		})
	}
	d.Budget = []TimeShare{{Who: names[0], Kind: "child", To: d.Elapsed}}
	return d
}

func addFinding(d *Document, child, kind, finding, target string) {
	d.Verdict = event.Leaky
	d.Findings = append(d.Findings, Finding{
		Child: child, Kind: kind, Finding: finding, Target: target, Advice: "close it",
	})
}

// collect returns the summary of reports with the names 1.json, 2.json and so on.
func collect(t *testing.T, all ...*Document) *Summary {
	t.Helper()
	c := NewCollector()
	for i, d := range all {
		if same := c.Add(fmt.Sprintf("%d.json", i+1), d); same != "" {
			t.Errorf("report %d is the same as %s", i+1, same)
		}
	}
	return c.Summary()
}

func TestSummary(t *testing.T) {
	var all []*Document
	for i := range 20 {
		all = append(all, stopOf(i, map[string]float64{"web": float64(i + 1), "db": 3},
			"web", "db"))
	}
	// The 20th stop is of a rolling update: two processes of web, one of which got SIGKILL.
	slow, forced := 500.0, all[19]
	forced.Verdict, forced.Omitted = event.Forced, 7
	forced.Children = append(forced.Children, Child{
		Child: "web", Steps: []Step{{1, "SIGTERM", 0}, {2, "SIGKILL", 400}}, Stop: &slow,
	}, Child{Child: "job"})
	for _, port := range []string{"4001", "4002"} {
		for _, d := range all[:2] {
			addFinding(d, "web", "socket", "unread_data", "tcp 10.0.0.1:80 -> 10.0.0.2:"+port)
		}
	}
	s := collect(t, all...)
	if s.Reports != 20 || s.Graceful != 17 || s.Leaky != 2 || s.Forced != 1 || s.Omitted != 7 ||
		s.First.Unix() != 0 || s.Last.Unix() != 19 ||
		!slices.Equal(s.Configs, []string{"app.hcl"}) {
		t.Errorf("got the totals %+v", s)
	}
	want := []ChildSummary{
		{"web", Times{21, 11, 20, 500, "20.json"}, 20, 20, 1, 2},
		{"db", Times{20, 3, 3, 3, "1.json"}, 20, 0, 0, 0},
		{"job", Times{}, 1, 0, 0, 0},
	}
	if !slices.Equal(s.Children, want) {
		t.Errorf("got the children\n%+v, want\n%+v", s.Children, want)
	}
	finding := FindingSummary{
		FindingID{"web", "", "unread_data", "tcp connection"}, 2, "close it",
	}
	if !slices.Equal(s.Findings, []FindingSummary{finding}) {
		t.Errorf("got the findings %+v, want %+v", s.Findings, finding)
	}
	if empty := NewCollector().Summary(); empty.Reports != 0 || empty.Stop != (Times{}) {
		t.Errorf("without a report: got %+v", empty)
	}
}

// TestSameReport checks that a report counts once, as JSON and as a page.
func TestSameReport(t *testing.T) {
	d := fullStop()
	text, err := json.MarshalIndent(d, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	var html bytes.Buffer
	check(t, Page(&html, d))
	c := NewCollector()
	for name, content := range map[string]string{"a": string(text), "b": html.String()} {
		d, err := Read(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		c.Add(name, d)
	}
	if s := c.Summary(); s.Reports != 1 || s.Stop.N != 1 {
		t.Errorf("the same report was counted %d times", s.Reports)
	}
	d.Began = d.Began.Add(time.Second)
	if same := c.Add("c", d); same != "" {
		t.Errorf("a stop at another time is the same as %s", same)
	}
}

func TestChangeOf(t *testing.T) {
	for _, tt := range []struct {
		a, b Times
		want Change
	}{
		{Times{N: 1, P50: 100, P95: 100}, Times{N: 1, P50: 110, P95: 100}, Slower},
		{Times{N: 1, P50: 100, P95: 100}, Times{N: 1, P50: 109.9, P95: 100}, Same},
		{Times{N: 1, P50: 1000, P95: 1000}, Times{N: 1, P50: 1099, P95: 1099}, Same},
		{Times{N: 1, P50: 1, P95: 1}, Times{N: 1, P50: 10.9, P95: 10.9}, Same},
		{Times{N: 9, P50: 10, P95: 10}, Times{N: 9, P50: 10, P95: 20}, Slower},
		{Times{N: 9, P50: 50, P95: 50}, Times{N: 9, P50: 10, P95: 90}, Slower},
		{Times{N: 9, P50: 50, P95: 90}, Times{N: 9, P50: 10, P95: 90}, Faster},
		{Times{N: 9, P50: 50, P95: 90}, Times{}, NotMeasured},
		{Times{}, Times{N: 1, P50: 1}, NotMeasured},
	} {
		if got := changeOf(tt.a, tt.b); got != tt.want {
			t.Errorf("%+v to %+v: got %s, want %s", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	a := stopOf(1, map[string]float64{"web": 50, "db": 90, "cache": 5}, "web", "db", "cache")
	b := stopOf(2, map[string]float64{"web": 200, "db": 20, "queue": 5}, "web", "db", "queue")
	a.Children = append(a.Children, Child{Child: "job"})
	b.Children = append(b.Children, Child{Child: "job"})
	b.Children[0].Steps = append(b.Children[0].Steps, Step{2, "SIGKILL", 100})
	addFinding(a, "web", "socket", "connection_open", "tcp 10.0.0.1:80 -> 10.0.0.2:4001")
	addFinding(b, "web", "socket", "connection_open", "tcp 10.0.0.1:80 -> 10.0.0.9:4444")
	addFinding(a, "web", "pipe", "open", "pipe:[7]")
	addFinding(b, "web", "pipe", "open", "pipe:[8]")
	addFinding(a, "db", "file", "open", "/var/lib/a")
	addFinding(b, "db", "file", "open", "/var/lib/b")
	addFinding(b, "web", "socket", "listener_open", "tcp [::]:80 listen")
	c := Compare(collect(t, a), collect(t, b))
	want := []ChildChange{
		{"web", Slower, 150, 150}, {"queue", Added, 0, 0}, {"cache", Removed, 0, 0},
		{"db", Faster, -70, -70}, {"job", NotMeasured, 0, 0},
	}
	if c.Stop != Slower || !slices.Equal(c.Children, want) {
		t.Errorf("got %s and\n%+v, want slower and\n%+v", c.Stop, c.Children, want)
	}
	targets := func(all []FindingSummary) (some []string) {
		for _, f := range all {
			some = append(some, f.Target)
		}
		return some
	}
	added, gone := targets(c.NewFindings), targets(c.GoneFindings)
	if !slices.Equal(added, []string{"/var/lib/b", "tcp [::]:80 listen"}) ||
		!slices.Equal(gone, []string{"/var/lib/a"}) {
		t.Errorf("new findings %q, gone findings %q", added, gone)
	}
	var text bytes.Buffer
	check(t, ComparisonText(&text, c, "old", "new"))
	for _, want := range []string{
		"A old: 1 stop of app.hcl: 0 graceful, 1 leaky, 0 forced\n",
		"the whole stop: slower, p50 90 → 200 ms, p95 90 → 200 ms, worst 90 → 200 ms\n",
		"web       slower        1      50 → 200  50 → 200  50 → 200  - → 1 of 1  1 of 1\n",
		"queue     added         0 → 1  - → 5     - → 5     - → 5\n",
		"\nNEW FINDINGS  FINDING        TARGET              STOPS  ADVICE\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	text.Reset()
	same := collect(t, a)
	check(t, ComparisonText(&text, Compare(same, same), "old", "old"))
	if !strings.Contains(text.String(), "no new findings") ||
		strings.Contains(text.String(), "→") {
		t.Errorf("a set compared with itself: got\n%s", text.String())
	}
}

// TestHostileSummary checks that names in reports cannot act on a terminal or break a table.
func TestHostileSummary(t *testing.T) {
	d := stopOf(1, map[string]float64{"\x1b[2J\nx": 1e300}, "\x1b[2J\nx")
	d.Config = "/\x1b]0;x\x07.hcl"
	addFinding(d, "\x1b[2J\nx", "file", "\u202e", "/\n\x1b")
	s := collect(t, d)
	var text bytes.Buffer
	check(t, SummaryText(&text, s))
	check(t, ComparisonText(&text, Compare(s, collect(t, stopOf(2, nil, "a"))), "\x1b", "b"))
	if strings.ContainsAny(text.String(), "\x1b\x07\u202e") {
		t.Errorf("got %q", text.String())
	}
}
