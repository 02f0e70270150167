package report

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/attacker"
	"tp0/supervisor/fixture/needs"
)

// attackedDirs returns a file of root, and a directory like /tmp and one that belongs to the
// attacker, both below a directory of root.
func attackedDirs(t *testing.T) (victim string, dirs []string) {
	t.Helper()
	needs.Check(t, "root")
	dir := t.TempDir()
	victim = filepath.Join(dir, "victim")
	sticky, foreign := filepath.Join(dir, "sticky"), filepath.Join(dir, "foreign")
	check(t, os.WriteFile(victim, []byte("secret"), 0o600))
	check(t, os.Mkdir(sticky, 0o700))
	check(t, os.Chmod(sticky, 0o777|fs.ModeSticky))
	check(t, os.Mkdir(foreign, 0o755))
	attacker.Own(t, foreign)
	t.Cleanup(func() {
		b, err := os.ReadFile(victim)
		if err != nil || string(b) != "secret" {
			t.Errorf("root's file has %.40q, %v", b, err)
		}
		if info, err := os.Stat(victim); err != nil || info.Mode() != 0o600 {
			t.Errorf("root's file has the mode %v, %v", info.Mode(), err)
		}
	})
	return victim, []string{sticky, foreign}
}

// TestWriteRace writes the report while another user exchanges its name: a file with the mode 0666,
// and a link to a file of root.
func TestWriteRace(t *testing.T) {
	victim, dirs := attackedDirs(t)
	for _, dir := range dirs {
		path, link := filepath.Join(dir, "stop.json"), filepath.Join(dir, "link")
		check(t, os.WriteFile(path, nil, 0o666))
		check(t, os.Chmod(path, 0o666))
		check(t, os.Symlink(victim, link))
		attacker.Own(t, path, link)
		attacker.Exchange(t, dir, "stop.json", "link")
		for range 2000 {
			f, err := Create(t.Context(), path, &countingLedger{})
			check(t, err)
			var st unix.Stat_t
			check(t, unix.Fstat(f.fd, &st))
			if st.Mode&0o777 != newFileMode {
				t.Fatalf("the report has the mode %04o, want %04o", st.Mode&0o777, newFileMode)
			}
			if st.Dev == 0 || filepath.Dir(f.dir.Path()+"/x") != dir {
				t.Fatalf("the report is in %s, want %s", f.dir.Path(), dir)
			}
			check(t, unix.Close(f.fd))
			check(t, f.dir.Remove(f.temp))
			check(t, f.dir.Close())
		}
		check(t, writeReport(t, path))
	}
}

// TestWriteToPreparedFile writes the report where another user put a file first. It is replaced, or
// refused if the writer could wait for it or it is a device.
func TestWriteToPreparedFile(t *testing.T) {
	victim, dirs := attackedDirs(t)
	for _, dir := range dirs {
		path := filepath.Join(dir, "stop.json")
		fifo := func() error { return unix.Mkfifo(path, 0o622) }
		for name, prepare := range map[string]func() error{
			"link":      func() error { return os.Symlink(victim, path) },
			"hard link": func() error { return os.Link(victim, path) },
			"file":      func() error { return os.WriteFile(path, nil, 0o666) },
			"FIFO":      fifo,
		} {
			check(t, prepare())
			if name != "hard link" {
				attacker.Own(t, path)
			}
			err := writeReport(t, path)
			if refused := err != nil && strings.Contains(err.Error(), "not a regular file"); name ==
				"FIFO" && !refused || name != "FIFO" && err != nil {
				t.Errorf("%s in %s: got error %v", name, dir, err)
			}
			info, err := os.Lstat(path)
			if err != nil || name != "FIFO" && info.Mode() != newFileMode {
				t.Errorf("%s in %s: the report has the mode %v, %v", name, dir, info.Mode(), err)
			}
			check(t, os.Remove(path))
		}
	}
}
