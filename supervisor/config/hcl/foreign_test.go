package hclconfig

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// firstFault returns the first fault of a source as text, or "" if there is none.
func firstFault(t *testing.T, name, src string) string {
	t.Helper()
	_, err := Parse([]byte(src), name, Options{Environ: []string{"PATH=/bin", "HOME=/"}})
	var faults *Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	if err == nil {
		return ""
	}
	return faults.List()[0].Summary + ": " + faults.List()[0].Detail
}

func withChild(text string) string {
	return "child \"a\" {\n  command = \"/bin/true\"\n" + text + "\n}\n"
}

// TestHints checks that common slips get a proposal.
func TestHints(t *testing.T) {
	child := func(command string) string {
		return "child \"a\" {\ncommand = \"" + command + "\"\n}"
	}
	port := withChild(`args = ["${port}"]`)
	for src, want := range map[string]string{
		child("sh -x y"):                             `write a list: command = ["sh", "-x", "y"].`,
		child("/no/sh x"):                            `write a list: command = ["/no/sh", "x"].`,
		child("sh -c 'a $${B}'"):                     `["sh", "-c", "a $${B}"].`,
		child("a | b $${C}"):                         `["sh", "-c", "a | b $${C}"].`,
		withChild(`args = ["${HOME}"]`):              `env("HOME"). For a shell write $${HOME}`,
		withChild(`args = ["${home}"]`):              "$${home} stands for the text ${home}.",
		withChild(`args = [x]`):                      "A string needs quotes.",
		withChild(`args = ["${PORT:-80}"]`):          "$${NAME:-8080}",
		withChild(`args = ["%{http_code}"]`):         "%%{http_code}",
		port + "variable \"port\" {\ndefault = 1\n}": "Did you mean var.port?",
		port + "locals {\nport = 1\n}":               "Did you mean local.port?",
		withChild(`environment = {}`):                "Use `env = {",
		withChild("environment {\n}"):                "Use `env = {",
		withChild(`working_dir = "/"`):               "Use `cwd`.",
		withChild(`WorkingDirectory = "/"`):          "Use `cwd`.",
		withChild(`stop_signal = "INT"`):             "Use `kill_signal`.",
		withChild(`stop_grace_period = "1s"`):        "Use `kill_timeout",
		withChild(`autorestart = true`):              "Use `restart {",
		withChild(`ExecStart = "x"`):                 "Use `command",
		withChild("healthcheck {\n}"):                "Use `check",
		"service \"web\" {\n}":                       "Use `child \"server\" {",
		"program = 1\n":                              "Use `child \"server\" {",
		"loglevel = \"info\"\n":                      "Use `log_level`.",
	} {
		if got := firstFault(t, "s.hcl", src); !strings.Contains(got, want) {
			t.Errorf("%s:\ngot %s\nwant %s", src, got, want)
		}
	}
	for src, want := range map[string]string{
		`"${HOME}"`: `env("HOME")`, `"%{http_code}"`: "%%{http_code}",
		`"${A:-1}"`: "$${NAME:-8080}",
	} {
		src = `{"child": {"a": {"command": "/bin/true", "args": [` + src + `]}}}`
		if got := firstFault(t, "s.json", src); !strings.Contains(got, want) {
			t.Errorf("%s:\ngot %s\nwant %s", src, got, want)
		}
	}
	if n := len(foreignInChild()) + len(foreignInFile()); n < 30 {
		t.Errorf("%d names of other programs, want 30 or more", n)
	}
	walk(t, childSchema(), "", func(path string) {
		if hint := foreignInChild()[plainName(path)]; hint != "" && !strings.Contains(path, "_") {
			t.Errorf("%s is an attribute and has the hint %q", path, hint)
		}
	})
}

func TestForeignFormats(t *testing.T) {
	for src, want := range map[string]string{
		"# x\n\nversion: '3'\nservices:\n  web:\n    image: x\n": "a Compose file (YAML)",
		"services:\n  web:\n    command: x\n":                    "a Compose file (YAML)",
		"processes:\n  web:\n    command: x\n":                   "process-compose (YAML)",
		"apiVersion: v1\nkind: Pod\nspec:\n  x: y\n":             "a Kubernetes manifest",
		"---\nchild: x\n":                                  "looks like YAML.",
		"[program:web]\ncommand=x\n":                       "supervisord (INI)",
		"; x\n[supervisord]\nnodaemon=true\n":              "supervisord (INI)",
		"[Unit]\nDescription=x\n[Service]\nExecStart=/x\n": "a unit of systemd (INI)",
		"[child]\ncommand = \"x\"\n":                       "an INI or TOML file",
		"web: bundle exec rails s\nworker: sidekiq -c 5\n": "a Procfile",
		"web: x\n":          "a Procfile",
		"{\"child\": {}}\n": "must end in .json.",
	} {
		if got := firstFault(t, "supervisor.hcl", src); !strings.Contains(got, want) ||
			!strings.HasPrefix(got, "Not an HCL file") {
			t.Errorf("%q: got %s, want %s", src, got, want)
		}
	}
	for _, src := range []string{"child \"a\" {\n", "a = [\n", "x y z\n", "\"a\": 1\n"} {
		if got := firstFault(t, "s.hcl", src); strings.HasPrefix(got, "Not an HCL file") {
			t.Errorf("%q: got %s", src, got)
		}
	}
}

// TestCommandList checks that command can be a list, whose arguments come before those in args.
func TestCommandList(t *testing.T) {
	for src, want := range map[string][]string{
		`command = ["/bin/sh", "-c", "x"]`:                       {"-c", "x"},
		"command = [\"/bin/sh\", \"-c\"]\nargs = [\"y\", \"z\"]": {"-c", "y", "z"},
		`command = ["/bin/sh"]`:                                  {},
	} {
		src = "child \"a\" {\ncount = 2\nenv = { I = index }\n" + src + "\n}"
		cfg, err := Parse([]byte(src), "s.hcl", Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, i := range cfg.Children[0].Instances {
			if l := i.Launch; l.Command != "/bin/sh" || !slices.Equal(l.Args, want) {
				t.Errorf("%s: got %q %q, want %q", src, l.Command, l.Args, want)
			}
		}
	}
	for _, src := range []string{"[]", `[""]`, `[[]]`, "null", "{}"} {
		if got := firstFault(t, "s.hcl", "child \"a\" {\ncommand = "+src+"\n}"); got == "" {
			t.Errorf("command = %s has no fault", src)
		}
	}
}
