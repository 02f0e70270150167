package notify

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/limits"
)

const (
	directoryPrefix = "notify-" // of the directory of one supervisor
	maxPath         = 107       // bytes of the path of a socket: sun_path of unix(7) and a NUL
	minFileName     = 21        // bytes of the longest number of a process and a hyphen
	directoryTries  = 3
)

// Places returns where the directory of the sockets can be, best first. environ is that of the
// supervisor.
func Places(uid int, getenv func(string) string) (places []string) {
	if uid == 0 {
		places = append(places, filepath.Join(runDirectory, ownName))
	}
	runtime, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":") // systemd.exec(5): a list
	if filepath.IsAbs(runtime) {
		places = append(places, filepath.Clean(runtime))
	}
	if user := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(user) {
		places = append(places, filepath.Join(user, ownName))
	}
	return places
}

// directory is the directory with the sockets of one supervisor. Only the supervisor may write it,
// and others can pass through it but not list it. The supervisor holds a lock on it (flock(2)),
// which ends with the supervisor. So another supervisor finds out which directories are stale.
type directory struct {
	path   string
	parent string
	fd     int
	shared bool // every user can reach its files
	run    bool // it created /run
	ledger fdledger.Registrar
}

const (
	ownName      = "supervisor" // of the directories that the supervisor creates for its files
	runDirectory = "/run"
)

// openDirectory creates a directory in the first place where that is possible. It returns nil with
// the reasons if there is none, and no error for a place that does not exist or is read-only.
func openDirectory(places []string, ledger fdledger.Registrar) (*directory, error) {
	var reasons []error
	for _, place := range places {
		d, err := openDirectoryIn(place, ledger)
		if err == nil {
			return d, nil
		}
		for _, usual := range []error{unix.ENOENT, unix.EROFS, unix.EACCES, unix.EPERM} {
			if errors.Is(err, usual) {
				err = nil
			}
		}
		reasons = append(reasons, err)
		if limits.MeansShortage(err) {
			break
		}
	}
	return nil, errors.Join(reasons...)
}

func openDirectoryIn(place string, ledger fdledger.Registrar) (d *directory, err error) {
	for range directoryTries { // another supervisor can remove what it takes for stale
		d = &directory{ledger: ledger, fd: -1}
		if filepath.Base(place) == ownName {
			if err = d.makeParent(place); err != nil {
				return nil, err
			}
		}
		if d.parent, d.shared, err = trusted(place); err != nil {
			return nil, err
		}
		removeStale(d.parent)
		if err = d.create(); err == nil {
			return d, nil
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
	}
	return nil, fmt.Errorf("cannot create a directory in %s: %w", place, err)
}

// makeParent creates a place with ownName, and /run in an image that has none.
func (d *directory) makeParent(place string) (err error) {
	if parent := filepath.Dir(place); parent == runDirectory {
		if d.run, err = mkdir(parent); err != nil {
			return err
		}
	}
	_, err = mkdir(place)
	return err
}

// mkdir creates a directory that every user may read, unless the path exists.
func mkdir(path string) (created bool, err error) {
	dir, name, err := files.OpenEntry(path)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	made, err := dir.Mkdir(name, 0o755)
	if err == nil {
		return true, made.Close()
	}
	if _, e := dir.Stat(name); e == nil { // a read-only file system says EROFS for it
		return false, nil
	}
	return false, err
}

// trusted returns the path of a directory without symbolic links. It fails if a user other than
// root and that of the supervisor could replace an element of the path. shared reports whether
// every user may pass through all of them.
func trusted(place string) (path string, shared bool, err error) {
	if path, err = filepath.EvalSymlinks(place); err != nil {
		return "", false, err
	}
	shared = true
	for at := path; ; at = filepath.Dir(at) {
		var st unix.Stat_t
		if err := unix.Lstat(at, &st); err != nil {
			return "", false, &fs.PathError{Op: "lstat", Path: at, Err: err}
		}
		own := st.Uid == 0 || int(st.Uid) == os.Geteuid()
		closed := st.Mode&0o022 == 0 || at != path && st.Mode&unix.S_ISVTX != 0
		switch {
		case st.Mode&unix.S_IFMT != unix.S_IFDIR:
			return "", false, fmt.Errorf("%s is not a directory", at)
		case !own:
			return "", false, fmt.Errorf("%s belongs to user %d, want root or user %d", at,
				st.Uid, os.Geteuid())
		case !closed:
			return "", false, fmt.Errorf(
				"others than its owner may write to %s (mode %04o): want 0755 or less", at,
				st.Mode&0o7777)
		}
		shared = shared && st.Mode&0o001 != 0
		if at == "/" {
			return path, shared, nil
		}
	}
}

// create creates and locks the directory.
func (d *directory) create() error {
	d.path = filepath.Join(d.parent, directoryPrefix+randomHex(4))
	if len(d.path)+1+minFileName > maxPath {
		return fmt.Errorf("%s is too long for a socket: %d bytes, want %d at most", d.path,
			len(d.path), maxPath-1-minFileName)
	}
	if err := os.Mkdir(d.path, 0o700); err != nil {
		return err
	}
	fd, err := lockDirectory(d.path)
	if err == nil {
		err = unix.Fchmod(fd, 0o711)
		if err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		_ = os.Remove(d.path)
		return err
	}
	d.fd = fd
	d.ledger.Opened(fd, "file", d.path)
	return nil
}

// lockDirectory opens and locks a directory of ours. It fails with EWOULDBLOCK if the supervisor
// that created it lives, and with ENOENT if it was removed meanwhile.
func lockDirectory(path string) (fd int, err error) {
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var opened, named unix.Stat_t
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		err = unix.Fstat(fd, &opened)
	}
	if err == nil {
		err = unix.Lstat(path, &named)
	}
	switch {
	case err != nil:
	case opened.Dev != named.Dev || opened.Ino != named.Ino:
		err = unix.ENOENT
	case int(opened.Uid) != os.Geteuid():
		err = unix.EACCES
	default:
		return fd, nil
	}
	_ = unix.Close(fd)
	return -1, err
}

// removeStale removes the directories of supervisors that ended without removing them.
func removeStale(parent string) {
	stale, _ := filepath.Glob(filepath.Join(escapeGlob(parent), directoryPrefix+"*"))
	for _, path := range stale {
		fd, err := lockDirectory(path)
		if err != nil {
			continue
		}
		removeSockets(path)
		_ = unix.Close(fd)
	}
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// removeSockets removes a directory of sockets. A file that is not a socket stays.
func removeSockets(path string) {
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		if e.Type() == fs.ModeSocket {
			_ = os.Remove(filepath.Join(path, e.Name()))
		}
	}
	_ = unix.Rmdir(path)
}

// remove removes the directory, and its parent if that is empty and as mkdir creates it.
func (d *directory) remove() {
	removeSockets(d.path)
	_ = d.ledger.Close(d.fd, func() error { return unix.Close(d.fd) })
	var st unix.Stat_t
	if filepath.Base(d.parent) == ownName && unix.Lstat(d.parent, &st) == nil &&
		int(st.Uid) == os.Geteuid() && st.Mode&0o7777 == 0o755 {
		_ = unix.Rmdir(d.parent) // it fails while another supervisor uses the directory
	}
	if d.run {
		_ = unix.Rmdir(runDirectory)
	}
}

// randomHex returns n random bytes as hexadecimal digits.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
