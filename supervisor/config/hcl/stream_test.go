package hclconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pipe returns the path of a descriptor from which a text can be read once.
func pipe(t *testing.T, text string) string {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { r.Close() })
	go func() {
		_, _ = w.WriteString(text)
		w.Close()
	}()
	return fmt.Sprintf("/dev/fd/%d", r.Fd())
}

// TestStream checks that a configuration and its variables can be read from pipes, in both
// syntaxes, and that what was read from a pipe is kept for the next load.
func TestStream(t *testing.T) {
	const (
		native = "variable \"x\" {}\nchild \"a\" {\n  command = \"/bin/true\"\n" +
			"  args = [var.x]\n}\n"
		asJSON = `{"variable": {"x": {}}, "child": {"a": {"command": "/bin/true", ` +
			`"args": ["${var.x}"]}}}`
	)
	file := filepath.Join(t.TempDir(), "s.hcl")
	must(t, os.WriteFile(file, []byte(native), 0o600))
	for name, path := range map[string]string{
		"native": pipe(t, native), "JSON": pipe(t, "\ufeff\n "+asJSON), "file": file,
	} {
		opt := Options{VarFiles: []string{pipe(t, "x = \"v\"\n")}, Streams: &Streams{}}
		for _, load := range []string{"first", "second"} {
			cfg, err := Load(path, opt)
			if err != nil {
				t.Errorf("%s, %s load: %v", name, load, err)
				continue
			}
			got := cfg.Children[0].Instances[0].Launch.Args
			if !slices.Equal(got, []string{"v"}) || cfg.Path != path {
				t.Errorf("%s, %s load: got %q of %s", name, load, got, cfg.Path)
			}
		}
	}
	if _, err := Load(pipe(t, strings.Repeat("#\n", maxFile)), Options{}); err == nil {
		t.Error("a stream that is too large has no error")
	}
	for path, want := range map[string]bool{
		pipe(t, ""): true, file: false, "/dev/fd/999999": false, "/dev/null": false,
	} {
		if _, got := Stream(path); got != want {
			t.Errorf("Stream(%s): got %v, want %v", path, got, want)
		}
	}
}

// TestLineEnds checks that a byte order mark and the line ends of Windows change no value, in all
// files of a configuration.
func TestLineEnds(t *testing.T) {
	const heredoc = "child \"a\" {\n  command = \"/bin/sh\"\n  env = { V = var.v }\n" +
		"  env_file = \"e.env\"\n  args = [\"-c\", <<-EOT\n    one\n      two\n  EOT\n  ]\n}\n"
	for name, of := range map[string]func(string) string{
		"unix":    func(s string) string { return s },
		"mark":    func(s string) string { return "\ufeff" + s },
		"windows": func(s string) string { return "\ufeff" + strings.ReplaceAll(s, "\n", "\r\n") },
	} {
		dir := t.TempDir()
		for file, content := range map[string]string{
			"main.json":    "{\"include\": [\"a.hcl\"],\n\"variable\": {\"v\": {}}}\n",
			"a.hcl":        heredoc,
			"e.env":        "A=a\nB=\n",
			"vars.hcl":     "v = <<EOT\nx\ny\nEOT\n",
			"vars.hcl.txt": "",
		} {
			must(t, os.WriteFile(filepath.Join(dir, file), []byte(of(content)), 0o600))
		}
		cfg, err := Load(filepath.Join(dir, "main.json"),
			Options{VarFiles: []string{filepath.Join(dir, "vars.hcl")}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := cfg.Children[0].Instances[0].Launch
		if want := []string{"-c", "one\n  two\n"}; !slices.Equal(l.Args, want) {
			t.Errorf("%s: got the arguments %q, want %q", name, l.Args, want)
		}
		if want := []string{"A=a", "B=", "V=x\ny\n"}; !slices.Equal(l.Env, want) {
			t.Errorf("%s: got the environment %q, want %q", name, l.Env, want)
		}
	}
}

// TestAllElementFaults checks that each bad element of a list or an object is reported.
func TestAllElementFaults(t *testing.T) {
	_, err := Parse([]byte("child \"a\" {\n  command = \"/bin/true\"\n  args = [[], \"x\", {}]\n"+
		"  env = { A = null, B = 1, C = [], \"D=\" = 1, \"\" = 1 }\n}\n"), "s.hcl", Options{})
	faults, ok := err.(*Faults)
	if !ok || faults.Len() != 6 {
		t.Errorf("got %v, want 6 faults", err)
	}
}
