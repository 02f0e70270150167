package watch

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"path/filepath"
	"slices"

	"tp0/supervisor/files"
)

const (
	maxFile  = 8 << 20 // bytes of a file that are looked at
	maxNames = 100_000 // of a directory
)

// Sources is what a configuration was read from: files, and directories of
// which some names count. It belongs to one goroutine until it is used.
type Sources struct {
	from *files.Reader
	all  map[subject]*state
}

// subject is a file, or the pattern-th look at the names of a directory.
type subject struct {
	path    string
	listing int // 0: it is a file
}

type state struct {
	counts func(name string) bool // of a directory
	print  fingerprint
}

// fingerprint is what a subject has in it, or what is wrong with it.
type fingerprint [sha256.Size]byte

// NewSources makes one that has read nothing, and reads by from.
func NewSources(from *files.Reader) *Sources { return &Sources{from, map[subject]*state{}} }

// AddFile is called before a file is read.
func (r *Sources) AddFile(path string) {
	s := subject{path: absolute(path)}
	if r.all[s] == nil {
		r.all[s] = &state{print: look(r.from, s.path, nil)}
	}
}

// AddDirectory is called before a directory is listed, of which some names count.
func (r *Sources) AddDirectory(dir string, counts func(name string) bool) {
	s := subject{absolute(dir), len(r.all) + 1}
	r.all[s] = &state{counts, look(r.from, s.path, counts)}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// look returns the content of a file, or the names in a directory that count.
func look(from *files.Reader, path string, counts func(string) bool) (f fingerprint) {
	h := sha256.New()
	if err := digest(from, h, path, counts); err != nil {
		h.Reset()
		fmt.Fprintf(h, "%v", err)
	}
	h.Sum(f[:0])
	return f
}

func digest(from *files.Reader, h hash.Hash, path string, counts func(string) bool) error {
	if counts != nil {
		names, err := from.Names(path, maxNames)
		slices.Sort(names)
		for _, name := range names {
			if counts(name) {
				fmt.Fprintf(h, "%q ", name)
			}
		}
		return err
	}
	src, err := from.Read(path, maxFile)
	h.Write(src)
	return err
}
