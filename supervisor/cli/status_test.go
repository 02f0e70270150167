package cli

import (
	"strings"
	"testing"
	"time"

	"tp0/supervisor/api"
)

// TestWriteSupervisor compares the sentence about a reload or a restart.
func TestWriteSupervisor(t *testing.T) {
	six := strings.Split("a b c d e f", " ")
	for _, tt := range []struct {
		state api.ReloadState
		want  string
	}{
		{api.ReloadState{Kind: "reload", State: "applying"}, "A reload is applying."},
		{api.ReloadState{Kind: "reload", State: "rolling_back", Reason: "a has failed"},
			"A reload is rolling back: a has failed."},
		{api.ReloadState{Kind: "reload", State: "halted", Reason: "the reload of a is halted: no"},
			"The reload of a is halted: no."},
		{api.ReloadState{Kind: "restart", State: "restarting", Names: []string{"a"}},
			"A restart of a is under way."},
		{api.ReloadState{Kind: "restart", State: "restarting", Names: six},
			"A restart of a, b, c, d, e, 1 more is under way."},
		{api.ReloadState{Kind: "restart", State: "halted", Names: six,
			Reason: "the restart of a is halted: no"}, "The restart of a is halted: no."},
	} {
		var b strings.Builder
		writeSupervisor(&b, &api.Supervisor{State: "running", Reload: &tt.state}, time.Now())
		if got := strings.TrimSpace(b.String()); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.state, got, tt.want)
		}
	}
}

// TestNote compares what the status says about processes that a signal stopped.
func TestNote(t *testing.T) {
	for _, tt := range []struct {
		usage *api.Usage
		want  string
	}{
		{nil, "why"},
		{&api.Usage{Processes: 1}, "why"},
		{&api.Usage{Processes: 1, Stopped: 1}, "its process is stopped by a signal; why"},
		{&api.Usage{Processes: 3, Stopped: 2}, "2 of its 3 processes are stopped by a signal; why"},
	} {
		inst := api.Instance{Name: "a", State: "ready", Reason: "why", Usage: tt.usage}
		if got := note(&inst, time.Now()); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.usage, got, tt.want)
		}
	}
}
