package event

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// all has every event, with the values that add optional keys.
var all = []Event{
	AllReady{}, CheckFailed{}, CheckPassed{}, Completed{}, ConfigEdited{}, ConfigRejected{},
	ConfigReloaded{}, DependencyFailed{}, StartWaits{}, DescendantEnded{Child: "c", Reason: "r"},
	DescendantsOutlive{Hook: "h"}, FDOpened{}, Failed{}, Fault{}, Leftover{}, LedgerEntry{},
	FDClosed{
		Pid:        1,
		Proof:      ProofExact,
		Process:    "p",
		HeldBy:     "h",
		NotCounted: "n",
		Finding:    "open",
		Detail: FDDetail{
			State: "s", Unread: 1, Unsent: 1, Mode: "r", Lock: "l", Deleted: true,
		},
	},
	FDLeakSuspected{FDGrowth{Process: "p", Limit: 1, Grown: []string{"g"}}}, FDLimitNear{},
	HookStarted{}, HookEnded{Failure: "f"}, HookNotStarted{},
	MainChanged{}, NotReady{}, Notified{Detail: "d"}, OrphanReaped{Child: "c"}, OutputDropped{},
	LinesLimited{},
	LogReopened{}, Paused{},
	ProbeSkipped{Resource: "r"}, ProofUnavailable{}, Ready{},
	Reaped{Stopped: true, Tree: TreeCounts{Known: true}}, ReloadHalted{Restart: true},
	OperationRequested{Names: []string{"n"}, Signal: "s"}, ReloadIgnored{},
	ReloadSignalWithheld{Ended: true},
	Restarting{}, RollbackStarted{}, ShutdownBegun{}, ShutdownComplete{},
	SignalFailed{},
	SignalNotHandled{}, SignalReceived{Meaning: "m"}, SignalRepeated{},
	SignalSent{Orphan: "o", Hook: "h", Process: "p", Step: 1},
	SlowStop{}, SpawnDelayed{}, SpawnFailed{},
	Spawned{}, Unhealthy{}, UnexpectedEnd{Output: []string{"o"}, Known: "k"},
	Warning{What: "a warning"},
}

// TestRecords checks the form of all records: a message of its own, and pairs of a key and a
// value.
func TestRecords(t *testing.T) {
	message, key := regexp.MustCompile(
		`^[a-z]+( [a-z]+)*$`,
	), regexp.MustCompile(
		`^[a-z]+(_[a-z]+)*$`,
	)
	seen := map[string]Event{}
	for _, e := range all {
		r := e.Record()
		if !message.MatchString(r.Message) {
			t.Errorf("%T: message %q, want lower-case words", e, r.Message)
		}
		if other, ok := seen[r.Message]; ok {
			t.Errorf("%T and %T have the message %q", e, other, r.Message)
		}
		seen[r.Message] = e
		if len(r.Fields)%2 != 0 {
			t.Errorf("%T: %d keys and values, want pairs", e, len(r.Fields))
		}
		for i := 0; i < len(r.Fields); i += 2 {
			if k, ok := r.Fields[i].(string); !ok || !key.MatchString(k) {
				t.Errorf("%T: key %v, want lower-case words joined by _", e, r.Fields[i])
			}
		}
	}
	if n := countRecordMethods(t); n != len(all) {
		t.Errorf("the test has %d events, the package has %d", len(all), n)
	}
}

func countRecordMethods(t *testing.T) (n int) {
	t.Helper()
	for _, name := range []string{
		"child.go", "exit.go", "fd.go", "hook.go", "stop.go", "supervisor.go",
	} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "Record" {
				n++
			}
		}
	}
	return n
}

// TestLogFDs checks which events about descriptors are at Info with each setting.
func TestLogFDs(t *testing.T) {
	own := FDClosed{Owner: "supervisor", By: BySupervisor}
	internal := own
	internal.Internal = true
	for name, c := range map[string]struct {
		e    Event
		want string // the settings that have the event at Info or above
	}{
		"own opened":      {FDOpened{}, "all"},
		"own closed":      {own, "all"},
		"internal opened": {FDOpened{Internal: true}, ""},
		"internal closed": {internal, ""},
		"closed by child": {FDClosed{Owner: "c", By: ByChild}, "children all"},
		"left open": {
			FDClosed{Owner: "c", By: ByKernel, Proof: ProofSampled}, "children all",
		},
		"standard stream": {FDClosed{Owner: "c", By: ByKernel, NotCounted: "standard stream"}, ""},
		"ledger entry":    {LedgerEntry{}, "findings children all"},
		"no descriptor":   {Spawned{}, "findings children all"},
	} {
		var got []string
		for _, fds := range []LogFDs{LogFindings, LogChildren, LogAll} {
			if fds.Level(c.e) >= Info {
				got = append(got, string(fds))
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: shown with %q, want %q", name, text, c.want)
		}
	}
}
