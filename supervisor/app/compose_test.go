package app

import (
	"testing"

	"tp0/supervisor/config"
)

// TestNamesOrphans checks that the names of orphans are read if the log or the report shows them.
func TestNamesOrphans(t *testing.T) {
	for name, c := range map[string]struct {
		level, report, flag string
		want                bool
	}{
		"the default":                       {"info", "", "", true},
		"the log shows more":                {"debug", "", "", true},
		"nothing shows orphans":             {"warn", "", "", false},
		"a report in the configuration":     {"error", "stop.html", "", true},
		"a report by a flag":                {"error", "", "stop.html", true},
		"a report, and the log shows names": {"info", "stop.html", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(false, "test")
			a.reportPath = c.flag
			cfg := &config.Config{Log: config.Log{Level: c.level}}
			cfg.Shutdown.Report = c.report
			a.configure(cfg)
			if got := a.namesOrphans(); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
