package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
)

// runMain runs a command line and returns its exit code, its output and its errors.
func runMain(args ...string) (code int, out, errs string) {
	var stdout, stderr strings.Builder
	code = Main(args, Program{
		Version: "v1", Stdout: &stdout, Stderr: &stderr, Brief: func() {},
		Run: func(RunOptions) int { return exitcode.OK },
	})
	return code, stdout.String(), stderr.String()
}

// TestInit checks that init writes a valid and formatted file, and changes no existing file.
func TestInit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "supervisor.hcl")
	if code, _, errs := runMain("init", "--config", path); code != exitcode.OK {
		t.Fatal(errs)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	formatted, err := hclconfig.Format(src, path)
	if err != nil || string(formatted) != string(src) {
		t.Errorf("the file is not formatted: %v\n%s", err, formatted)
	}
	opt := hclconfig.Options{Environ: []string{"PATH=/bin", "HOME=/"}}
	if _, err := hclconfig.Parse(src, path, opt); err != nil {
		t.Error(err)
	}
	code, _, errs := runMain("init", "--config", path)
	if code != exitcode.Failed || !strings.Contains(errs, "exists and is not changed") {
		t.Errorf("a second init: %d, %s", code, errs)
	}
	if _, out, _ := runMain("init", "--print"); out != string(src) {
		t.Errorf("--print: %s", out)
	}
}

// TestNoConfig checks that a missing default file is explained, and another one is not.
func TestNoConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SUPERVISOR_CONFIG", "")
	code, _, errs := runMain("validate")
	if code != exitcode.Usage || !strings.Contains(errs, "/supervisor.hcl does not exist") ||
		!strings.Contains(errs, `child "app" {`) {
		t.Errorf("%d, %s", code, errs)
	}
	if _, _, errs := runMain("validate", "--config", "x.hcl"); strings.Contains(errs, "init") {
		t.Errorf("a given file: %s", errs)
	}
}

func TestSuggestions(t *testing.T) {
	for args, want := range map[string]string{
		"rnu":                   "Did you mean run?",
		"up":                    "Did you mean run?",
		"valid":                 "Did you mean validate?",
		"nothing-like-it":       `unknown command "nothing-like-it"` + "\n",
		"run --confg x":         "unknown flag: --confg. Did you mean --config?",
		"run -f x":              "Did you mean --config?",
		"run --nothing-like-it": "unknown flag: --nothing-like-it\n",
		"run x.hcl":             `there is "x.hcl". Did you mean --config x.hcl?`,
		"validate conf/x":       "Did you mean --config conf/x?",
		"run password=hunter2":  "run takes no arguments. Did you mean --var password=…?\n",
		"init --config x.json":  "Use a name such as ",
		"version x":             "version takes no arguments, but there is \"x\"\n",
		"supervisor.hcl":        "Did you mean run --config supervisor.hcl?",
		"-c x.hcl":              "Give a command first, such as supervisor run --config",
		"status":                "Did you mean health?",
		"stop web":              "send SIGTERM to its process",
		"reload":                "send SIGHUP to its process",
		"run -d":                "The supervisor runs in the foreground",
		"exec":                  "exec needs a command, such as supervisor exec -- server",
		"run --log-level loud":  `"loud" is not one of trace, debug`,
	} {
		code, _, errs := runMain(strings.Fields(args)...)
		if code != exitcode.Usage || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %s, want %q", args, code, errs, want)
		}
	}
	code, version, _ := runMain("version")
	if c, out, _ := runMain("--version"); c != code || out != version || version == "" {
		t.Errorf("--version: %d, %q, want %q", c, out, version)
	}
}
