package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tp0/supervisor/fixture/attacker"
	"tp0/supervisor/fixture/needs"
)

// supervisor runs a command line in the process of the test.
func supervisor(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(args, Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	crooked  = "a=1\nbcd  = 2\n# c\n# d\n# e\n# f\n# g\n# h\n# i\nx {\n y=1\n}"
	straight = "a   = 1\nbcd = 2\n# c\n# d\n# e\n# f\n# g\n# h\n# i\nx {\n  y = 1\n}"
	patch    = "@@ -1,5 +1,5 @@\n-a=1\n-bcd  = 2\n+a   = 1\n+bcd = 2\n # c\n # d\n # e\n" +
		"@@ -8,5 +8,5 @@\n # h\n # i\n x {\n- y=1\n+  y = 1\n }\n\\ No newline at end of file\n"
)

func TestFmt(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "a.hcl"), filepath.Join(dir, "link")
	broken := filepath.Join(dir, "broken")
	write(t, path, crooked, 0o640)
	if err := os.Chown(path, os.Geteuid(), 12); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	if err := os.Symlink("a.hcl", link); err != nil {
		t.Fatal(err)
	}
	write(t, broken, "a =\nb  = 1\n", 0o600)
	var before, after syscall.Stat_t
	if err := syscall.Stat(path, &before); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args         []string
		stdin        string
		code         int
		stdout, file string
	}{
		{[]string{"-check", link}, "", 1, link + "\n", crooked},
		{
			[]string{"-check", "-diff", path}, "", 1,
			"--- " + path + "\n+++ " + path + "\n" + patch, crooked,
		},
		{[]string{"-"}, crooked, 0, straight, crooked},
		{[]string{"--check", "-"}, crooked, 1, "<stdin>\n", crooked},
		{[]string{"-"}, "a = ", 2, "", crooked},
		{[]string{broken, link}, "", 2, link + "\n", straight},
		{[]string{"-check", dir}, "", 0, "", straight},
		{[]string{dir}, "", 0, "", straight},
		{[]string{"/dev/zero", filepath.Join(dir, "none"), "x.json"}, "", 2, "", straight},
	} {
		code, stdout, _ := supervisor(test.stdin, append([]string{"fmt"}, test.args...)...)
		if code != test.code || stdout != test.stdout || read(t, path) != test.file {
			t.Errorf(
				"%q: code %d, want %d; printed\n%s\nwant\n%s\nfile\n%s", test.args, code, test.code,
				stdout, test.stdout, read(t, path),
			)
		}
	}
	if err := syscall.Stat(path, &after); err != nil {
		t.Fatal(err)
	}
	if before.Mode != after.Mode || before.Uid != after.Uid || before.Gid != after.Gid ||
		before.Ino == after.Ino {
		t.Errorf(
			"mode and owner were %o %d:%d, are %o %d:%d", before.Mode, before.Uid, before.Gid,
			after.Mode, after.Uid, after.Gid,
		)
	}
	checkNoDamage(t, dir, link, broken)
}

// checkNoDamage checks that fmt left the broken file and the link as they were, and no other file.
func checkNoDamage(t *testing.T, dir, link, broken string) {
	t.Helper()
	if got := read(t, broken); got != "a =\nb  = 1\n" {
		t.Errorf("the broken file was changed to %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".fmt-*")); len(left) > 0 {
		t.Errorf("temporary files: %q", left)
	}
}

// TestFmtForeignFiles formats files in a directory that another user may write to.
func TestFmtForeignFiles(t *testing.T) {
	needs.Check(t, "root")
	dir := t.TempDir()
	foreign, victim := filepath.Join(dir, "foreign"), filepath.Join(dir, "victim")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	attacker.Own(t, foreign)
	write(t, victim, crooked, 0o600)
	link, own := filepath.Join(foreign, "link.hcl"), filepath.Join(foreign, "own.hcl")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	attacker.Own(t, link)
	write(t, own, crooked, 0o644)
	attacker.Own(t, own)
	if code, _, stderr := supervisor("", "fmt", link, own); code != 2 {
		t.Errorf("code %d, want 2; printed\n%s", code, stderr)
	}
	if got := read(t, victim); got != crooked {
		t.Errorf("the file of root has the content\n%s", got)
	}
	if got := read(t, own); got != straight {
		t.Errorf("the file of the other user has the content\n%s", got)
	}
	// The file of root was read by the link. Now another file has the name.
	if err := replace(own, []byte("secret=1"), []byte("secret = 1")); err == nil {
		t.Error("another file than the one that was read was replaced")
	}
	if got := read(t, own); got != straight {
		t.Errorf("the file of the other user has the content\n%s", got)
	}
}
