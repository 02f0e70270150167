package files

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/attacker"
	"tp0/supervisor/fixture/needs"
)

func openDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// TestTrust checks which directories others cannot change.
func TestTrust(t *testing.T) {
	s := newScene(t)
	for path, mode := range map[string]os.FileMode{
		"foreign/own": 0o755, "sticky/own": 0o755, "sticky/nobody": 0o755, "open": 0o777,
		"group": 0o775, "group2": 0o775, "sticky/open": 0o777, "sticky/own/deep": 0o755,
	} {
		path = filepath.Join(s.root, path)
		must(t, os.MkdirAll(path, 0o755))
		must(t, os.Chmod(path, mode))
	}
	attacker.Own(t, filepath.Join(s.sticky, "nobody"))
	must(t, os.Chown(filepath.Join(s.root, "group2"), 0, attacker.UID))
	for path, want := range map[string][2]bool{ // fixed, trusted
		".":               {true, true},
		"sticky":          {true, false},
		"foreign":         {true, false},
		"foreign/own":     {false, false},
		"sticky/own":      {true, true},
		"sticky/own/deep": {true, true},
		"sticky/open":     {true, false},
		"sticky/nobody":   {false, false},
		"open":            {true, false},
		"group":           {true, true},
		"group2":          {true, false},
	} {
		d := openDir(t, filepath.Join(s.root, path))
		if got := [2]bool{d.Fixed(), d.Trusted()}; got != want {
			t.Errorf("%s: got fixed and trusted %v, want %v", path, got, want)
		}
		if d.Path() != filepath.Join(s.root, path) {
			t.Errorf("got path %s, want %s", d.Path(), filepath.Join(s.root, path))
		}
	}
}

// TestACL grants the attacker the right to write by an access control list: the bits of the group
// are the mask of the list then.
func TestACL(t *testing.T) {
	needs.Check(t, "root")
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o775))
	const userObj, user, groupObj, mask, other = 1, 2, 4, 16, 32 // linux/posix_acl.h
	entry := func(tag, rights uint16, id uint32) []byte {
		return []byte{byte(tag), 0, byte(rights), 0, byte(id), byte(id >> 8), byte(id >> 16),
			byte(id >> 24)}
	}
	none := ^uint32(0)
	acl := slices.Concat([]byte{2, 0, 0, 0}, entry(userObj, 7, none), entry(user, 7, attacker.UID),
		entry(groupObj, 5, none), entry(mask, 7, none), entry(other, 5, none))
	if err := unix.Setxattr(dir, "system.posix_acl_access", acl, 0); err != nil {
		needs.Skip(t, "acl", err)
	}
	if openDir(t, dir).Trusted() {
		t.Error("a directory that an access control list opens is trusted")
	}
}

// TestUnmappedUser reads maps of user namespaces, see user_namespaces(7).
func TestUnmappedUser(t *testing.T) {
	for users, want := range map[string]int64{
		"         0          0 4294967295\n": -1,
		"         0       1000          1\n": 65534,
		"0 1000 1\n1 100000 65536\n":         -1,
		"0 1000 1\n1 100000 1000\n":          65534,
		"nonsense\n":                         -1,
	} {
		if got := unmappedIn(users, 65534); got != want {
			t.Errorf("%q: got %d, want %d", users, got, want)
		}
	}
}

// TestDirectory creates, renames, lists and removes files.
func TestDirectory(t *testing.T) {
	d := openDir(t, t.TempDir())
	old := unix.Umask(0o077)
	fd, err := d.Create("a", 0o644)
	unix.Umask(old)
	must(t, err)
	must(t, unix.Close(fd))
	if st, err := d.Stat("a"); err != nil || st.Mode != unix.S_IFREG|0o644 {
		t.Errorf("got mode %o, %v, want 0644 with every umask", st.Mode, err)
	}
	must(t, unix.Symlinkat("a", d.fd, "link"))
	if _, err := d.Create("link", 0o644); !errors.Is(err, unix.EEXIST) {
		t.Errorf("create a link: got %v, want EEXIST", err)
	}
	if err := d.RenameNew("a", "link"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("rename to a new name: got %v, want EEXIST", err)
	}
	must(t, d.Rename("a", "link"))
	must(t, d.RenameNew("link", "b"))
	fd, err = d.OpenRead("b")
	must(t, err)
	must(t, unix.Close(fd))
	sub, err := d.Mkdir("sub", 0o711)
	must(t, err)
	if st, err := d.Stat("sub"); err != nil || st.Mode != unix.S_IFDIR|0o711 || !sub.Trusted() {
		t.Errorf("got mode %o, %v, trusted %v, want 0711 and true", st.Mode, err, sub.Trusted())
	}
	must(t, sub.Close())
	names, err := d.Names(100)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"b", "sub"}) {
		t.Errorf("got names %v, %v", names, err)
	}
	must(t, d.Remove("b"))
	if err := d.Remove("sub"); !errors.Is(err, unix.EISDIR) {
		t.Errorf("remove a directory: got %v, want EISDIR", err)
	}
	if err := d.Remove("b"); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "/b") {
		t.Errorf("remove a missing file: got %v", err)
	}
}

// TestBeneath opens directories with openat2(2) and without it, as on an older kernel.
func TestBeneath(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b", "c"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a", "file"), nil, 0o600))
	must(t, os.Symlink("b", filepath.Join(dir, "a", "link")))
	d := openDir(t, dir)
	ways := map[string]func(string) (int, error){
		"openat2": func(path string) (int, error) { return openBeneath(d.fd, path) },
		"openat": func(path string) (int, error) {
			return walkBeneath(d.fd, strings.Split(path, "/"))
		},
	}
	if _, err := openBeneath(d.fd, "a"); isOneOf(err, unix.ENOSYS, unix.EPERM) {
		delete(ways, "openat2")
	}
	for way, open := range ways {
		for path, want := range map[string]error{
			"a": nil, "a/b/c": nil, "a/link": unix.ELOOP, "a/link/c": unix.ELOOP,
			"a/none/c": unix.ENOENT, "a/file": unix.ENOTDIR, "a/file/c": unix.ENOTDIR,
		} {
			fd, err := open(path)
			if want == nil && err == nil {
				must(t, unix.Close(fd))
			}
			if !errors.Is(err, want) {
				t.Errorf("%s of %s: got %v, want %v", way, path, err, want)
			}
		}
	}
}

// TestDoubts asks who can change a file.
func TestDoubts(t *testing.T) {
	s := newScene(t)
	write := func(path string, mode os.FileMode, owner int) {
		path = filepath.Join(s.root, path)
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Chmod(path, mode))
		must(t, os.Chown(path, owner, owner))
	}
	write("good", 0o644, 0)
	write("group", 0o664, 0)
	write("open", 0o666, 0)
	write("other", 0o644, attacker.UID)
	write("foreign/good", 0o644, 0)
	write("sticky/good", 0o644, 0)
	must(t, os.Symlink("good", filepath.Join(s.root, "link")))
	must(t, os.Symlink("../good", filepath.Join(s.foreign, "link")))
	must(t, os.Symlink("../good", filepath.Join(s.sticky, "link")))
	for path, want := range map[string]string{
		"good": "", "group": "", "link": "", "sticky/good": "", "sticky/link": "",
		"open":         "others may write to the file",
		"other":        "the file R/other belongs to user 65534",
		"foreign/good": "the directory R/foreign belongs to user 65534",
		"foreign/link": "the directory R/foreign belongs to user 65534; " +
			"others may replace the symbolic link R/foreign/link",
	} {
		got, err := Doubts(filepath.Join(s.root, path))
		text := strings.ReplaceAll(strings.Join(got, "; "), s.root, "R")
		if err != nil || text == "" != (want == "") || !strings.Contains(text, want) {
			t.Errorf("%s: got %q, %v, want %q", path, text, err, want)
		}
	}
	if got, err := Doubts("/dev/stdin"); len(got) > 0 || err != nil {
		t.Errorf("/dev/stdin: got %q, %v", got, err)
	}
	if _, err := Doubts(filepath.Join(s.root, "none")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing file: got %v, want ENOENT", err)
	}
	got, err := Doubts(filepath.Join(s.foreign, "none"))
	if len(got) != 1 || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a missing file of another user: got %q, %v, want one reason, ENOENT", got, err)
	}
}
