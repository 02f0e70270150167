package files

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxHops is the number of symbolic links and ".." elements of a path that a walk follows. The
// kernel follows 40 links (path_resolution(7)).
const maxHops = 40

// OpenDir opens the directory at a path. It follows the symbolic links of root and of the
// supervisor in trusted directories, and refuses all others: what others may write to leads to
// where they want, also at a moment of their choice.
func OpenDir(path string) (*Dir, error) {
	d, name, err := openParent(path, true, nil)
	if err != nil || name == "" {
		return d, err
	}
	w := walk{dir: *d}
	target, err := w.step(name, nil) // it closes d
	if err == nil && target != "" {
		err = unix.ELOOP // the link was created meanwhile
	}
	if err != nil {
		_ = w.dir.Close()
		return nil, d.failed("open", name, err)
	}
	return &w.dir, nil
}

// OpenParent opens the directory of a file that need not exist, and returns the name of the file in
// it. It follows links as [OpenDir] does, and also a link that is the file itself. Such a link in a
// directory that others may write to is not followed: the methods of [Dir] then find the link. The
// name can be a link in /proc to an open file, such as that of /dev/stdout, see [Dir.Append].
func OpenParent(path string) (d *Dir, name string, err error) {
	return openNamed(path, true)
}

// OpenEntry is OpenParent, but it does not follow a link that is the file itself. A rename or a
// removal concerns the link.
func OpenEntry(path string) (d *Dir, name string, err error) {
	return openNamed(path, false)
}

// OpenFixed is OpenEntry for a path that is used again, such as by bind(2). It fails if another
// user can replace the directory meanwhile.
func OpenFixed(path string) (*Dir, string, error) {
	d, name, err := OpenEntry(path)
	if err != nil {
		return nil, "", err
	}
	if !d.Fixed() {
		defer d.Close()
		return nil, "", fmt.Errorf("other users can replace the directory %s or one above it. Use "+
			"a directory whose parent directories only root may write to, such as one in /run",
			d.Path())
	}
	return d, name, nil
}

func openNamed(path string, follow bool) (*Dir, string, error) {
	d, name, err := openParent(path, follow, nil)
	if err == nil && name == "" {
		err = &fs.PathError{Op: "open", Path: path, Err: unix.EISDIR}
		_ = d.Close()
		return nil, "", err
	}
	return d, name, err
}

// openParent walks along a path to the directory of its last element. The name is empty if the
// path, after its links, is "/". A nil doubts refuses links that others may have made. Else they
// are followed, and doubts is called with each reason not to trust the path.
func openParent(path string, follow bool, doubts func(string)) (*Dir, string, error) {
	at, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	for range maxHops {
		var w walk
		if err := w.root(); err != nil {
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
		}
		w.doubts = doubts
		name, target, err := w.descend(at, follow)
		if err == nil && target == "" {
			return &w.dir, name, nil
		}
		_ = w.dir.Close()
		if err != nil {
			return nil, "", &fs.PathError{Op: "open", Path: path, Err: err}
		}
		at = target
	}
	return nil, "", &fs.PathError{Op: "open", Path: path, Err: unix.ELOOP}
}

// A walk goes from the root directory down to the directory of a file.
type walk struct {
	dir    Dir // the directory that is reached; the walk owns its descriptor
	doubts func(string)
}

func (w *walk) root() error {
	var fd int
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	err := retry(func() (err error) {
		fd, err = unix.Open("/", flags, 0)
		return err
	})
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return err
	}
	top := Dir{trusted: true, dev: st.Dev} // no user can replace the root directory
	w.dir = top.enter("", fd, &st)
	return nil
}

// descend walks to the directory of the last element of an absolute path. A target that is not
// empty is the path to continue with, because a link or ".." was found.
func (w *walk) descend(path string, follow bool) (name, target string, err error) {
	var elements []string
	for e := range strings.SplitSeq(path, "/") {
		if e != "" && e != "." {
			elements = append(elements, e)
		}
	}
	for i, e := range elements {
		rest, last := elements[i+1:], i == len(elements)-1
		if e == ".." {
			return "", filepath.Dir(w.dir.path) + "/" + strings.Join(rest, "/"), w.mayLeave()
		}
		if last {
			if !follow || isMagic(w.dir.path) {
				return e, "", nil
			}
			target, err = w.readLink(e, nil)
			if w.doubts == nil && IsRefused(err) || isOneOf(err, unix.ENOENT) {
				err = nil // the caller finds the link, or creates the file
			}
			return e, target, err
		}
		if w.untrusted() && w.doubts == nil {
			return elements[len(elements)-1], "", w.below(elements[i:])
		}
		if target, err = w.step(e, rest); err != nil || target != "" {
			return "", target, err
		}
	}
	return "", "", nil
}

// untrusted reports whether no directory below can be trusted.
func (w *walk) untrusted() bool {
	return !w.dir.trusted && !w.dir.sticky && w.dir.path != "/"
}

// mayLeave returns an error if ".." can lead to another directory than the path says.
func (w *walk) mayLeave() error {
	if w.dir.fixed || w.doubts != nil {
		return nil
	}
	return leavesUntrusted
}

const leavesUntrusted = refusal(`it leads to ".." from a directory that others may replace`)

// step enters the directory with a name. If the name is a link, it returns the path to continue
// with, which ends in rest.
func (w *walk) step(name string, rest []string) (target string, err error) {
	flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW
	if isMagic(w.dir.path) && w.dir.trusted {
		flags &^= unix.O_NOFOLLOW // such as /proc/self/cwd: only the kernel can follow it
	}
	fd, err := w.dir.open(name, flags, 0)
	if isOneOf(err, unix.ENOTDIR, unix.ELOOP) {
		if target, e := w.readLink(name, rest); target != "" || IsRefused(e) {
			return target, e
		}
	}
	if err != nil {
		return "", reason(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return "", err
	}
	next := w.dir.enter(name, fd, &st)
	w.doubt(&next, &st)
	_ = w.dir.Close()
	w.dir = next
	return "", nil
}

// doubt reports why a directory on the path is not trusted.
func (w *walk) doubt(next *Dir, st *unix.Stat_t) {
	switch {
	case w.doubts == nil || next.trusted || next.sticky:
	case !isOurs(st.Uid):
		w.doubts("the directory " + next.path + " belongs to user " +
			strconv.FormatUint(uint64(st.Uid), 10))
	case othersMayWrite(next.fd, st):
		w.doubts("others may write to the directory " + next.path + ", which has the mode " +
			octal(st.Mode))
	}
}

// below enters the directory of the file at the end of these names, and follows no link.
func (w *walk) below(names []string) error {
	if slices.Contains(names, "..") { // the first name is another one
		return leavesUntrusted
	}
	names = names[:len(names)-1]
	path := strings.Join(names, "/")
	fd, err := openBeneath(w.dir.fd, path)
	if isOneOf(err, unix.ENOSYS, unix.EPERM, unix.EINVAL) {
		fd, err = walkBeneath(w.dir.fd, names)
	}
	if isOneOf(err, unix.ELOOP) {
		return refusal("a directory of its path is a symbolic link that others may have made")
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return err
	}
	next := w.dir.enter(path, fd, &st)
	_ = w.dir.Close()
	w.dir = next
	return nil
}

// openBeneath opens a directory below dir with one system call, openat2(2) of Linux 5.6. The
// seccomp profile of an older Docker answers EPERM. A link is ELOOP.
func openBeneath(dir int, path string) (fd int, err error) {
	how := unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS |
			unix.RESOLVE_NO_MAGICLINKS,
	}
	err = retry(func() error {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	return fd, err
}

// walkBeneath does the same with one openat(2) for each name.
func walkBeneath(dir int, names []string) (fd int, err error) {
	fd = -1
	for at, name := range names {
		next := -1
		err = retry(func() (err error) {
			next, err = unix.Openat(dir, name,
				unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			return err
		})
		var st unix.Stat_t
		if err == unix.ENOTDIR &&
			unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
			st.Mode&unix.S_IFMT == unix.S_IFLNK {
			err = unix.ELOOP
		}
		if at > 0 {
			_ = unix.Close(dir)
		}
		if err != nil {
			return -1, err
		}
		dir, fd = next, next
	}
	return fd, nil
}

// readLink returns the path that a link leads to, with rest at its end. It is empty if the name is
// no link. The error is a refusal if others may have made the link.
func (w *walk) readLink(name string, rest []string) (target string, err error) {
	b := make([]byte, unix.PathMax)
	var n int
	err = retry(func() (err error) {
		n, err = unix.Readlinkat(w.dir.fd, name, b)
		return err
	})
	switch {
	case err == unix.EINVAL:
		return "", nil
	case err != nil:
		return "", err
	}
	if !w.dir.trusted {
		at := join(w.dir.path, name)
		if w.doubts == nil {
			return "", refusal(at + " is a symbolic link in a directory that others may write to")
		}
		var st unix.Stat_t
		err := unix.Fstatat(w.dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || !w.dir.sticky || !isOurs(st.Uid) {
			w.doubts("others may replace the symbolic link " + at)
		}
	}
	to := string(b[:n])
	if !strings.HasPrefix(to, "/") {
		to = w.dir.path + "/" + to
	}
	return to + "/" + strings.Join(rest, "/"), nil
}
