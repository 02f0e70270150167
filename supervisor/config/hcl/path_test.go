package hclconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelativePathEntries checks that root is warned of each entry of PATH that is not absolute,
// once, and that no other user is.
func TestRelativePathEntries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "supervisor.hcl")
	src := `
child "a" {
  command = "sh"
  env     = { PATH = "bin::/usr/bin:/bin" }
}
child "b" {
  command = "sh"
  env     = { PATH = "/usr/bin:/bin:bin:./x" }
}
child "c" {
  command = "/bin/sh"
  env     = { PATH = "other:/bin" }
}
`
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	_, err := Load(file, Options{OnWarnings: func(w *Faults) {
		for _, f := range w.List() {
			got = append(got, f.Summary+": "+f.Detail)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`ignored: "bin", "". Write`, `ignored: "./x". Write`}
	if os.Geteuid() != 0 {
		want = nil
	}
	for i, text := range want {
		if len(got) != len(want) || !strings.Contains(got[i], text) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %q, want no warning", got)
	}
}
