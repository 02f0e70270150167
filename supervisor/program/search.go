// Package program finds the executable of a command as execvp(3) does, and says why a file cannot
// be executed. Its errors are sentences.
package program

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/similar"
)

// DefaultPath is the PATH of a process that has none.
const DefaultPath = "/usr/local/bin:/usr/bin:/bin"

// Finder finds programs for processes with a working directory and an environment.
type Finder struct {
	Dir  string // an absolute path
	Path string // the variable PATH of the process
	// Root says that the supervisor is root, so entries of Path that are not absolute are ignored:
	// see [Entries].
	Root bool
	// Read returns the start of a file, at most limit+1 bytes. It reads the line `#!` of scripts.
	Read func(file string, limit int) ([]byte, error)
	// Names returns names in a directory, and stops after limit names. It is used once no program
	// was found, to propose a name; nil proposes none.
	Names func(dir string, limit int) ([]string, error)
}

// SearchPath returns the variable PATH of an environment.
func SearchPath(environ []string) string {
	for _, entry := range environ {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			return path
		}
	}
	return DefaultPath
}

// ByRoot reports whether the supervisor is root. The start verb is one of its processes, and asks
// after it has changed its ids.
func ByRoot() bool { return startedByRoot }

var startedByRoot = os.Geteuid() == 0

// Entries returns the entries of a variable PATH in which programs are looked up. POSIX takes an
// empty entry for the working directory, and a relative one is below it. Root ignores both: another
// user may be able to put a program there.
func Entries(path string, root bool) (used, ignored []string) {
	for _, entry := range filepath.SplitList(path) {
		if root && !filepath.IsAbs(entry) {
			ignored = append(ignored, entry)
		} else {
			used = append(used, entry)
		}
	}
	return used, ignored
}

// Ignored returns the sentence about ignored entries.
func Ignored(entries []string) string {
	const most = 3
	var quoted []string
	for _, entry := range entries[:min(len(entries), most)] {
		quoted = append(quoted, quote(entry))
	}
	if more := len(entries) - most; more > 0 {
		quoted = append(quoted, fmt.Sprintf("%d more", more))
	}
	return "For root, entries of PATH that are not absolute are ignored: " +
		strings.Join(quoted, ", ") + ". Write absolute paths."
}

// search looks a name up in PATH.
func (f *Finder) search(name string) (string, error) {
	var seen error
	entries, ignored := Entries(f.Path, f.Root)
	for _, entry := range entries {
		file := filepath.Join(f.absolute(entry), name)
		err := checkExecutable(file)
		if err == nil {
			return file, nil
		}
		if seen == nil && !errors.Is(err, fs.ErrNotExist) {
			seen = err
		}
	}
	if seen != nil {
		return "", sentence("No executable %s is in PATH: %w", quote(name), seen)
	}
	path := f.Path
	if len(path) > maxShown {
		path = path[:maxShown] + "…"
	}
	meant := ""
	if other := f.similar(name, entries); other != "" {
		meant = fmt.Sprintf(" Did you mean %s?", quote(other))
	}
	if len(ignored) > 0 {
		meant += " " + Ignored(ignored)
	}
	return "", notFound("No program %s is in PATH (%s).%s", quote(name), path, meant)
}

// maxNames bounds the names that are read in an entry of PATH.
const maxNames = 10_000

// similar returns the name of a program in PATH that was probably meant, or "".
func (f *Finder) similar(name string, entries []string) string {
	if f.Names == nil || name == "" {
		return ""
	}
	var names []string
	for _, entry := range entries {
		all, err := f.Names(f.absolute(entry), maxNames)
		if err != nil {
			continue
		}
		for _, other := range all {
			if resembles(name, other) {
				names = append(names, other)
			}
		}
	}
	meant := similar.Name(name, names)
	for _, entry := range entries {
		if meant != "" && checkExecutable(filepath.Join(f.absolute(entry), meant)) == nil {
			return meant
		}
	}
	return ""
}

// resembles reports whether a name can be a misspelling of another one. A short name is similar to
// many others by chance, so it must have the same letters.
func resembles(given, name string) bool {
	const short = 4
	if name == "" || name[0] != given[0] {
		return false
	}
	if len(given) > short {
		return len(given)-len(name) <= 1 && len(name)-len(given) <= 1
	}
	a, b := []byte(given), []byte(name)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// maxShown is the number of bytes of PATH in a message.
const maxShown = 512

func (f *Finder) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(f.Dir, path)
}

// notFoundError is the error of a file that does not exist.
type notFoundError string

func (e notFoundError) Error() string { return string(e) }

// Is makes it equal to [fs.ErrNotExist] and to ENOENT.
func (notFoundError) Is(target error) bool {
	return target == fs.ErrNotExist || target == unix.ENOENT
}

func notFound(format string, args ...any) error {
	return notFoundError(fmt.Sprintf(format, args...))
}

// sentence returns an error whose text is a sentence.
func sentence(format string, args ...any) error { return fmt.Errorf(format, args...) }

func checkExecutable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return notFound("%s does not exist.", quote(file))
	case err != nil:
		return sentence("%s cannot be read: %w.", quote(file), errors.Unwrap(err))
	case info.IsDir():
		return sentence("%s is a directory.", quote(file))
	case !info.Mode().IsRegular():
		return sentence("%s is not a regular file.", quote(file))
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return sentence("%s is not executable.", quote(file))
	}
	return nil
}

// quote returns a text in quotes, shortened for a message.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
