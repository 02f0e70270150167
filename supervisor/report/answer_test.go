package report

import (
	"strings"
	"testing"

	"tp0/supervisor/api"
	"tp0/supervisor/event"
)

// TestAnswers explains the instances of a document: one that ignored its signal, one that ended
// gracefully, one that survived, and one that had failed before.
func TestAnswers(t *testing.T) {
	at := func(ms float64) *float64 { return &ms }
	step := func(signal string, ms float64) Step { return Step{Step: 1, Signal: signal, At: ms} }
	d := &Document{
		Elapsed: 3000, Failed: []string{"job"},
		Children: []Child{
			{
				Child: "web1", Pid: 7, Restarts: 2, DependsOn: []string{"db"}, Ended: at(2500),
				Stop: at(2499), Exit: &event.Exit{Signal: "SIGKILL"},
				Steps: []Step{step("SIGTERM", 1), {Step: 2, Signal: "SIGKILL", At: 2490}},
				Why: []string{
					"web1 ignores SIGTERM: SIGKILL ended it", "2000 ms after it waited",
				},
			},
			{
				Child: "db", Pid: 8, Ended: at(2600), Stop: at(90), Exit: &event.Exit{},
				Steps: []Step{step("SIGTERM", 2510)},
			},
			{Child: "stuck", Pid: 9, Steps: []Step{step("SIGTERM", 1)}},
			{Child: "done", Pid: 10, Ended: at(5), Exit: &event.Exit{Code: 4}},
		},
		Budget:   []TimeShare{{Who: "web1", Pid: 7, From: 1, To: 2500}},
		Findings: []Finding{{Child: "web1", Pid: 7, FD: 5, Target: "tcp x", Harm: "It was cut."}},
		Before:   []EarlierEnd{{Child: "job", Restarts: 5, Exit: event.Exit{Code: 1}}},
		Warnings: []Instant{
			{At: -100, Child: "job", What: "child failed", Why: "exited with code 1"},
		},
	}
	for name, want := range map[string]string{
		"web1": "web1 ignores SIGTERM: SIGKILL ended it. | 2000 ms after it waited. | " +
			"SIGTERM was sent 1 ms after the stop began (step 1). | " +
			"SIGKILL was sent 2490 ms after the stop began (step 2). | " +
			"It determined 2499 ms of the 3000 ms of the stop: the rest of the stop waited for " +
			"it. | It is stopped before its dependencies: db. | " +
			"Descriptor 5 (tcp x) is a finding: It was cut. | " +
			"It was restarted 2 times before the stop.",
		"db": "db ended gracefully, 90 ms after SIGTERM, with code 0. | SIGTERM was sent 2510 ms " +
			"after the stop began (step 1).",
		"stuck": "stuck survived the stop. | SIGTERM was sent 1 ms after the stop began (step 1).",
		"done":  "done ended by itself, with code 4.",
		"job": "job had failed before the stop began: code 1. | It was restarted 5 times before " +
			"the stop. | 100 ms before the stop began: child failed: exited with code 1.",
	} {
		all := Why(d, name)
		if len(all) != 1 {
			t.Errorf("%s: %d answers, want 1", name, len(all))
			continue
		}
		got := strings.Join(append([]string{all[0].Answer}, all[0].Evidence...), " | ")
		if got != want {
			t.Errorf("%s: got %s\nwant %s", name, got, want)
		}
	}
	if all := Why(d, "web"); len(all) != 1 || all[0].Situation != api.TakesLongToStop {
		t.Errorf("by the name of the child: got %+v", all)
	}
	if all := Why(d, "we"); len(all) != 0 || len(d.Names()) != 5 {
		t.Errorf("got %+v for an unknown name, and the names %v", all, d.Names())
	}
}
