package hclconfig

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tp0/supervisor/config/plan"
)

const hunter = "hunter2"

// sensitiveSource returns a configuration with a sensitive variable x, and an attribute of a child.
func sensitiveSource(more string) string {
	return "variable \"x\" {\n  sensitive = true\n}\nlocals {\n  y = \"<${var.x}>\"\n}\n" +
		"child \"a\" {\n  command = \"/bin/true\"\n" + more + "\n}\n"
}

// TestSensitiveValues checks where a sensitive value is allowed, and that the child gets it.
func TestSensitiveValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte(hunter+"\r\n"), 0o600))
	cfg, err := Parse([]byte(sensitiveSource(`
  args = ["-p", var.x, "${local.y}", jsonencode({ p = var.x }), upper(secret("`+file+`"))]
  env  = merge({ P = var.x }, { Q = length(var.x) > 3 ? "long" : "short" })
  ready { exec = ["/bin/true", var.x] }
  check "c" { exec = ["/bin/true", split("", var.x)[0]] }
`)), "s.hcl", Options{Vars: []string{"x=" + hunter}})
	if err != nil {
		t.Fatal(err)
	}
	i := cfg.Children[0].Instances[0]
	want := []string{"-p", hunter, "<" + hunter + ">", `{"p":"hunter2"}`, "HUNTER2"}
	if !slices.Equal(i.Launch.Args, want) {
		t.Errorf("got the arguments %q, want %q", i.Launch.Args, want)
	}
	if env := []string{"P=" + hunter, "Q=long"}; !slices.Equal(i.Launch.Env, env) {
		t.Errorf("got the environment %q, want %q", i.Launch.Env, env)
	}
	if want := []string{"args", "env", "ready.exec", "check"}; !sameElements(i.Sensitive, want) {
		t.Errorf("got the sensitive attributes %q, want %q", i.Sensitive, want)
	}
	other, err := Parse([]byte(sensitiveSource(`args = ["plain"]`)), "s.hcl",
		Options{Vars: []string{"x=" + hunter}})
	must(t, err)
	_, there := plan.Differences(cfg, other)
	_, back := plan.Differences(other, cfg)
	for _, differences := range [][]plan.Difference{there["a"], back["a"]} {
		for _, d := range differences {
			if strings.Contains(strings.ToLower(d.Old+d.New), hunter) {
				t.Errorf("the plan shows the value: %+v", d)
			}
		}
	}
}

func sameElements(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

type sensitiveFault struct {
	src, vars string
	summary   string // a part of the faults
}

// sensitiveFaults returns faulty uses of a sensitive value. The content of the file secret is
// sensitive.
func sensitiveFaults(secret string) map[string]sensitiveFault {
	ofFile := "args = [env(secret(\"" + secret + "\"))]"
	return map[string]sensitiveFault{
		"not allowed":      {sensitiveSource("cwd = var.x"), "", "Sensitive value not"},
		"kill_timeout":     {sensitiveSource("kill_timeout = var.x"), "", "Sensitive value not"},
		"a list":           {sensitiveSource("args = var.x"), "", "Invalid value for args"},
		"an element":       {sensitiveSource("env = { A = [var.x] }"), "", "Invalid value"},
		"a name":           {sensitiveSource("env = { \"=${var.x}\" = 1 }"), "", "Invalid"},
		"tonumber":         {sensitiveSource("args = [tonumber(var.x)]"), "", "Invalid function"},
		"parseint":         {sensitiveSource("args = [parseint(var.x, 10)]"), "", "Invalid func"},
		"env":              {sensitiveSource("args = [env(var.x)]"), "", "Invalid function"},
		"a local":          {sensitiveSource("args = [env(local.y)]"), "", "Invalid function"},
		"an index":         {sensitiveSource("args = [{ a = 1 }[var.x]]"), "", "Invalid index"},
		"secret":           {sensitiveSource(ofFile), "", "Invalid"},
		"a secret path":    {sensitiveSource("args = [secret(var.x)]"), "", "Invalid function"},
		"listen":           {sensitiveSource("listen \"l\" { tcp = var.x }"), "", "Sensitive"},
		"misspelt":         {sensitiveSource(""), "xy = \"hunter2\"\n", "Unknown variable"},
		"syntax":           {sensitiveSource(""), "x = \"hunter2\n", "Missing closing quote"},
		"an unknown name":  {sensitiveSource(""), "x = hunter2\n", "Variables not allowed"},
		"two faulty files": {"child \"a\" {", "x = \"hunter2\n", "Missing closing quote"},
		"the default": {"variable \"x\" {\n  sensitive = true\n  type = number\n" +
			"  default = \"hunter2\"\n}\nchild \"a\" {\n  command = \"/bin/true\"\n}\n", "",
			"Invalid value for variable"},
		"the type": {"variable \"x\" {\n  sensitive = true\n  type = list(number)\n" +
			"}\nchild \"a\" {\n  command = \"/bin/true\"\n}\n", "", "Invalid value for variable"},
		"no such file": {sensitiveSource("args = [secret(\"/none\")]"), "",
			"open /none: no such file"},
		"no file in a template": {sensitiveSource("env = { A = \"${secret(\"/n\")}\" }"), "",
			"open /n: no such file"},
		"an unknown function": {sensitiveSource("args = [uper(var.x)]"), "",
			"Did you mean \"upper\"?"},
		"a secret path in for": {sensitiveSource("args = [for p in [var.x] : secret(p)]"), "",
			"It uses a sensitive value"},
	}
}

// TestSensitiveFaults checks that no fault shows a sensitive value: not in its text, not in its
// source line, and not as JSON.
func TestSensitiveFaults(t *testing.T) {
	dir := t.TempDir()
	file, vars := filepath.Join(dir, "secret"), filepath.Join(dir, "vars.hcl")
	must(t, os.WriteFile(file, []byte(hunter+"\n"), 0o600))
	for name, c := range sensitiveFaults(file) {
		opt := Options{Environ: []string{variableEnv + "x=" + hunter}}
		if c.vars != "" {
			must(t, os.WriteFile(vars, []byte(c.vars), 0o600))
			opt.VarFiles = []string{vars}
		}
		_, err := Parse([]byte(c.src), "s.hcl", opt)
		var faults *Faults
		if !errors.As(err, &faults) {
			t.Errorf("%s: got %v, want faults", name, err)
			continue
		}
		var text strings.Builder
		must(t, faults.Write(&text, 0, false))
		for _, d := range faults.Diagnostics() {
			text.WriteString(d.Summary + d.Detail)
			if d.Snippet != nil {
				text.WriteString(d.Snippet.Code)
			}
		}
		text.WriteString(err.Error())
		if !strings.Contains(text.String(), c.summary) ||
			strings.Contains(strings.ToLower(text.String()), hunter) {
			t.Errorf("%s: want %q without the value, got\n%s", name, c.summary, text.String())
		}
	}
}
