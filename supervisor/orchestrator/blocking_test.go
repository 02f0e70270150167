package orchestrator

import (
	"testing"

	"tp0/supervisor/config"
)

// TestOneshotBetween changes a child, a oneshot that needs it, and a child that needs the oneshot.
// The last one waits for the oneshot only until the first one has to be stopped: the oneshot cannot
// run again before.
func TestOneshotBetween(t *testing.T) {
	steps := []step{
		{"", "spawn db"},
		{"spawned db", "db ready, spawn migrate"},
		{"spawned migrate", ""},
		{"exit migrate 0", "migrate completed, spawn web"},
		{"spawned web", "web ready"},
		{"reload 1", "SIGTERM web"},
		{"exit web", "SIGTERM db"},
		{"exit db", "spawn db+"},
		{"spawned db", "db ready, spawn migrate+"},
		{"spawned migrate", ""},
		{"exit migrate 0", "migrate completed, spawn web+"},
		{"spawned web", "web ready, reloaded +[] -[] ~[db migrate web] =[]"},
	}
	for name, role := range map[string]change{
		"the oneshot needs a child":   func(*config.Child, *config.Instance) {},
		"the oneshot needs a sidecar": sidecar,
	} {
		t.Run(name, func(t *testing.T) {
			runScript(t, configs(
				newConfig(child("db", role), child("migrate", oneshot, after("db")),
					child("web", after("migrate:completed"))),
				newConfig(child("db", role, args("+")),
					child("migrate", oneshot, after("db"), args("+")),
					child("web", after("migrate:completed"), args("+"))),
			), steps)
		})
	}
}
