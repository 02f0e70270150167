package sockets

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/files"
	"tp0/supervisor/fixture/attacker"
	"tp0/supervisor/fixture/needs"
)

func TestMain(m *testing.M) {
	attacker.Run()
	os.Exit(m.Run())
}

// attackedDir returns a directory of root, and one below it that belongs to the attacker.
func attackedDir(t *testing.T) (root, foreign string) {
	t.Helper()
	needs.Check(t, "root")
	root = t.TempDir()
	foreign = filepath.Join(root, "foreign")
	must(t, os.Mkdir(foreign, 0o755))
	attacker.Own(t, foreign)
	return root, foreign
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info.Mode().Perm()
}

// TestOpenRace opens a socket while the owner of its directory exchanges it with a link to a file
// of root, with another socket of root, and with a hard link to one.
func TestOpenRace(t *testing.T) {
	root, foreign := attackedDir(t)
	at := func(name string) string { return filepath.Join(foreign, name) }
	victim, private := filepath.Join(root, "victim"), filepath.Join(root, "private")
	must(t, os.WriteFile(victim, []byte("secret"), 0o600))
	must(t, os.Symlink(victim, at("link")))
	attacker.Own(t, at("link"))
	s, _ := newSockets(t)
	must(t, s.Open([]config.Listen{file(private, 0o600), file(at("own"), 0o600)}))
	own, err := os.Lstat(at("own"))
	must(t, err)
	must(t, os.Link(private, at("hard"))) // as with fs.protected_hardlinks=0
	attacker.Exchange(t, foreign, "s", "link", "s", "own", "s", "hard")
	opened, failed := 0, 0
	for range 5000 {
		// It can fail with any error: the file is another one at each step.
		l := file(at("s"), 0o666)
		if err := s.Open([]config.Listen{l}); err != nil {
			failed++
		} else {
			opened++
			l.Mode = 0o777
			_ = s.Open([]config.Listen{l})
			s.Keep(func(address string) bool { return address != l.Unix })
		}
		for _, name := range []string{"s", "link", "own", "hard"} {
			info, err := os.Lstat(at(name))
			if err == nil && os.SameFile(info, own) && info.Mode().Perm() != 0o600 {
				t.Fatalf("the other socket has the mode %v, want 0600", info.Mode())
			}
		}
		for path, want := range map[string]os.FileMode{victim: 0o600, private: 0o600} {
			if got := mode(t, path); got != want {
				t.Fatalf("%s has the mode %04o, want %04o", path, got, want)
			}
		}
	}
	t.Logf("opened %d times, failed %d times", opened, failed)
	if opened == 0 || failed == 0 {
		t.Errorf("opened %d times, failed %d times, want both", opened, failed)
	}
}

// TestAdopt puts other files in the place of a socket that was just created. Their mode stays.
func TestAdopt(t *testing.T) {
	root, foreign := attackedDir(t)
	bind := func(path string, mode os.FileMode) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		must(t, err)
		t.Cleanup(func() { l.Close() })
		must(t, os.Chmod(path, mode))
	}
	at := func(name string) string { return filepath.Join(foreign, name) }
	private, empty := filepath.Join(root, "private"), filepath.Join(root, "empty")
	bind(private, 0o600)
	bind(empty, 0)
	bind(at("other"), 0o600)
	bind(at("foreign"), 0)
	attacker.Own(t, at("foreign"))
	must(t, os.Link(private, at("hard"))) // as with fs.protected_hardlinks=0
	must(t, os.Link(empty, at("hard without mode")))
	must(t, os.Symlink(private, at("link")))
	dir, err := files.OpenDir(foreign)
	must(t, err)
	defer dir.Close()
	for _, name := range []string{"other", "foreign", "hard", "hard without mode", "link"} {
		before := mode(t, at(name))
		set := ownerSetter(file(at(name), 0o666))
		_, err := files.AdoptSocket(dir, name, at(name), set)
		if err != files.ErrSocketReplaced {
			t.Errorf("%s: got error %v, want %v", name, err, files.ErrSocketReplaced)
		}
		if after := mode(t, at(name)); after != before || mode(t, private) != 0o600 {
			t.Errorf("%s: the mode was %04o and is %04o", name, before, after)
		}
	}
}

// TestReplaceableDirectory checks that no socket is created in a directory that others can replace,
// but in one whose files only they can replace.
func TestReplaceableDirectory(t *testing.T) {
	_, foreign := attackedDir(t)
	deep := filepath.Join(foreign, "deep")
	must(t, os.Mkdir(deep, 0o755))
	s, _ := newSockets(t)
	err := s.Open([]config.Listen{file(filepath.Join(deep, "s"), 0o600)})
	if err == nil || !strings.Contains(err.Error(), "can replace the directory") {
		t.Errorf("got %v, want an error about the directory", err)
	}
	must(t, s.Open([]config.Listen{file(filepath.Join(foreign, "s"), 0o600)}))
}

// TestOwner sets the owner of a socket, changes it, and restores it.
func TestOwner(t *testing.T) {
	needs.Check(t, "root")
	path := filepath.Join(t.TempDir(), "s")
	s, _ := newSockets(t)
	l := file(path, 0o660)
	owned := l
	owned.Owner = config.SocketOwner{User: "u", UID: 1234, GID: 1235}
	group := l
	group.Owner = config.SocketOwner{Group: "g", GID: 1236}
	for _, step := range []struct {
		listen   config.Listen
		uid, gid uint32
	}{{l, 0, 0}, {owned, 1234, 1235}, {group, 0, 1236}, {l, 0, 0}} {
		must(t, s.Open([]config.Listen{step.listen}))
		dir, name, err := files.OpenEntry(path)
		must(t, err)
		st, err := dir.Stat(name)
		must(t, err)
		must(t, dir.Close())
		if st.Uid != step.uid || st.Gid != step.gid || st.Mode != unix.S_IFSOCK|0o660 {
			t.Errorf("%v: got owner %d:%d and mode %o", step.listen, st.Uid, st.Gid, st.Mode)
		}
	}
}
