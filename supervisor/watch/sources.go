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
	maxFile  = 8 << 20 // bytes of a file that enter its fingerprint
	maxNames = 100_000 // of a directory
)

// Sources are the files and directory listings that a configuration was read from, with their
// content at that time. One goroutine may use them, and none once they are passed to
// [Watcher.SetSources].
type Sources struct {
	reader *files.Reader
	all    map[source]*state
}

// source is a file, or a directory of which some names are relevant. A directory can be listed
// several times with different filters.
type source struct {
	path    string
	listing int // number of the listing; 0 for a file
}

type state struct {
	relevant func(name string) bool // selects the names of a directory; nil for a file
	content  fingerprint
}

// fingerprint is the hash of the content of a source, or of the error of reading it.
type fingerprint [sha256.Size]byte

// NewSources returns an empty set that reads with reader.
func NewSources(reader *files.Reader) *Sources {
	return &Sources{reader, map[source]*state{}}
}

// AddFile records a file. Call it before the file is read.
func (r *Sources) AddFile(path string) {
	s := source{path: absolute(path)}
	if r.all[s] == nil {
		r.all[s] = &state{content: hashSource(r.reader, s.path, nil)}
	}
}

// AddDirectory records the names in a directory for which relevant returns true. Call it before
// the directory is listed.
func (r *Sources) AddDirectory(dir string, relevant func(name string) bool) {
	s := source{absolute(dir), len(r.all) + 1}
	r.all[s] = &state{relevant, hashSource(r.reader, s.path, relevant)}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// hashSource hashes the content of a file (relevant is nil) or the relevant names of a directory.
func hashSource(reader *files.Reader, path string, relevant func(string) bool) (f fingerprint) {
	h := sha256.New()
	if err := writeSource(h, reader, path, relevant); err != nil {
		h.Reset()
		fmt.Fprintf(h, "%v", err)
	}
	h.Sum(f[:0])
	return f
}

func writeSource(
	h hash.Hash, reader *files.Reader, path string, relevant func(string) bool,
) error {
	if relevant != nil {
		names, err := reader.Names(path, maxNames)
		slices.Sort(names)
		for _, name := range names {
			if relevant(name) {
				fmt.Fprintf(h, "%q ", name)
			}
		}
		return err
	}
	src, err := reader.Read(path, maxFile)
	h.Write(src)
	return err
}
