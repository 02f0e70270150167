package program

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
)

func finder(dir string) *Finder {
	return &Finder{Dir: dir, Path: dir + ":bin:/bin", Read: (&files.Reader{}).Read}
}

// write writes executable files and returns their directory. A name with a slash at its end is a
// directory.
func write(t *testing.T, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range contents {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// elf returns the start of a program with a loader.
func elf(loader string) string {
	head := make([]byte, 64+56)
	copy(head, "\x7fELF\x02\x01")
	head[32], head[56] = 64, 1          // one program header at 64
	head[64] = 3                        // PT_INTERP
	head[64+8] = byte(len(head))        // p_offset
	head[64+32] = byte(len(loader) + 1) // p_filesz
	return string(head) + loader + "\x00"
}

func TestFind(t *testing.T) {
	dir := write(t, map[string]string{
		"plain": "", "bin/below": "", "directory/x": "",
		"script": "#!/bin/sh\n", "blanks": "#! \t/bin/sh -e\n", "no-end": "#!/bin/sh",
		"missing":   "#!/no/such -x\n",
		"windows":   "#!/bin/sh\r\necho\r\n",
		"option":    "#!/bin/sh -e\r\n",
		"env":       "#!/usr/bin/env sh\n",
		"env-none":  "#!/usr/bin/env no-such-program\n",
		"env-win":   "#!/usr/bin/env sh\r\n",
		"env-split": "#!/usr/bin/env -S sh -x\n",
		"env-set":   "#!/usr/bin/env A=b no-such-program\n",
		"relative":  "#!plain\n",
		"elf":       elf("/bin/sh"), "musl": elf("/lib/ld-none.so.1"), "cut": elf("/x")[:80],
		"notes": "#!\n",
	})
	if err := os.Chmod(filepath.Join(dir, "plain"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"plain": "", "./plain": "", "below": "", "bin/below": "", "sh": "", "script": "",
		"blanks": "", "no-end": "", "env": "", "env-split": "", "env-set": "", "relative": "",
		"elf": "", "cut": "", "notes": "",
		"no-such":     `No program "no-such" is in PATH (` + dir,
		"./no-such":   "does not exist.",
		"plain/x":     "does not exist.",
		"directory":   "is a directory.",
		"./directory": "is a directory.",
		"./data":      "is not executable.",
		"missing":     `needs the interpreter "/no/such". "/no/such" does not exist.`,
		"windows":     `needs the interpreter "/bin/sh\r", with a carriage return`,
		"env-none":    `needs the interpreter "no-such-program". No program "no-such-program" is`,
		"env-win":     `needs the interpreter "sh\r", with a carriage return`,
		"musl":        `needs the loader "/lib/ld-none.so.1".`,
	} {
		path, err := finder(dir).Find(command)
		switch {
		case want == "" && (err != nil || !filepath.IsAbs(path)):
			t.Errorf("%s: got %q, %v, want no error", command, path, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got the error %v, want %q", command, err, want)
		}
		missing := strings.Contains(want, "does not exist") || strings.Contains(want, "No program")
		if errors.Is(err, fs.ErrNotExist) != missing && !strings.Contains(want, "carriage") &&
			!strings.Contains(want, "loader") {
			t.Errorf("%s: %v does not say whether the file exists", command, err)
		}
	}
}

// TestSimilarPrograms checks which program is proposed in place of one that is not in PATH.
func TestSimilarPrograms(t *testing.T) {
	dir := write(t, map[string]string{"python3": "", "node": "", "nginx": "", "data-file": ""})
	if err := os.Chmod(filepath.Join(dir, "data-file"), 0o644); err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"pyhton3": `Did you mean "python3"?`, "python": `Did you mean "python3"?`,
		"ngnix": `Did you mean "nginx"?`, "ndoe": `Did you mean "node"?`,
		"note": ").", "web": ").", "zython3": ").", "dato-file": ").",
	} {
		f := finder(dir)
		f.Path, f.Names = dir+":/none", (&files.Reader{}).Names
		_, err := f.Find(given)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
		f.Names = nil
		if _, err := f.Find(given); err == nil || !strings.HasSuffix(err.Error(), ").") {
			t.Errorf("%s without names: got %v", given, err)
		}
	}
}

// TestRootIgnoresRelativeEntries checks that only root ignores empty and relative entries of PATH.
func TestRootIgnoresRelativeEntries(t *testing.T) {
	dir := write(t, map[string]string{"here": "", "bin/below": "", "abs/there": ""})
	for _, entry := range []struct{ path, name string }{
		{"", "here"}, {".", "here"}, {"bin", "below"}, {"../" + filepath.Base(dir), "here"},
	} {
		for _, path := range []string{entry.path + ":/none", "/none:" + entry.path,
			"/none:" + entry.path + ":/none2"} {
			f := finder(dir)
			f.Path = path
			if _, err := f.Find(entry.name); err != nil {
				t.Errorf("PATH=%s: an ordinary user gets %v", path, err)
			}
			f.Root = true
			if file, err := f.Find(entry.name); !errors.Is(err, fs.ErrNotExist) ||
				!strings.Contains(err.Error(), quote(entry.path)) {
				t.Errorf("PATH=%s: root finds %q, %v, want an error that names the entry", path,
					file, err)
			}
		}
	}
	f := finder(dir)
	f.Root, f.Path = true, ":."+":"+filepath.Join(dir, "abs")+":bin"
	if file, err := f.Find("there"); err != nil || file != filepath.Join(dir, "abs/there") {
		t.Errorf("got %q, %v", file, err)
	}
	if file, err := f.Find("./here"); err != nil || file != filepath.Join(dir, "here") {
		t.Errorf("a command with a slash: got %q, %v", file, err)
	}
	if _, ignored := Entries("", true); len(ignored) != 0 {
		t.Errorf("an empty PATH has no entry, got %q", ignored)
	}
}

func TestExplain(t *testing.T) {
	dir := write(t, map[string]string{"script": "#!/no/such\n", "plain": "echo"})
	for _, c := range []struct {
		file string
		err  error
		want string // a part; empty: nothing
	}{
		{"script", unix.ENOENT, "needs the interpreter"},
		{"script", unix.ENOMEM, ""},
		{"plain", unix.ENOEXEC, "neither a program"},
		{"none", unix.ENOENT, ""},
	} {
		got := Explain(c.err, filepath.Join(dir, c.file), dir, nil)
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s, %v: got %q, want %q", c.file, c.err, got, c.want)
		}
	}
}
