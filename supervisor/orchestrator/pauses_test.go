package orchestrator

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

// TestPause checks that a pause of the supervisor does not count against a child, and that a child
// that hangs is still found.
func TestPause(t *testing.T) {
	byNotify := config.Ready{Notify: true, Watchdog: 10 * time.Second}
	notifies := configs(newConfig(child("a", readyBy(byNotify))))
	starting := []step{{"", "spawn a"}, {"spawned a", ""}}
	watched := append(starting[:2:2], step{"notify a READY=1", "a ready"})
	runScripts(t, beginWith(starting,
		script{"the timeout of a ready block with notify", notifies, []step{
			{"wait 900ms", ""}, {"pause 1m", ""}, {"wait 900ms", "paused"},
			{"notify a READY=1", "a ready"}}},
		script{"a pause that is over before the end", notifies, []step{
			{"wait 200ms", ""}, {"pause 600ms", ""}, {"wait 900ms", "paused"},
			{"wait 200ms", "a not ready, SIGTERM a"}}},
		script{"a probe", configs(newConfig(child("a", neverReady))), []step{
			{"wait 900ms", ""}, {"pause 1m", ""}, {"wait 900ms", "paused"},
			{"wait 200ms", "a not ready, SIGTERM a"}}},
		script{"pauses without end", notifies, []step{
			{"wait 900ms", ""}, {"pause 1m", ""}, {"wait 900ms", "paused"},
			{"pause 1m", ""}, {"wait 150ms", "paused"},
			{"pause 1m", ""}, {"wait 60ms", "paused, a not ready, SIGTERM a"}}},
	))
	runScripts(t, beginWith(watched,
		script{"the watchdog", notifies, []step{
			{"wait 9s", ""}, {"pause 1m", ""}, {"wait 9s", "paused"},
			{"notify a WATCHDOG=1", ""}, {"wait 9s", ""},
			{"wait 1s", "a unhealthy, SIGTERM a"}}},
	))
}

// TestPauseInStop checks the steps of a stop sequence.
func TestPauseInStop(t *testing.T) {
	steps := []lifecycle.Step{{Signal: unix.SIGINT, Wait: time.Second},
		{Signal: unix.SIGTERM, Wait: 2 * time.Second}}
	runScripts(t, beginWith(start("a"),
		script{"of a reload", configs(
			newConfig(child("a", killSequence(steps...))), newConfig(child("b"))),
			[]step{
				{"reload 1", "spawn b, SIGINT a"}, {"spawned b", "b ready"},
				{"wait 900ms", ""}, {"pause 1m", ""}, {"wait 900ms", "paused"},
				{"wait 200ms", "SIGTERM a"},
				{"wait 1900ms", ""}, {"pause 1m", ""}, {"wait 1900ms", "paused"},
				{"wait 200ms", "SIGKILL a"}}},
	))
	notifies := configs(newConfig(child("a", readyBy(config.Ready{Notify: true}))))
	runScripts(t, []script{{"of an unhealthy child", notifies, []step{
		{"", "spawn a"}, {"spawned a", ""}, {"notify a READY=1", "a ready"},
		{"notify a WATCHDOG=trigger", "a unhealthy, SIGTERM a"},
		{"wait 1900ms", ""}, {"pause 1m", ""}, {"wait 1900ms", "paused"},
		{"wait 200ms", "SIGKILL a"}}}})
	slow := killSignal(unix.SIGTERM, 4800*time.Millisecond)
	up := []step{{"", "spawn a"}, {"spawned a", "a ready, spawn b"}, {"spawned b", "b ready"}}
	two := configs(newConfig(child("a", slow), child("b", slow, after("a"))))
	runScripts(t, beginWith(up,
		script{"of the final stop, with its part of the rest", two, []step{
			{"TERM", "SIGTERM b"}, {"wait 4s", ""}, {"pause 1m", ""}, {"wait 2s", "paused"},
			{"wait 1200ms", "SIGKILL b, SIGTERM a"}, {"wait 2200ms", ""},
			{"wait 300ms", "SIGKILL a"}}},
		script{"without a pause", two, []step{
			{"TERM", "SIGTERM b"}, {"wait 4s", ""}, {"wait 850ms", "SIGKILL b"}}},
	))
}

// TestPauseInCheck checks the grace, the timeout and the limit of a check.
func TestPauseInCheck(t *testing.T) {
	runScripts(t, beginWith(start("a"),
		script{"the grace", configs(newConfig(child("a", checkBy("0s")))), []step{
			{"wait 4s", ""}, {"pause 1m", ""}, {"wait 4s", "paused"},
			{"wait 2s", "probe a"}}},
		script{"the timeout of an attempt", configs(newConfig(child("a", checkBy("3s")))), []step{
			{"wait 5s", "probe a"}, {"wait 1500ms", ""}, {"pause 1m", ""},
			{"wait 2s", "paused"}, {"wait 6s", ""}}},
		script{"an attempt that hangs", configs(newConfig(child("a", checkBy("1h")))), []step{
			{"wait 5s", "probe a"}, {"wait 1500ms", ""}, {"pause 1m", ""},
			{"wait 1500ms", "paused"}, {"wait 700ms", "kill probe, a check alive failed"}}},
	))
	runScripts(t, beginWith(start("a"),
		script{"a failure after a pause", configs(newConfig(child("a", checkBy("1500ms")))), []step{
			{"probe-fails", ""}, {"wait 5s", "probe a"}, {"wait 1s", ""}, {"pause 1m", ""},
			{"wait 1s", "paused"}, {"wait 12s", "probe a, a check alive failed"}}},
	))
}

// TestPauseInMinReady checks that a pause is no time for which an instance was ready.
func TestPauseInMinReady(t *testing.T) {
	all := configs(replicas(), replicas(args("+")))
	updating := []step{{"reload 1", "SIGTERM a1"}, {"exit a1", "spawn a1+"},
		{"spawned a1", "a1 ready"}, {"wait 5s", ""}, {"pause 1m", ""}}
	runScripts(t, beginWith(slices.Concat(replicasUp, updating),
		script{"a pause", all, []step{{"wait 6s", "paused"}, {"wait 5s", "SIGTERM a2"}}},
		script{"a reload after the pause", all, []step{{"wait 4s", "paused"}, {"reload 1", ""},
			{"wait 2s", "SIGTERM a2"}}},
	))
}

// TestReportedPauses checks that short pauses are added up.
func TestReportedPauses(t *testing.T) {
	const ms = time.Millisecond
	var p pauses
	now := time.Now()
	for _, tt := range []struct{ wait, pause, report time.Duration }{
		{0, 300 * ms, 300 * ms},
		{time.Second, 300 * ms, 0},
		{time.Second, 400 * ms, 0},
		{time.Second, 5000 * ms, 5700 * ms},
		{time.Second, 6000 * ms, 6000 * ms},
		{9 * time.Second, 300 * ms, 0},
		{time.Second, 300 * ms, 600 * ms},
	} {
		now = now.Add(tt.wait)
		if d := p.add(tt.pause, now); d != tt.report {
			t.Errorf("a pause of %v: reported %v, want %v", tt.pause, d, tt.report)
		}
	}
}
