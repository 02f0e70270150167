package acceptance

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programs returns a directory with copies of some programs.
func programs(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(bin, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// commandLine runs a program of a directory and returns its exit code and its outputs. The
// directories of path are in PATH.
func commandLine(t *testing.T, program, path string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr strings.Builder
	c := exec.Command(program, args...)
	c.Env = []string{"PATH=" + path}
	c.Dir = t.TempDir()
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// TestOneProgram checks a supervisor without supervisorctl, as in an image to which one file was
// copied.
func TestOneProgram(t *testing.T) {
	supervisor := filepath.Join(programs(t, "supervisor"), "supervisor")
	config := filepath.Join(t.TempDir(), "s.hcl")
	hcl := []byte("child \"a\" { command = \"true\" }")
	if err := os.WriteFile(config, hcl, 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(programs(t), "supervisorctl") // as of the package of Debian
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho harm\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const path = "/usr/bin:/bin" // can have the supervisorctl of Debian
	empty := t.TempDir()
	for _, test := range []struct {
		args, path string
		code       int
		out, errs  string
	}{
		{"exec -- sh -c", path, 2, "", "sh"},
		{"exec -- false", path, 1, "", ""},
		{"exec --bogus -- false", path, 2, "", "unknown flag: --bogus"},
		{"run --log-level error --config " + config, path, 0, "", ""},
		{"validate --config " + config, path, 0, "s.hcl is valid", ""},
		{"health --config " + config, path, 1, "", "supervisor: "},
		{"version", path, 0, "supervisor dev (", ""},
		{"--version", path, 0, "supervisor dev (", ""},
		{"run --help", path, 0, "--only children", ""},
		{"", path, 0, "supervisor [command]", ""},
		{"--help", path, 0, "All other commands need the program supervisorctl", ""},
		{"help health", path, 0, "--ready", ""},
		{"plan", empty, 127, "", "supervisor: \"plan\" needs the program supervisorctl: "},
		{"--bogus", empty, 127, "", "this command line needs the program supervisorctl"},
		{"stop web", filepath.Dir(script), 126, "", script + " is another program"},
	} {
		code, out, errs := commandLine(t, supervisor, test.path, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out, test.out) ||
			!strings.Contains(errs, test.errs) || (test.out == "") != (out == "") ||
			(test.errs == "") != (errs == "") {
			t.Errorf("%q: got code %d, output %q and errors %q, want %d, %q and %q",
				test.args, code, out, errs, test.code, test.out, test.errs)
		}
	}
}

// TestTwoPrograms checks that each of the programs executes the other one, beside it, in PATH or
// beside the target of a symbolic link.
func TestTwoPrograms(t *testing.T) {
	both := programs(t, "supervisor", "supervisorctl")
	apart := programs(t, "supervisor")
	for _, program := range []string{
		filepath.Join(both, "supervisor"), filepath.Join(apart, "supervisor"),
		filepath.Join(both, "supervisorctl"),
	} {
		for args, want := range map[string]string{
			"rnu": "Did you mean run?", "exec": "exec needs a command", "plan x": "plan takes no",
			"--log-level=loud run": "is not one of trace",
		} {
			code, _, errs := commandLine(t, program, "/usr/bin:/bin:"+both, strings.Fields(args)...)
			if code != 2 || !strings.Contains(errs, want) {
				t.Errorf("%s %s: got code %d and %q, want 2 and %q", program, args, code, errs,
					want)
			}
		}
	}
	for _, link := range []string{"supervisor", "supervisorctl"} {
		path := filepath.Join(t.TempDir(), link)
		if err := os.Symlink(filepath.Join(both, link), path); err != nil {
			t.Fatal(err)
		}
		code, out, errs := commandLine(t, path, "/bin", "help", "run")
		if code != 0 || errs != "" || !strings.Contains(out, "--only children") {
			t.Errorf("through a link: got code %d, %q and %q", code, out, errs)
		}
	}
}
