package explain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/lifecycle"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func before(d time.Duration) *time.Time {
	t := now.Add(-d)
	return &t
}

// instance returns the instance web1 in a state. A ready one has a process.
func instance(state string) api.Instance {
	i := api.Instance{Name: "web1", Child: "web", State: state, Ready: state == "ready"}
	if i.Ready || state == "starting" || state == "stopping" || state == "replacing" {
		i.Pid, i.StartedAt = 7, before(time.Minute)
	}
	return i
}

// with changes an instance.
func with(i api.Instance, change func(*api.Instance)) api.Instance {
	change(&i)
	return i
}

var exit1 = &api.Exit{Pid: 6, Code: 1, Reason: "exited with code 1", At: now.Add(-time.Second)}

// situations are facts with the situation, the answer, and one fact that follows it.
var situations = map[string]struct {
	facts Facts
	want  api.Situation
	says  string
	fact  string
}{
	"dependency": {Facts{Instance: instance("waiting"), Waits: []Wait{
		{For: "db", Until: "ready", State: "starting", Reason: "its ready block waits for x"},
		{For: "mq", Until: "started", State: "stopped"},
	}}, api.WaitsForStart, "web1 waits for db to be ready: db is starting.",
		"db is starting: its ready block waits for x."},
	"hand-over": {Facts{Instance: instance("waiting"), Waits: []Wait{
		{For: "old", Until: "ended", State: "stopping", Reason: "both claim tcp :80"},
	}}, api.WaitsForStart, "web1 waits for the end of old: old is stopping.",
		"old must end first: both claim tcp :80."},
	"pre_start": {Facts{
		Instance: instance("preparing"), Hook: "its pre_start hook runs (pid 12)",
		HookNext: "the hook gets SIGTERM", Due: now.Add(3 * time.Second),
	}, api.StartsUp, "web1 is preparing: its pre_start hook runs (pid 12).",
		"In 3s the hook gets SIGTERM."},
	"on_failure": {Facts{
		Instance: instance("failing"), Hook: "its on_failure hook runs (pid 12)",
		Restart: Restart{Reason: "exited with code 1"},
	}, api.FailedForGood, "web1 is failing: its on_failure hook runs (pid 12).",
		"It has failed: its last process exited with code 1."},
	"queued": {Facts{Instance: instance("waiting")}, api.WaitsForStart,
		"web1 is about to be started.", ""},
	"not ready": {Facts{
		Instance: instance("starting"), Ready: "a listener on :80", Due: now.Add(3 * time.Second),
		Process: Process{Threads: []string{"7 sleeps in connect on fd 3"}},
	}, api.StartsUp, "web1 is not ready yet: its ready block waits for a listener on :80.",
		"Thread 7 sleeps in connect on fd 3."},
	"restart delay": {Facts{
		Instance: with(instance("backing_off"), func(i *api.Instance) { i.LastExit = exit1 }),
		Due:      now.Add(4 * time.Second), Output: []string{"oh no"},
		Restart: Restart{
			Reason: "exited with code 1", Attempt: 2, Attempts: 5, Interval: time.Minute,
		},
	}, api.BacksOff, "web1 is restarted in 4s: its last process exited with code 1.",
		"This is restart 2 of 5 within 1m0s. The delay doubles each time."},
	"shortage": {Facts{
		Instance: instance("backing_off"), Due: now.Add(time.Second),
		Restart: Restart{Shortage: true, Reason: "fork: resource temporarily unavailable"},
	}, api.BacksOff,
		"web1 could not be started for lack of a resource, and is tried again in 1s.",
		"The reason: fork: resource temporarily unavailable."},
	"blocked log file": {Facts{
		Instance: instance("backing_off"), Due: now.Add(time.Second),
		Restart: Restart{Shortage: true, LogFile: "/mnt/a.log", Reason: "open /mnt/a.log: no"},
	}, api.BacksOff,
		"web1 could not be started because its log file /mnt/a.log cannot be opened: the file " +
			"system has not responded. The start is tried again in 1s.", ""},
	"failed": {Facts{
		Instance: with(instance("failed"), func(i *api.Instance) { i.LastExit = exit1 }),
		Output:   []string{"cannot open x"},
		Restart:  Restart{Reason: "exited with code 1; its restart policy is never"},
	}, api.FailedForGood, "web1 has failed, and is not restarted: its last process exited with " +
		"code 1; its restart policy is never.", "Its output: cannot open x"},
	"no command": {Facts{
		Instance: instance("failed"),
		Restart:  Restart{Reason: "it could not be spawned: no such file"},
	}, api.FailedForGood,
		"web1 has failed, and is not restarted: it could not be spawned: no such file.", ""},
	"out of memory": {Facts{
		Instance: instance("failed"), OOM: true, Cause: "; killed by the OOM killer (limit 64 MiB)",
		Restart: Restart{Reason: "ended by SIGKILL; killed by the OOM killer (limit 64 MiB)"},
	}, api.OutOfMemory, "web1 has failed, and is not restarted: its last process ended by " +
		"SIGKILL; killed by the OOM killer (limit 64 MiB).",
		"The kernel killed it because memory ran out: killed by the OOM killer (limit 64 MiB)."},
	"slot": {Facts{
		Instance: instance("ready"), Update: &Update{Holders: []string{"web2"}, MaxParallel: 1},
	}, api.WaitsForUpdate, "web1 waits for an update slot, which is used by web2.",
		"At most 1 of its instances are replaced at a time (max_parallel)."},
	"halted": {Facts{
		Instance: instance("ready"), Update: &Update{Halted: "the new web2 has failed: no"},
	}, api.UpdateHalted,
		"web1 keeps its process, because its update is halted: the new web2 has failed: no.", ""},
	"surge": {Facts{Instance: instance("ready"), Update: &Update{Surge: "starting"}},
		api.WaitsForUpdate,
		"web1 is replaced once its new process is ready: the new process is starting.", ""},
	"slow stop": {Facts{
		Instance: instance("stopping"), Due: now.Add(2 * time.Second),
		Stop: &Stop{Began: now.Add(-3 * time.Second), Signal: "SIGTERM", Step: 1, Steps: 2,
			Next: "SIGKILL"},
		Process: Process{Disposition: "ignored"},
	}, api.TakesLongToStop, "web1 has been stopping for 3s: it ignores SIGTERM.",
		"Step 1 of 2: SIGTERM. SIGKILL follows in 2s."},
	"survives SIGKILL": {Facts{
		Instance: instance("replacing"),
		Stop:     &Stop{Began: now.Add(-time.Second), Signal: "SIGKILL", Step: 2, Steps: 2},
		Process: Process{Disposition: "default", Threads: []string{
			"7 uninterruptible in read on fd 3, wchan nfs_wait"}},
	}, api.TakesLongToStop, "web1 has been stopping for 1s: it has not ended after SIGKILL.",
		"Thread 7 uninterruptible in read on fd 3, wchan nfs_wait."},
	"descendants": {Facts{
		Instance: instance("stopping"),
		Stop:     &Stop{Began: now.Add(-time.Second), Signal: "SIGTERM", MainEnded: true},
	}, api.TakesLongToStop, "web1 has been stopping for 1s: its main process has ended, but its " +
		"descendants have not.", ""},
	"order of the stop": {Facts{Instance: instance("ready"), StopsAfter: []string{"app"}},
		api.WaitsForStop, "web1 is stopped once app has ended.", ""},
	"stopped by a request": {Facts{
		Instance: with(instance("stopped"), func(i *api.Instance) {
			i.StoppedBy = &api.Requester{UID: 1000, Pid: 9, At: *before(time.Hour)}
		}),
	}, api.StoppedByUser, "web1 is stopped: uid 1000 (pid 9) stopped it 1h0m ago.",
		"It stays stopped, also over a reload, until it is started."},
	"new program": {Facts{Instance: instance("ready"), Process: Process{Program: "/bin/web"}},
		api.NeedsRestart,
		"web1 needs a restart: /bin/web was replaced on disk after its start.",
		"The process runs the old program, which it has loaded already."},
	"new libraries": {Facts{
		Instance: instance("ready"), Process: Process{Libraries: []string{"libssl.so.3"}},
	}, api.NeedsRestart,
		"web1 needs a restart: libraries were replaced on disk after its start: libssl.so.3.", ""},
	"new environment": {Facts{
		Instance: instance("ready"), Config: Config{Attributes: []string{"env"}, Restart: true},
	}, api.NeedsRestart, "web1 needs a restart: its configuration on disk differs in env.",
		"The configuration on disk differs in env: a reload replaces the process."},
	"new file": {Facts{Instance: instance("ready"), Process: Process{Files: []string{"/etc/w"}}},
		api.NeedsRestart, "web1 may need a restart: files of its command line changed after its " +
			"start: /etc/w.", ""},
	"failing check": {Facts{
		Instance: with(instance("ready"), func(i *api.Instance) {
			i.Checks = []api.Check{{Name: "alive", Failures: 1, Reason: "status 500"}}
		}), Limits: map[string]int{"alive": 3},
	}, api.CheckFails, `web1 is ready, but its check "alive" fails: status 500.`,
		`The check "alive" has failed 1 time in a row. After 3 the instance is restarted.`},
	"leak": {Facts{Instance: instance("ready"), Leaks: []string{"file from 1 to 9 in 10 counts"},
		NearLimit: []string{"18 of 20 are open"}},
		api.LeaksFDs, "web1 leaks descriptors: file from 1 to 9 in 10 counts.",
		"watch_fds counted its descriptors: 18 of 20 are open."},
	"near limit": {Facts{Instance: instance("ready"), NearLimit: []string{"18 of 20 are open"}},
		api.NearFDLimit, "web1 is near its limit of descriptors: 18 of 20 are open.",
		"watch_fds counted its descriptors: 18 of 20 are open."},
	"stopped by a signal": {Facts{
		Instance: with(instance("ready"), func(i *api.Instance) {
			i.Checks = []api.Check{{Name: "alive", Failures: 1, Reason: "no answer"}}
		}), Process: Process{Stopped: true},
	}, api.StoppedBySignal, "web1 " + stoppedText + ".",
		`Also, its check "alive" fails: no answer.`},
	"stopped in its start": {Facts{
		Instance: instance("starting"), Ready: "READY=1", Process: Process{Stopped: true},
	}, api.StartsUp, "web1 is not ready yet: its ready block waits for READY=1.",
		"Its process " + stoppedText + "."},
	"fine": {Facts{Instance: instance("ready"), Config: Config{Fault: "line 3: no"}},
		api.Runs, "web1 is ready, and nothing is known to be wrong.",
		"The configuration on disk cannot be read: line 3: no."},
	"completed": {Facts{Instance: instance("succeeded")}, api.Completed,
		"web1 has completed: its process ended with success, and is not started again.", ""},
}

// TestExplain compares the answer of each situation.
func TestExplain(t *testing.T) {
	for name, tt := range situations {
		tt.facts.Now = now
		why := Explain(&tt.facts)
		if why.Situation != tt.want || why.Answer != tt.says {
			t.Errorf("%s: got %s: %s\nwant %s: %s", name, why.Situation, why.Answer, tt.want,
				tt.says)
		}
		if all := strings.Join(why.Evidence, "\n"); !strings.Contains(all, tt.fact) {
			t.Errorf("%s: got the facts\n%s\nwant %s", name, all, tt.fact)
		}
		for _, command := range why.Next {
			if !strings.HasPrefix(command, "supervisor ") || !strings.Contains(command, " # ") {
				t.Errorf("%s: got the next step %q, want a command with its purpose", name, command)
			}
		}
	}
}

// TestEveryState explains every state of the state machine, with no other fact.
func TestEveryState(t *testing.T) {
	for _, s := range lifecycle.States() {
		for _, stopping := range []bool{false, true} {
			f := Facts{Now: now, Instance: instance(s.ID())}
			if stopping {
				f.ShuttingTo = &now
			}
			why := Explain(&f)
			if why.Answer == "" || why.Situation == "" || why.Evidence == nil || why.Next == nil {
				t.Errorf("%s: got %+v", s, why)
			}
			if text := fmt.Sprint(why); strings.Contains(text, "%!") {
				t.Errorf("%s: got %s", s, text)
			}
		}
	}
}
