package sibling

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFind checks where the sibling is searched. The test binary has none beside it.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const name = "sibling-of-the-test"
	for place, content := range map[string]string{
		"script/": "#!/bin/sh\n", "empty/": "", "elf/": magic + "rest", "relative/": magic,
	} {
		if err := os.Mkdir(place, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(place, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("directory/"+name, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("fifo", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo("fifo/"+name, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ path, want, fault string }{
		{"", "", "neither beside this program nor in a directory of PATH"},
		{"relative:.:", "", "neither beside"},
		{dir + "/none:" + dir + "/elf", dir + "/elf/" + name, ""},
		{dir + "/script:" + dir + "/elf", dir + "/elf/" + name, ""},
		{dir + "/script", "", "script/" + name + " is another program: it is not an ELF file"},
		{dir + "/empty", "", "is not an ELF file"},
		{dir + "/fifo", "", "is not an ELF file"},
		{dir + "/directory", "", "is not an ELF file"},
	} {
		t.Setenv("PATH", test.path)
		got, err := find(name)
		if got != test.want || (err == nil) != (test.fault == "") ||
			err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: got %q, %v, want %q, %q", test.path, got, err, test.want, test.fault)
		}
		if strings.HasPrefix(test.fault, "neither") && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v is not fs.ErrNotExist", test.path, err)
		}
	}
}

// TestTakeCaller checks that the version of the caller does not stay in the environment.
func TestTakeCaller(t *testing.T) {
	t.Setenv(callerVariable, "v1")
	if got := TakeCaller(); got != "v1" {
		t.Errorf("got %q, want v1", got)
	}
	if _, ok := os.LookupEnv(callerVariable); ok || TakeCaller() != "" {
		t.Error("the variable is still there")
	}
}
