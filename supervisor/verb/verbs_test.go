package verb

import (
	"strings"
	"testing"

	"tp0/supervisor/exitcode"
)

// runMain runs a command line and returns its exit code, its output and its errors.
func runMain(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code, ok := Main(args, Program{
		Version: "v1", Stdout: &stdout, Stderr: &stderr,
		Run:  func(RunOptions) int { return exitcode.Leaky },
		Exec: func(o ExecOptions) int { return len(o.Command) },
	})
	if !ok {
		t.Errorf("%q name no verb", args)
	}
	return code, stdout.String(), stderr.String()
}

// TestNoConfig checks that a missing default file is explained, and another one is not.
func TestNoConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SUPERVISOR_CONFIG", "")
	code, _, errs := runMain(t, "validate")
	if code != exitcode.Usage || !strings.Contains(errs, "/supervisor.hcl does not exist") ||
		!strings.Contains(errs, `child "app" {`) {
		t.Errorf("%d, %s", code, errs)
	}
	if _, _, errs := runMain(t, "validate", "--config", "x.hcl"); strings.Contains(errs, "init") {
		t.Errorf("a given file: %s", errs)
	}
}

// TestWrongFlags checks the errors of wrong command lines.
func TestWrongFlags(t *testing.T) {
	for args, want := range map[string]string{
		"run --confg x":         "unknown flag: --confg. Did you mean --config?",
		"run -f x":              "Did you mean --config?",
		"run --nothing-like-it": "unknown flag: --nothing-like-it\n",
		"run x.hcl":             `there is "x.hcl". Did you mean --config x.hcl?`,
		"validate conf/x":       "Did you mean --config conf/x?",
		"run password=hunter2":  "run takes no arguments. Did you mean --var password=…?\n",
		"version x":             "version takes no arguments, but there is \"x\"\n",
		"run -d":                "The supervisor runs in the foreground",
		"exec":                  "exec needs a command, such as supervisor exec -- server",
		"exec -r 15 -- true":    `--rewrite "15": it must be two signals`,
		"run --log-level loud":  `"loud" is not one of trace, debug`,
		"health --timeout 0s":   "--timeout is 0s: it must be above 0",
	} {
		code, _, errs := runMain(t, strings.Fields(args)...)
		if code != exitcode.Usage || !strings.Contains(errs, want) ||
			!strings.HasSuffix(errs, "\nSee 'supervisor --help'.\n") {
			t.Errorf("%s: %d, %s, want %q", args, code, errs, want)
		}
	}
}

// TestVerbs checks the exit codes of verbs and which command lines are none of this package.
func TestVerbs(t *testing.T) {
	for args, want := range map[string]int{
		"run": exitcode.Leaky, "run --help": exitcode.OK, "exec -v true -h": 2,
		"exec -- run x y": 3,
	} {
		if code, _, errs := runMain(t, strings.Fields(args)...); code != want || errs != "" {
			t.Errorf("%s: got code %d and the error %q, want code %d", args, code, errs, want)
		}
	}
	_, version, _ := runMain(t, "version")
	for _, flag := range []string{"--version", "-v"} {
		if code, out, _ := runMain(t, flag); code != exitcode.OK || out != version ||
			!strings.HasPrefix(version, "supervisor v1 (go") {
			t.Errorf("%s: %d, %q, want %q", flag, code, out, version)
		}
	}
	for _, args := range []string{"", "plan", "help", "--help", "help run", "rnu", "--version x"} {
		if _, ok := Main(strings.Fields(args), Program{}); ok {
			t.Errorf("%q is a verb", args)
		}
	}
}

// TestOverview checks the help of a supervisor without supervisorctl.
func TestOverview(t *testing.T) {
	var out strings.Builder
	p := Program{Stdout: &out}
	for _, args := range []string{"plan", "rnu --help", "help rnu"} {
		if _, ok := Overview(strings.Fields(args), p); ok || out.Len() > 0 {
			t.Errorf("%s: got a help: %s", args, out.String())
		}
	}
	for args, want := range map[string]string{
		"": "  exec        Run one", "--help": "need the program supervisorctl", "-h": "  health",
		"help": "  run ", "help exec": "--kill-scope process",
	} {
		out.Reset()
		if code, ok := Overview(strings.Fields(args), p); !ok || code != exitcode.OK ||
			!strings.Contains(out.String(), want) {
			t.Errorf("%s: got %s, want %q", args, out.String(), want)
		}
	}
}
