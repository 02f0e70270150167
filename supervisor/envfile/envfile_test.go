package envfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLate(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a":   "\ufeffA=a\r\n# comment\r\nPATH=/a\nHOME\n",
		"b":   "A=b\nFIXED=b\nGIVEN\nSUPERVISOR\n",
		"bad": "export A=1\n=x\nB C=1\n" + strings.Repeat("=\n", 100),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, name))
		}
		return paths
	}
	environ := []string{"FIXED=env", "GIVEN=given", "PATH=/bin"}
	t.Setenv("SUPERVISOR", "own") // not in /proc/PID/environ, which is that of the start
	late := Late{Paths: path("a", "b"), Fixed: []string{"FIXED"}}
	got, err := late.Apply(environ, os.Getpid())
	if want := []string{"A=b", "FIXED=env", "GIVEN=given", "PATH=/a"}; err != nil ||
		!slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	late.Clear = true
	got, err = late.Apply(environ, os.Getpid())
	if home := "HOME=" + os.Getenv("HOME"); err != nil || !slices.Contains(got, home) {
		t.Errorf("got %q, %v, want %s of the supervisor", got, err, home)
	}
	if got, err := (&Late{}).Apply(environ, 0); err != nil || !slices.Equal(got, environ) {
		t.Errorf("without files: got %q, %v", got, err)
	}
	late.Strict = true
	if _, err = late.Apply(environ, os.Getpid()); err != nil {
		t.Errorf("--strict-config refuses files that only their owner can change: %v", err)
	}
	if err := os.Chmod(path("b")[0], 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = late.Apply(environ, os.Getpid())
	if err == nil || !strings.Contains(err.Error(), "others may write to the file") {
		t.Errorf("--strict-config with a file that others may write: got error %v", err)
	}
	late = Late{Paths: path("bad", "none", "b")}
	_, err = late.Apply(environ, 0)
	if err == nil {
		t.Fatal("invalid files have no error")
	}
	for _, want := range []string{"line 1: ", "line 2: ", "line 3: ", "none: no such file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not contain %q", err, want)
		}
	}
	if n := strings.Count(err.Error(), ", line "); n != MaxFaults {
		t.Error(fmt.Sprint(n, " faults of a file, want ", MaxFaults))
	}
}
