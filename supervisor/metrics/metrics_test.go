package metrics

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is what a scrape reads.
type source struct {
	status api.Status
	err    error
	output map[string][2]Output
}

func newMetrics(s *source) *Metrics {
	return New(Options{
		Version:   "v1",
		Status:    func(context.Context) (api.Status, error) { return s.status, s.err },
		Own:       func() *api.Usage { return &api.Usage{CPUSeconds: 1.5, FDs: 9} },
		Output:    func() map[string][2]Output { return s.output },
		LinesLost: func() uint64 { return 7 },
	})
}

// configOf returns a configuration with one instance for each child.
func configOf(listen string, children ...string) *config.Config {
	c := &config.Config{Metrics: config.Metrics{Listen: listen}}
	for _, name := range children {
		c.Children = append(c.Children, &config.Child{
			Name: name, Instances: []*config.Instance{{Name: name, Child: name}},
		})
	}
	return c
}

// scrape returns the lines of a scrape without the comments, and those that begin with a prefix.
func scrape(t *testing.T, m *Metrics, prefix string) (all, some []string) {
	t.Helper()
	write, err := m.Scrape(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		all = append(all, line)
		if strings.HasPrefix(line, prefix) {
			some = append(some, line)
		}
	}
	return all, some
}

// expect checks that a scrape has lines.
func expect(t *testing.T, m *Metrics, want ...string) {
	t.Helper()
	all, _ := scrape(t, m, "")
	text := "\n" + strings.Join(all, "\n") + "\n"
	for _, line := range want {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s in%s", line, text)
		}
	}
}

// emitFacts emits the facts of some processes of the instance a.
func emitFacts(m *Metrics) {
	stopped := func(exit event.Exit, took time.Duration) event.Reaped {
		return event.Reaped{
			Child: "a", Exit: exit, Stopped: true, Stop: took, Timeout: time.Second,
			User: time.Second,
		}
	}
	for _, e := range []event.Event{
		event.Spawned{Child: "a"}, event.Reaped{Child: "a", Success: true, System: time.Second},
		event.Restarting{Child: "a"},
		event.Spawned{Child: "a"}, event.Reaped{Child: "a", Exit: event.Exit{Code: 1}},
		event.Spawned{Child: "a"}, event.Reaped{Child: "a", Exit: event.Exit{Signal: "SIGSEGV"}},
		event.SpawnFailed{Child: "a"},
		event.Spawned{Child: "a"}, stopped(event.Exit{Signal: "SIGTERM"}, 20*time.Millisecond),
		event.Spawned{Child: "a"}, event.FDClosed{Owner: "a", Finding: "unread_data"},
		event.FDClosed{Owner: "a"}, stopped(event.Exit{}, 600*time.Millisecond),
		event.Spawned{Child: "a"}, event.FDClosed{Owner: "a", Finding: "open"},
		event.SignalSent{Child: "a", Signal: "SIGKILL", Step: 2}, // a descendant
		event.SignalSent{Child: "a", Signal: "SIGKILL"},          // requested, no step of a stop
		stopped(event.Exit{Signal: "SIGKILL"}, 2*time.Second),
		event.Reaped{Child: "unknown", Stopped: true}, event.FDClosed{Owner: "sh", Finding: "open"},
		event.OrphanReaped{}, event.OutputDropped{Bytes: 12},
		event.ConfigReloaded{}, event.ConfigRejected{}, event.ReloadIgnored{},
	} {
		m.Emit(e)
	}
	near := event.FDLimitNear{FDGrowth: event.FDGrowth{Child: "a"}}
	for _, e := range []event.Event{
		event.HookStarted{Child: "a", Hook: "pre_start"},
		event.HookEnded{Child: "a", Hook: "pre_start"},
		event.HookEnded{Child: "a", Hook: "post_stop", Failure: "exited with code 1"},
		event.HookNotStarted{Child: "a", Hook: "on_failure"},
		event.FDLeakSuspected{FDGrowth: event.FDGrowth{Child: "a"}}, near, near,
	} {
		m.Emit(e)
	}
	m.CountCheck("a", "alive", event.CheckIsPassed)
	m.CountCheck("a", "alive", event.CheckIsFailed)
	m.CountCheck("unknown", "alive", event.CheckIsFailed)
}

// TestCounts checks the counts of all facts.
func TestCounts(t *testing.T) {
	s := &source{
		status: api.Status{Instances: []api.Instance{{Name: "a", Child: "a", Pid: 7, Ready: true}}},
		output: map[string][2]Output{"a": {{3, 30}, {1, 10}}},
	}
	m := newMetrics(s)
	m.Configure(configOf(":1", "a"))
	emitFacts(m)
	const of = `{child="a",replica="a"`
	expect(t, m, `supervisor_build_info{version="v1",goversion="`+goVersion+`"} 1`,
		"supervisor_cpu_seconds_total 1.5", "supervisor_output_lost_lines_total 7",
		"supervisor_output_lost_bytes_total 12", "supervisor_orphans_reaped_total 1",
		`supervisor_config_reloads_total{result="success"} 1`,
		`supervisor_config_reloads_total{result="rejected"} 1`,
		`supervisor_config_reloads_total{result="ignored"} 1`,
		"supervisor_config_last_reload_successful 0",
		"supervisor_child_up"+of+"} 1", "supervisor_child_ready"+of+"} 1",
		"supervisor_child_starts_total"+of+"} 6", "supervisor_child_restarts_total"+of+"} 1",
		"supervisor_child_start_failures_total"+of+"} 1",
		"supervisor_child_exits_total"+of+`,reason="success"} 1`,
		"supervisor_child_exits_total"+of+`,reason="failure"} 1`,
		"supervisor_child_exits_total"+of+`,reason="signal"} 1`,
		"supervisor_child_exits_total"+of+`,reason="stopped"} 2`,
		"supervisor_child_exits_total"+of+`,reason="killed"} 1`,
		"supervisor_child_stops_total"+of+`,verdict="graceful"} 1`,
		"supervisor_child_stops_total"+of+`,verdict="leaky"} 1`,
		"supervisor_child_stops_total"+of+`,verdict="forced"} 1`,
		"supervisor_child_kills_total"+of+"} 1",
		"supervisor_child_findings_total"+of+`,finding="unread_data"} 1`,
		"supervisor_child_findings_total"+of+`,finding="open"} 1`,
		"supervisor_child_checks_total"+of+`,check="alive",result="passed"} 1`,
		"supervisor_child_checks_total"+of+`,check="alive",result="failed"} 1`,
		"supervisor_child_fd_warnings_total"+of+`,warning="leak"} 1`,
		"supervisor_child_fd_warnings_total"+of+`,warning="limit"} 2`,
		"supervisor_child_hooks_total"+of+`,hook="pre_start",result="success"} 1`,
		"supervisor_child_hooks_total"+of+`,hook="pre_start",result="failure"} 0`,
		"supervisor_child_hooks_total"+of+`,hook="post_stop",result="failure"} 1`,
		"supervisor_child_hooks_total"+of+`,hook="on_failure",result="not_started"} 1`,
		"supervisor_child_output_lines_total"+of+`,stream="stdout"} 3`,
		"supervisor_child_output_bytes_total"+of+`,stream="stderr"} 10`,
		`supervisor_child_stop_duration_seconds_bucket{child="a",le="0.025"} 1`,
		`supervisor_child_stop_duration_seconds_bucket{child="a",le="+Inf"} 3`,
		`supervisor_child_stop_duration_seconds_count{child="a"} 3`,
		`supervisor_child_stop_timeout_ratio_bucket{child="a",le="0.75"} 2`,
		`supervisor_child_stop_timeout_ratio_sum{child="a"} 2.62`,
		"supervisor_child_cpu_seconds_total"+of+"} 4")
}

// TestRemoved checks that the series of an instance end with its last process, and that nothing is
// counted without the block.
func TestRemoved(t *testing.T) {
	s := &source{status: api.Status{Instances: []api.Instance{
		{Name: "a", Child: "a"}, {Name: "b", Child: "b", Pid: 8},
	}}}
	m := newMetrics(s)
	m.Configure(configOf(":1", "a", "b"))
	stop := event.Reaped{Child: "b", Stopped: true, Stop: time.Millisecond, Timeout: time.Second}
	m.Emit(stop)
	m.Configure(configOf(":1", "a"))
	m.Emit(stop)
	if _, got := scrape(t, m, `supervisor_child_stop_duration_seconds_count{child="b"} 2`); len(
		got) != 1 {
		t.Errorf("while b has a process: got %q, want its two stops", got)
	}
	s.status.Instances = s.status.Instances[:1]
	// The next scrape sees that b has ended, and forgets it. What happens later is not counted.
	_, _ = scrape(t, m, "")
	m.Emit(stop)
	all, _ := scrape(t, m, "")
	if text := strings.Join(all, "\n"); strings.Contains(text, `child="b"`) {
		t.Errorf("b has series after its end:\n%s", text)
	}
	counted := []event.Event{
		event.Spawned{Child: "a"}, event.OrphanReaped{}, event.ReloadIgnored{},
	}
	for _, listen := range []string{":1", ""} { // with the block, and without it
		m.Configure(configOf(listen, "a"))
		for _, e := range counted {
			m.Emit(e)
		}
	}
	m.Configure(configOf(":1", "a"))
	expect(t, m, `supervisor_child_starts_total{child="a",replica="a"} 0`,
		"supervisor_orphans_reaped_total 0",
		`supervisor_config_reloads_total{result="ignored"} 0`)
}

// TestHostileNames checks the labels of names with every special character.
func TestHostileNames(t *testing.T) {
	const name = "a\"} 1\n# TYPE x\\counter\xff"
	s := &source{status: api.Status{Instances: []api.Instance{{Name: name, Child: name}}}}
	m := newMetrics(s)
	m.Configure(configOf(":1", name))
	m.Emit(event.Reaped{Child: name, Stopped: true, Timeout: time.Second})
	all, _ := scrape(t, m, "")
	line := regexp.MustCompile(`^[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"` +
		`(,[a-z]+="([^"\\\n]|\\["\\n])*")*\})? [0-9.e+-]+$`)
	for _, l := range all {
		if !line.MatchString(l) {
			t.Errorf("%q is not a sample", l)
		}
	}
	const label = `a\"} 1\n# TYPE x\\counter` + "\uFFFD"
	expect(t, m, `supervisor_child_up{child="`+label+`",replica="`+label+`"} 0`,
		`supervisor_child_stop_duration_seconds_count{child="`+label+`"} 1`)
}

// TestUsage checks what a process tree uses: of two processes of one instance, of one that does not
// exist, and CPU time, which never decreases.
func TestUsage(t *testing.T) {
	usage := func(cpu float64, fds int) *api.Usage {
		return &api.Usage{Processes: 1, Threads: 2, CPUSeconds: cpu, MemoryBytes: 100, FDs: fds}
	}
	s := &source{status: api.Status{Instances: []api.Instance{
		{Name: "a", Child: "a", Pid: 1, Usage: usage(5, 3)},
		{Name: "a", Child: "a", Pid: 2, Usage: usage(1, 4), Surge: true, Ready: true},
		{Name: "b", Child: "b", Usage: usage(1, -1)}, {Name: "c", Child: "c"},
	}}}
	m := newMetrics(s)
	m.Configure(configOf(":1", "a", "b", "c"))
	expect(t, m, `supervisor_child_cpu_seconds_total{child="a",replica="a"} 6`,
		`supervisor_child_ready{child="a",replica="a"} 1`,
		`supervisor_child_open_fds{child="a",replica="a"} 7`,
		`supervisor_child_resident_memory_bytes{child="a",replica="a"} 200`)
	if _, got := scrape(t, m, "supervisor_child_open_fds"); len(got) != 1 {
		t.Errorf("got %q, want no descriptors of b, which are unknown, and of c", got)
	}
	s.status.Instances[0].Usage = nil // it has ended, and is not reaped yet
	expect(t, m, `supervisor_child_cpu_seconds_total{child="a",replica="a"} 6`)
	m.Emit(event.Reaped{Child: "a", User: 5500 * time.Millisecond})
	expect(t, m, `supervisor_child_cpu_seconds_total{child="a",replica="a"} 6.5`)
}

// TestScrapeFails checks that a scrape ends with its context and passes an error on.
func TestScrapeFails(t *testing.T) {
	s := &source{err: errors.New("busy")}
	m := newMetrics(s)
	if _, err := m.Scrape(t.Context()); err != s.err {
		t.Errorf("got %v, want %v", err, s.err)
	}
	m.scraping <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Scrape(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v beside another scrape, want the end of the context", err)
	}
}

// TestReloadWhileOff checks that a reload that succeeds while nothing is counted ends the failure
// of the reload before.
func TestReloadWhileOff(t *testing.T) {
	m := newMetrics(&source{})
	m.Configure(configOf(":1", "a"))
	m.Emit(event.ConfigRejected{})
	expect(t, m, "supervisor_config_last_reload_successful 0")
	m.Configure(configOf("", "a"))
	m.Emit(event.ConfigReloaded{})
	m.Configure(configOf(":1", "a"))
	expect(t, m, "supervisor_config_last_reload_successful 1")
}
