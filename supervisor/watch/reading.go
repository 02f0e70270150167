package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	maxFile  = 8 << 20 // bytes of a file that are looked at
	maxNames = 100_000 // of a directory
)

// Reading is what a configuration was read from: files, and directories of
// which some names count. It belongs to one goroutine until it is used.
type Reading struct{ all map[subject]*state }

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

// NewReading makes one that has read nothing.
func NewReading() *Reading { return &Reading{map[subject]*state{}} }

// Saw is called before a file is read.
func (r *Reading) Saw(path string) {
	s := subject{path: absolute(path)}
	if r.all[s] == nil {
		r.all[s] = &state{print: look(s.path, nil)}
	}
}

// Listed is called before a directory is listed, of which some names count.
func (r *Reading) Listed(dir string, counts func(name string) bool) {
	s := subject{absolute(dir), len(r.all) + 1}
	r.all[s] = &state{counts, look(s.path, counts)}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// look returns the content of a file, or the names in a directory that count.
func look(path string, counts func(string) bool) (f fingerprint) {
	h := sha256.New()
	if err := digest(h, path, counts); err != nil {
		h.Reset()
		fmt.Fprintf(h, "%v", err)
	}
	h.Sum(f[:0])
	return f
}

func digest(h hash.Hash, path string, counts func(string) bool) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if counts != nil {
		names, err := f.Readdirnames(maxNames)
		slices.Sort(names)
		for _, name := range names {
			if counts(name) {
				fmt.Fprintf(h, "%q ", name)
			}
		}
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	_, err = io.Copy(h, io.LimitReader(f, maxFile))
	return err
}
