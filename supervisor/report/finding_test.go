package report

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/findings"
)

// stopWithLeaks returns the report of a stop in which web leaked descriptors. web has no SIGTERM
// handler. Processes were killed before the stop.
func stopWithLeaks(leaked ...event.FDClosed) *Document {
	t := newTimedRecorder()
	t.after(
		0, event.Spawned{Child: "web", Pid: 10, Command: "web"},
		event.SignalNotHandled{Child: "web", Pid: 10, Signal: "SIGTERM", Disposition: "default"},
	)
	t.after(50, event.SignalReceived{Signal: "SIGTERM"})
	t.after(1, event.SignalSent{Child: "web", Pid: 10, Signal: "SIGTERM", Step: 1})
	for _, f := range leaked {
		f.Owner, f.By, f.Proof = "web", event.ByKernel, event.ProofExact
		if f.Pid == 0 {
			f.Pid = 10
		}
		t.after(0, f)
	}
	t.after(2, event.Reaped{
		Child: "web", Pid: 10, Exit: event.Exit{Signal: "SIGTERM"}, Stopped: true,
		Stop: 2 * time.Millisecond, Left: len(leaked), Proof: event.ProofExact,
	})
	f := facts(5 * time.Millisecond)
	f.Config = "/srv/shop/supervisor.hcl"
	f.Complete.Spawned, f.Complete.Reaped, f.Complete.KilledBefore = 9, 9, 3
	f.Complete.Left, f.Complete.LeftBefore = len(leaked), 7
	for _, l := range leaked {
		if l.Finding != "" {
			f.Complete.Findings++
		}
	}
	return t.Report(f)
}

var (
	lost = event.FDClosed{
		Pid: 12, Process: "worker", FD: 8, Kind: "socket",
		Target:  "tcp 127.0.0.1:80 -> 127.0.0.1:9",
		Finding: string(findings.UnreadData), Harm: "7 bytes arrived and were never read",
		Advice: "read to the end of the stream",
	}
	listening = event.FDClosed{
		FD: 3, Kind: "socket", Target: "tcp 0.0.0.0:80 listen",
		Finding: string(findings.ListenerOpen), Harm: "it accepted connections",
		Advice: "close the listener first",
	}
	logFile = event.FDClosed{FD: 4, Kind: "file", Target: "/var/log/web.log"}
)

func TestFindings(t *testing.T) {
	d := stopWithLeaks(listening, logFile, lost)
	want := []Finding{
		{
			"web", 12, "worker", 8, "socket", lost.Target, "unread_data", lost.Harm, lost.Advice,
		},
		{"web", 10, "", 3, "socket", listening.Target, "listener_open", listening.Harm,
			listening.Advice},
	}
	if !slices.Equal(d.Findings, want) {
		t.Errorf("got %+v\nwant %+v", d.Findings, want)
	}
	if f := d.Children[0].Left[0]; f.Finding != "listener_open" {
		t.Errorf("got the finding %q of the descriptor, want listener_open", f.Finding)
	}
	text := printed(t, d)
	for _, want := range []string{
		"web (worker)  12   8   unread_data    " + lost.Harm + "\n",
		"                                      " + lost.Advice + "\n",
		"LEFT OPEN, NO FINDING  PID  FD  KIND  TARGET            DETAILS  PROOF\n" +
			"web                    10   4   file  /var/log/web.log           exact\n\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestCountsOfTheStopAlone checks that the report separates the numbers of the stop from the totals
// since the start.
func TestCountsOfTheStopAlone(t *testing.T) {
	d := stopWithLeaks(listening, logFile, lost)
	want := Counts{Processes: 1, Ended: 1, Findings: 2, Left: 3}
	if d.Stop != want {
		t.Errorf("got %+v, want %+v", d.Stop, want)
	}
	text := printed(t, d)
	for _, want := range []string{
		"in this stop: 1 process, 1 ended, 0 killed, 0 orphans, 2 findings, 3 left open\n",
		"\nSINCE THE START", "9 started, 9 reaped\n", "3 before this stop, 0 in it\n",
		"7 before this stop, 3 in it\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	cards, _, _ := strings.Cut(page(t, d), "<h2>Timeline")
	_, cards, _ = strings.Cut(cards, `<div class="cards"`)
	for _, want := range []string{
		"<b>1 <small>of 1 ended", "none killed", `class="bad">2 <small>of 3 left open`,
	} {
		if !strings.Contains(cards, want) {
			t.Errorf("no %q in\n%s", want, cards)
		}
	}
	if strings.Contains(cards, "9") {
		t.Errorf("the tiles have a total since the start:\n%s", cards)
	}
}

// TestEndThatBeginsTheStop checks that a process whose end begins the stop is in the stop with its
// descriptors, and that an earlier end is not.
func TestEndThatBeginsTheStop(t *testing.T) {
	for wait, want := range map[float64]int{1: 1, 500: 0} {
		r := newTimedRecorder()
		for i, name := range []string{"early", "job"} {
			r.after(
				1, event.Spawned{Child: name, Pid: i + 1},
				event.FDClosed{
					Owner: name, Pid: i + 1, FD: 3, By: event.ByKernel,
					Finding: string(findings.Open),
				},
				event.Reaped{Child: name, Pid: i + 1, Left: 1},
			)
		}
		r.after(wait, event.ShutdownBegun{Reason: "nothing runs"})
		d := r.Report(facts(time.Millisecond))
		if len(d.Children) != want || len(d.Findings) != want || len(d.Before) != 2-want {
			t.Errorf("after %v ms: got %+v, %+v and before %+v, want %d process in the stop",
				wait, d.Children, d.Findings, d.Before, want)
		}
		if r.instances["early"].latest.fds != nil {
			t.Error("the descriptors of an earlier end are kept")
		}
	}
}

// TestOrderOfTheParts checks the order of the page and of the tables.
func TestOrderOfTheParts(t *testing.T) {
	d := stopWithLeaks(listening, logFile, lost)
	inOrder(t, page(t, d), "<h1>shop/supervisor.hcl</h1>", "<h2>Timeline", "<h2>Who took the time",
		"<h3>Why", "<h2>Findings", "<details><summary>Children",
		"<details><summary>Left open, no finding", "<details><summary>Since the start")
	inOrder(t, printed(t, d), "leaky: ", "WHO TOOK THE TIME", "WHY", "FINDINGS", "CHILDREN",
		"LEFT OPEN, NO FINDING", "SINCE THE START")
	if _, rest, _ := strings.Cut(page(t, d), "<h2>Findings"); strings.Contains(rest, "<h2>") {
		t.Error("a section after the findings is not folded")
	}
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			t.Fatalf("no %q after the part before it, in\n%.4000s", part, text)
		}
		text = rest
	}
}

func page(t *testing.T, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := Page(&b, d); err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(b.String(), jsonElement)
	return text
}

// red matches an element that the page shows in red.
var red = regexp.MustCompile(`class="[^"]*\b(bad|kill|badtext|killtext)\b[^"]*"`)

// TestRedIsForHarm checks that the page has red for harm only: lost data and kills.
func TestRedIsForHarm(t *testing.T) {
	killed := stopWithLeaks(logFile)
	killed.Verdict, killed.Stop.Killed = event.Forced, 1
	for name, test := range map[string]struct {
		d    *Document
		want bool
	}{
		"nothing left":          {stopWithLeaks(), false},
		"file left, no finding": {stopWithLeaks(logFile), false},
		"listener left":         {stopWithLeaks(listening), false},
		"bytes unread":          {stopWithLeaks(lost), true},
		"killed":                {killed, true},
	} {
		if found := red.FindString(page(t, test.d)); (found != "") != test.want {
			t.Errorf("%s: got %q in red, want red: %v", name, found, test.want)
		}
	}
}

// TestEachCellNamesItsColumn checks that each cell has the name of its column: a narrow screen
// shows it beside the cell.
func TestEachCellNamesItsColumn(t *testing.T) {
	for _, d := range []*Document{fullStop(), stopWithLeaks(lost, logFile), many(3)} {
		text := page(t, d)
		n, named := strings.Count(text, "<td"), strings.Count(text, `data-label="`)
		if n != named || n == 0 {
			t.Errorf("%d of %d cells name their column", named, n)
		}
		if strings.Contains(text, `data-label=""`) {
			t.Error("a cell names no column")
		}
	}
}

type whyTest struct {
	name  string
	child Child
	want  []string
}

// whyTests are stops of the child web. SIGTERM was sent at 1 ms, SIGKILL at 101 ms.
func whyTests() []whyTest {
	ms := func(n float64) *float64 { return &n }
	killed, quit, ended := &event.Exit{Signal: "SIGKILL"}, &event.Exit{},
		&event.Exit{Signal: "SIGTERM"}
	connection := FD{Kind: "socket", Target: "tcp 127.0.0.1:80 -> 127.0.0.1:9"}
	kill := []Step{{1, "SIGTERM", 1}, {2, "SIGKILL", 101}}
	noHandler := &NoHandler{"SIGTERM", "default"}
	slow := func(disposition string, cpu float64) []Slow {
		return []Slow{{At: 51, Signal: "SIGTERM", Disposition: disposition, CPU: cpu}}
	}
	const waited = "50 ms after its first signal it waited, with 0 ms of CPU used"
	return []whyTest{
		{"quick", Child{Steps: kill[:1], Exit: quit, Stop: ms(2), Ended: ms(3)}, nil},
		{"no signal", Child{Exit: quit, Ended: ms(3)}, nil},
		{
			"no handler", Child{
				Steps: kill[:1], NoHandler: noHandler, Exit: ended, Ended: ms(2),
				Descriptors: Descriptors{Left: []FD{connection, connection, {}}},
			},
			[]string{"web has no SIGTERM handler: it ended at once, " +
				"requests in flight on its 2 connections were cut"},
		},
		{
			"no handler, idle",
			Child{Steps: kill[:1], NoHandler: noHandler, Exit: ended, Ended: ms(2)},
			[]string{"web has no SIGTERM handler: it ended at once, " +
				"and would have cut requests in flight"},
		},
		{
			"handler set later",
			Child{Steps: kill[:1], NoHandler: noHandler, Exit: quit, Ended: ms(2)}, nil,
		},
		{
			"ignored",
			Child{Steps: kill, Exit: killed, Stop: ms(102), Ended: ms(103),
				Slow: slow("ignored", 0)},
			[]string{"web ignores SIGTERM: SIGKILL ended it after 102 ms", waited},
		},
		{
			"blocked", Child{Steps: kill, Exit: killed, Ended: ms(103), Slow: slow("blocked", 0)},
			[]string{"web blocks SIGTERM, so the signal was not delivered: " +
				"SIGKILL ended it after 102 ms", waited},
		},
		{
			"caught, computes",
			Child{Steps: kill[:1], Exit: quit, Ended: ms(91), Slow: slow("caught", 49)},
			[]string{"web handles SIGTERM and was slow to end: it ended after 90 ms",
				"50 ms after its first signal it computed, with 49 ms of CPU used"},
		},
		{
			"survived", Child{Steps: kill, Slow: slow("awaited", 0)},
			[]string{"web takes SIGTERM with sigwait(3) and was slow to end: it survived the stop",
				waited},
		},
		{
			"killed, not seen", Child{Steps: kill, Exit: killed, Ended: ms(103)},
			[]string{"web did not end after SIGTERM: SIGKILL ended it after 102 ms"},
		},
	}
}

func TestWhy(t *testing.T) {
	for _, test := range whyTests() {
		t.Run(test.name, func(t *testing.T) {
			test.child.Child = "web"
			if got := test.child.explain(200); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestWhyNamesThreads(t *testing.T) {
	c := Child{Child: "web", Steps: []Step{{1, "SIGTERM", 1}}, Slow: []Slow{{At: 51}}}
	c.Slow[0].Threads = []string{"7 runs", "sh (pid 8): 8 runs", "9 runs", "10 runs", "11 runs"}
	want := []string{"thread 7 runs", "sh (pid 8): 8 runs", "thread 9 runs", "2 more threads"}
	if got := c.explain(200)[2:]; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestManyExplanations checks that the slowest children are explained, and the rest is counted.
func TestManyExplanations(t *testing.T) {
	d := many(1000)
	for i := range d.Children {
		d.Children[i].Why = []string{d.Children[i].Child + " was slow", "it waited"}
	}
	all, more := explanations(d)
	if len(all) != maxExplained || more != 1000-maxExplained || all[0][0] != "c999 was slow" {
		t.Errorf("%d explained, %d more, first %q", len(all), more, all[0])
	}
	if text := page(t, d); !strings.Contains(text, "980 more explanations") {
		t.Error("the page does not count the explanations that it leaves out")
	}
}

// TestSameExplanations checks that children with the same sentence share it.
func TestSameExplanations(t *testing.T) {
	d := many(10)
	for i := range d.Children {
		c := &d.Children[i]
		c.Why = []string{c.Child + " has no handler"}
	}
	d.Children[3].Why[0] = "c3 did not end"
	d.Children[4].Why = nil
	want := [][]string{{"c9 has no handler; the same is true of 7 more"}, {"c3 did not end"}}
	if got, more := explanations(d); !reflect.DeepEqual(got, want) || more != 0 {
		t.Errorf("got %q and %d more, want %q", got, more, want)
	}
}

// TestFailedAndUnproven checks that the report names the failed instances, and counts the processes
// without an exact proof.
func TestFailedAndUnproven(t *testing.T) {
	r := NewRecorder()
	f := facts(time.Millisecond)
	f.Complete.Failed, f.Complete.Unproven = []string{"job", "b<i>\xff"}, 2
	d := r.Report(f)
	text, shown := printed(t, d), page(t, d)
	for _, want := range []string{
		"\nfailed: job, b<i>\ufffd\n", "\nwithout an exact proof: 2 processes\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, want := range []string{"failed: job, b&lt;i&gt;\ufffd<", "2 processes not proven"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in the page", want)
		}
	}
}

func TestName(t *testing.T) {
	for config, want := range map[string]string{
		"/srv/shop/supervisor.hcl": "shop/supervisor.hcl",
		"/supervisor.hcl":          "supervisor.hcl",
		"/etc/echo.hcl":            "echo.hcl",
		"":                         "web",
	} {
		d := Document{Origin: Origin{Config: config}, Children: []Child{{Child: "web"}}}
		if got := d.name(); got != want {
			t.Errorf("%q: got %q, want %q", config, got, want)
		}
	}
}

// TestOlderDocument checks that a document without the keys that were added later can be read
// and printed.
func TestOlderDocument(t *testing.T) {
	b, err := json.Marshal(fullStop())
	if err != nil {
		t.Fatal(err)
	}
	var older map[string]any
	if err := json.Unmarshal(b, &older); err != nil {
		t.Fatal(err)
	}
	delete(older, "stop")
	delete(older, "findings")
	for _, key := range []string{"killed_before", "fds_left_before", "findings", "unproven"} {
		delete(older["balance"].(map[string]any), key)
	}
	for _, c := range older["children"].([]any) {
		delete(c.(map[string]any), "why")
	}
	if b, err = json.Marshal(older); err != nil {
		t.Fatal(err)
	}
	d, err := Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := printed(t, d), printed(t, fullStop()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	page(t, d)
}
