package cli

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"tp0/supervisor/config/format"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/verb"
)

// runMain runs a command line and returns its exit code, its output and its errors.
func runMain(args ...string) (code int, out, errs string) {
	var stdout, stderr strings.Builder
	code = Main(args, Program{Version: "v1", Stdout: &stdout, Stderr: &stderr})
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
	formatted, err := format.Format(src, path)
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

func TestSuggestions(t *testing.T) {
	for args, want := range map[string]string{
		"rnu":                  "Did you mean run?",
		"up":                   "Did you mean run?",
		"valid":                "Did you mean validate?",
		"nothing-like-it":      `unknown command "nothing-like-it"` + "\n",
		"init --config x.json": "Use a name such as ",
		"supervisor.hcl":       "Did you mean run --config supervisor.hcl?",
		"-c x.hcl":             "Give a command first, such as supervisor run --config",
		"statsu":               "Did you mean status?",
		"down":                 "Did you mean shutdown?",
		"reread":               "Did you mean reload?",
		"plan --confg x":       "unknown flag: --confg. Did you mean --config?",
		"plan x.hcl":           `there is "x.hcl". Did you mean --config x.hcl?`,
	} {
		code, _, errs := runMain(strings.Fields(args)...)
		if code != exitcode.Usage || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %s, want %q", args, code, errs, want)
		}
	}
}

// TestVerbsOfSupervisor checks that the help of a verb of the program supervisor is the same in
// both programs, and that its flags are completed.
func TestVerbsOfSupervisor(t *testing.T) {
	for _, v := range verb.All(verb.Program{}) {
		if _, out, _ := runMain("help", v.Name); out != v.Help() {
			t.Errorf("the help of %s differs: got\n%s\nwant\n%s", v.Name, out, v.Help())
		}
		v.Flags.VisitAll(func(f *pflag.Flag) {
			_, out, _ := runMain("__complete", v.Name, "--"+f.Name)
			if !strings.Contains(out, "--"+f.Name+"\t") {
				t.Errorf("%s --%s is not completed: %s", v.Name, f.Name, out)
			}
		})
	}
	for args, want := range map[string]string{
		"run": "run", "--report=x run --watch": "run --report=x --watch", "-h exec": "",
		"exec -- plan": "exec -- plan", "plan": "", "help run": "", "-- run": "", "": "", "rnu": "",
	} {
		root := (&cli{}).root()
		name, rest := ofSupervisor(root, strings.Fields(args))
		if got := strings.Join(append([]string{name}, rest...), " "); got != want &&
			(want != "" || name != "") {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
}

// TestCaller checks what supervisorctl says when a supervisor executed it.
func TestCaller(t *testing.T) {
	for caller, want := range map[string]string{
		"": "", "v1": "", "v2": "supervisor has version v2 and supervisorctl has version v1.",
	} {
		var out, errs strings.Builder
		Main([]string{"--version"}, Program{
			Version: "v1", Caller: caller, Stdout: &out, Stderr: &errs,
		})
		version := "supervisor " + cmp.Or(caller, "v1") + " (go"
		if !strings.Contains(errs.String(), want) || (want == "") != (errs.Len() == 0) ||
			!strings.HasPrefix(out.String(), version) {
			t.Errorf("%q: got %q and %q, want %q and %q", caller, out.String(), errs.String(),
				version, want)
		}
	}
}
