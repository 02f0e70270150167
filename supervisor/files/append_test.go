package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/attacker"
	"tp0/supervisor/fixture/needs"
)

// scene is a directory of root with a directory of the attacker, one that is like /tmp, and a file
// of root that must not change.
type scene struct {
	root, victim, foreign, sticky string
}

const secret = "secret\n"

func newScene(t *testing.T) scene {
	t.Helper()
	needs.Check(t, "root")
	dir := t.TempDir()
	s := scene{dir, filepath.Join(dir, "victim"), filepath.Join(dir, "foreign"),
		filepath.Join(dir, "sticky")}
	must(t, os.WriteFile(s.victim, []byte(secret), 0o600))
	must(t, os.Mkdir(s.foreign, 0o755))
	attacker.Own(t, s.foreign)
	must(t, os.Mkdir(s.sticky, 0o700))
	must(t, os.Chmod(s.sticky, 0o777|os.ModeSticky))
	t.Cleanup(func() { s.check(t) })
	return s
}

// check checks that the file of root did not change.
func (s *scene) check(t *testing.T) {
	t.Helper()
	got, err := os.ReadFile(s.victim)
	if err != nil || string(got) != secret {
		t.Errorf("root's file has the content %q, %v, want %q", got, err, secret)
	}
	if info, err := os.Stat(s.victim); err != nil || info.Mode() != 0o600 {
		t.Errorf("root's file has the mode %v, %v, want 0600", info.Mode(), err)
	}
}

func appendTo(path string, owners ...uint32) error {
	fd, err := Append(path, 0o640, owners...)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("line\n"))
	return errors.Join(err, unix.Close(fd))
}

// plants are the ways to prepare a path.
var plants = map[string]func(t *testing.T, s scene, path string){
	"nothing":              func(*testing.T, scene, string) {},
	"file of root":         plantFile(0),
	"file of the attacker": plantFile(attacker.UID),
	"file of a third user": plantFile(1234),
	"hard link to the victim": func(t *testing.T, s scene, path string) {
		must(t, os.Link(s.victim, path))
	},
	"link to the victim": func(t *testing.T, s scene, path string) {
		must(t, os.Symlink(s.victim, path))
		attacker.Own(t, path)
	},
	"FIFO": func(t *testing.T, _ scene, path string) {
		must(t, unix.Mkfifo(path, 0o622))
		attacker.Own(t, path)
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) // with a reader, an open succeeds
		must(t, err)
		t.Cleanup(func() { unix.Close(fd) })
	},
	"device": func(t *testing.T, _ scene, path string) {
		must(t, unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	},
	"directory": func(t *testing.T, _ scene, path string) { must(t, os.Mkdir(path, 0o755)) },
}

func plantFile(owner int) func(*testing.T, scene, string) {
	return func(t *testing.T, _ scene, path string) {
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Chown(path, owner, owner))
	}
}

// TestAppendRefuses prepares a file as the attacker does, and appends to it as root.
func TestAppendRefuses(t *testing.T) {
	const accepted, skipped, special = "", "skip", "not a regular file"
	for _, test := range []struct {
		plant  string
		owners []uint32
		// A part of the error in the directory of the attacker, in the one like /tmp, and in that
		// of root.
		foreign, sticky, trusted string
	}{
		{"nothing", nil, accepted, accepted, accepted},
		{"file of root", nil, accepted, accepted, accepted},
		{"file of the attacker", nil, accepted, "belongs to user 65534", accepted},
		{"file of the attacker", []uint32{attacker.UID}, accepted, accepted, accepted},
		{"file of a third user", nil, "belongs to user 1234", "belongs to user 1234", accepted},
		{"hard link to the victim", nil, "names (hard", "names (hard", skipped},
		{"link to the victim", nil, "symbolic", "symbolic", skipped},
		{"FIFO", nil, special, special, accepted},
		{"device", nil, special, special, accepted},
		{"directory", nil, "is a directory", "is a directory", "is a directory"},
	} {
		t.Run(test.plant, func(t *testing.T) {
			s := newScene(t)
			for dir, want := range map[string]string{
				s.foreign: test.foreign, s.sticky: test.sticky, s.root: test.trusted,
			} {
				if want == skipped {
					continue
				}
				path := filepath.Join(dir, "log")
				plants[test.plant](t, s, path)
				err := appendTo(path, test.owners...)
				switch {
				case want == accepted && err != nil:
					t.Errorf("%s: %v, want no error", path, err)
				case want != accepted && (err == nil || !strings.Contains(err.Error(), want)):
					t.Errorf("%s: got error %v, want %q", path, err, want)
				}
			}
		})
	}
}

// TestAppendModes creates a file, which has the mode at most, and keeps the mode of an existing
// one.
func TestAppendModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	must(t, appendTo(path))
	must(t, appendTo(path))
	info, err := os.Stat(path)
	if err != nil || info.Mode()&^0o640 != 0 || info.Size() != 10 {
		t.Errorf("got %v, %v, want 10 bytes and mode 0640 or less", info, err)
	}
	must(t, os.Chmod(path, 0o622))
	must(t, appendTo(path))
	if info, err = os.Stat(path); err != nil || info.Mode() != 0o622 {
		t.Errorf("got %v, %v, want the mode of the existing file", info, err)
	}
}

// TestAppendFollows appends through the links that must keep working: those of root in trusted
// directories, and those in /proc.
func TestAppendFollows(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "real", "log")
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.Symlink("real", filepath.Join(dir, "run")))
	must(t, os.Symlink("../real/../real/./log", filepath.Join(dir, "real", "link")))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o644)
	must(t, err)
	defer f.Close()
	must(t, os.Symlink(ThroughFD(int(f.Fd())), filepath.Join(dir, "stdout")))
	for i, path := range []string{
		"run/log", "real/link", "run/link", "stdout", "../" + filepath.Base(dir) + "/run/log",
	} {
		must(t, appendTo(filepath.Join(dir, path)))
		if info, err := f.Stat(); err != nil || info.Size() != int64(5*(i+1)) {
			t.Errorf("%s: the file has %d bytes, %v, want %d", path, info.Size(), err, 5*(i+1))
		}
	}
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	if err := appendTo(filepath.Join(dir, "loop")); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop of links: got %v, want ELOOP", err)
	}
	if err := appendTo(filepath.Join(dir, "none", "log")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("no directory: got %v, want ENOENT", err)
	}
}

// TestAppendLeavesForeign follows a link of root that leads through the directory of the attacker,
// and out of a directory in it that the attacker can replace.
func TestAppendLeavesForeign(t *testing.T) {
	s := newScene(t)
	for _, name := range []string{"x", "logs"} {
		must(t, os.Mkdir(filepath.Join(s.foreign, name), 0o755))
	}
	link := filepath.Join(s.root, "link")
	must(t, os.Symlink("foreign/x/../logs/log", link))
	if err := appendTo(link); !IsRefused(err) {
		t.Errorf("got error %v, want a refusal", err)
	}
	for _, name := range []string{"log", "logs/log"} {
		if _, err := os.Lstat(filepath.Join(s.foreign, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got error %v, want that it does not exist", name, err)
		}
	}
}

// TestAppendRace appends while the attacker exchanges the file, or a directory above it, with a
// link to root's file.
func TestAppendRace(t *testing.T) {
	s := newScene(t)
	at := func(name string) string { return filepath.Join(s.foreign, name) }
	must(t, os.WriteFile(at("log"), nil, 0o666))
	must(t, os.Symlink(s.victim, at("link")))
	must(t, os.Mkdir(at("dir"), 0o755))
	must(t, os.Symlink(s.root, at("dirlink")))
	attacker.Own(t, at("log"), at("link"), at("dir"), at("dirlink"))
	attacker.Exchange(t, s.foreign, "log", "link", "dir", "dirlink")
	opened, refused := 0, 0
	for range 20_000 {
		for _, path := range []string{at("log"), at("dir/victim")} {
			switch err := appendTo(path); {
			case err == nil:
				opened++
			default:
				refused++
			}
		}
		if opened > 2000 && refused > 2000 {
			break
		}
	}
	if opened == 0 || refused == 0 {
		t.Errorf("opened %d and refused %d times, want both", opened, refused)
	}
	t.Logf("opened %d times, refused %d times", opened, refused)
}
