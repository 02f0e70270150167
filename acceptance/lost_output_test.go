package acceptance

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// printing has a command line of each verb that prints something. CONFIG is the configuration of a
// supervisor that runs, STOP a report.
var printing = []string{
	"completion bash", "events --config CONFIG", "events --config CONFIG --follow",
	"events --config CONFIG --output json", "fds --config CONFIG a", "fmt -", "help",
	"health --config CONFIG", "health --config CONFIG --output json", "init --print",
	"logs --config CONFIG", "logs --config CONFIG --follow", "logs --config CONFIG --output json",
	"plan --config CONFIG", "plan --config CONFIG --from CONFIG --output json",
	"plan --config CONFIG --mermaid", "plan --config CONFIG --output json",
	"reload --config CONFIG", "report STOP", "report STOP --output json",
	"restart --config CONFIG a", "signal --config CONFIG WINCH a", "start --config CONFIG a",
	"status --config CONFIG", "status --config CONFIG --output json",
	"status --config CONFIG --watch", "stop --config CONFIG a", "validate --config CONFIG",
	"validate --config CONFIG --json", "version", "version --output json", "--version",
	"wait --config CONFIG b", "why --config CONFIG a", "run --help", "exec --help",
	"shutdown --config CONFIG", // the last one
}

// TestLostOutput checks that no verb ends with exit code 0 if its standard output is full or
// closed.
func TestLostOutput(t *testing.T) {
	s := start(t, fixture("a", "sleep", "")+fixture("b", "sleep", ""))
	s.awaitEntry("all children ready")
	checkAllPrint(t)
	stop := writeFile(t, t.TempDir(), "stop.json", `{"schema": 1, "verdict": "graceful",
		"began": "2026-11-29T10:00:00Z", "findings": [], "budget": [], "children": []}`)
	words := strings.NewReplacer("CONFIG", s.config, "STOP", stop)
	for _, line := range printing {
		args := append([]string{filepath.Join(bin, "supervisor")},
			strings.Fields(words.Replace(line))...)
		for output, reason := range map[string]string{
			">/dev/full": "no space left on device", ">&-": "bad file descriptor",
		} {
			if strings.HasPrefix(line, "shutdown") && output == ">&-" {
				continue // the supervisor has ended
			}
			var errs strings.Builder
			// The timeout ends a verb with --follow that misses the error.
			c := exec.Command("timeout", append([]string{"20", "sh", "-c", `exec "$@" ` + output,
				"sh"}, args...)...)
			c.Env, c.Stderr, c.Stdin = s.cmd.Env, &errs, strings.NewReader("a = 1\n")
			_ = c.Run()
			want := "supervisor: cannot write to standard output: " + reason + "\n"
			if c.ProcessState.ExitCode() != 1 || errs.String() != want {
				t.Errorf("%s %s: got code %d and the error %q, want code 1 and %q", line, output,
					c.ProcessState.ExitCode(), errs.String(), want)
			}
		}
	}
}

// checkAllPrint checks that printing has each verb.
func checkAllPrint(t *testing.T) {
	t.Helper()
	out, err := exec.Command(filepath.Join(bin, "supervisor"), "__complete", "").Output()
	if err != nil {
		t.Fatal(err)
	}
	verbs := 0
	for line := range strings.Lines(string(out)) {
		verb, _, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		verbs++
		if !slices.ContainsFunc(printing, func(p string) bool {
			return p == verb || strings.HasPrefix(p, verb+" ")
		}) {
			t.Errorf("the verb %s is not in the table", verb)
		}
	}
	if verbs < 20 {
		t.Errorf("found %d verbs, want at least 20", verbs)
	}
}

// TestClosedReader checks that a verb whose reader ends prints no error, with SIGPIPE and without.
func TestClosedReader(t *testing.T) {
	path := writeFile(t, t.TempDir(), "s.hcl", "child \"a\" {\n  command = \"sh\"\n}\n")
	for _, trap := range []string{"", "trap '' PIPE; "} {
		for _, verb := range []string{"plan --config " + path, "version"} {
			// The fifo has no reader any more when the verb starts.
			script := `mkfifo "$0"; exec 8<>"$0" 9>"$0" 8<&-; ` + trap + `exec "$@" >&9 9>&-`
			args := append([]string{"-c", script, filepath.Join(t.TempDir(), "pipe"),
				filepath.Join(bin, "supervisor")}, strings.Fields(verb)...)
			var errs strings.Builder
			c := exec.Command("sh", args...)
			c.Stderr = &errs
			err := c.Run()
			signaled := err != nil && err.Error() == "signal: broken pipe"
			if errs.String() != "" || !signaled && c.ProcessState.ExitCode() != 141 {
				t.Errorf("%s%s: got %v and the error %q, want SIGPIPE or code 141", trap, verb, err,
					errs.String())
			}
		}
	}
}
