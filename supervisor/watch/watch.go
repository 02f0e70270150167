// Package watch tells when one of the files that a configuration was read from
// has changed: saved in place or by a rename, gone, back, or behind a symbolic
// link that points elsewhere now, as the files of a mounted ConfigMap are.
//
// It watches directories (inotify(7), by fsnotify) and by that only decides when
// to look; what counts is the content of the files. So a name that is used for
// something else, a file that is written with what it had, and an event too many
// mean nothing.
package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"tp0/supervisor/procfs"
)

// Books are where the descriptor is entered.
type Books interface {
	Opened(fd int, kind, target string)
	Close(fd int, close func() error) error
}

// When to look after something happened: once it is quiet, and if it never is.
const (
	quiet  = 100 * time.Millisecond
	atMost = time.Second
)

const maxLinks = 40 // as the kernel follows

// Watcher watches the files of the last reading. It is one descriptor and one
// goroutine of fsnotify's, and does nothing while nothing happens.
type Watcher struct {
	books   Books
	fd      int
	notify  *fsnotify.Watcher
	changed func()
	warn    func(error)
	used    chan struct{} // there is a new reading

	mu     sync.Mutex
	all    map[subject]*state
	names  map[string]bool // whose change may be that of a file, by path
	lists  map[string]bool // directories of which any name may count
	dirs   map[string]bool // that are watched
	warned bool
}

// New makes a watcher, which calls changed from [Watcher.Run], and warn once
// with what keeps it from watching a directory. Nobody else may open an inotify
// descriptor meanwhile: its own is found by comparison.
func New(books Books, changed func(), warn func(error)) (*Watcher, error) {
	before, err := inotifies()
	if err != nil {
		return nil, err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	after, err := inotifies()
	after = slices.DeleteFunc(after, func(fd int) bool { return slices.Contains(before, fd) })
	if err == nil && len(after) != 1 {
		err = errors.New("cannot watch files: the descriptor for it was not found")
	}
	if err != nil {
		return nil, errors.Join(err, notify.Close())
	}
	books.Opened(after[0], "inotify", "configuration")
	return &Watcher{books: books, fd: after[0], notify: notify, changed: changed, warn: warn, used: make(chan struct{}, 1)}, nil
}

func inotifies() ([]int, error) {
	fds, err := procfs.Own()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	var all []int
	for _, f := range fds {
		if f.Kind == "inotify" {
			all = append(all, f.Num)
		}
	}
	return all, nil
}

// Use watches what was read. A reading that failed may not have come to all of
// it, so what was watched before is watched on.
func (w *Watcher) Use(r *Reading, failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.all
	w.all = r.all
	if failed {
		for s, x := range old {
			if w.all[s] == nil {
				w.all[s] = x
			}
		}
	}
	w.follow()
	select {
	case w.used <- struct{}{}: // it may have changed since it was read
	default:
	}
}

// follow finds anew which directories have to be watched.
func (w *Watcher) follow() {
	old := w.dirs
	w.names, w.lists, w.dirs = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for s := range w.all {
		if s.listing > 0 {
			w.lists[s.path] = true
			_ = w.watch(s.path) // followPath tells of those above
		}
		w.followPath(s.path)
	}
	for dir := range old {
		if !w.dirs[dir] {
			_ = w.notify.Remove(dir) // it may be gone itself
		}
	}
}

// followPath watches what decides over the content of a path: the directories
// on the way to it, for each can be exchanged, and the same wherever a link
// leads.
func (w *Watcher) followPath(path string) {
	for range maxLinks {
		for name := path; name != "/"; name = filepath.Dir(name) {
			w.names[name] = true
			err := w.watch(filepath.Dir(name))
			if name == path && err != nil && !w.warned {
				w.warned = true
				w.warn(fmt.Errorf("cannot watch %s: %w", filepath.Dir(path), err))
			}
		}
		to, err := os.Readlink(path)
		if err != nil {
			return
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = filepath.Clean(to)
	}
}

// watch watches a directory, even if it does already: there may be another one
// of that name by now. Of one that is not there, those above it tell.
func (w *Watcher) watch(dir string) error {
	if w.dirs[dir] {
		return nil
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil
	}
	err := w.notify.Add(dir)
	if err == nil {
		w.dirs[dir] = true
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil // just now
	}
	return err
}

// Run looks when something happened, until [Watcher.Close].
func (w *Watcher) Run() error {
	var first time.Time // when something happened that was not looked at; zero: nothing did
	due := time.NewTimer(atMost)
	due.Stop()
	defer due.Stop()
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return nil
			}
			if !w.matters(e.Name) {
				continue
			}
		case _, ok := <-w.notify.Errors: // events were lost
			if !ok {
				return nil
			}
		case <-w.used:
		case <-due.C:
			first = time.Time{}
			if w.differs() {
				w.changed()
			}
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		due.Reset(min(quiet, first.Add(atMost).Sub(now)))
	}
}

// matters reports whether something that happened to a path may have changed a
// file.
func (w *Watcher) matters(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[path] || w.lists[filepath.Dir(path)]
}

// differs reports whether something is not what it was, and remembers what it
// is.
func (w *Watcher) differs() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.follow()
	differs := false
	for s, x := range w.all {
		now := look(s.path, x.counts)
		differs = differs || now != x.print
		x.print = now
	}
	return differs
}

// Close ends Run.
func (w *Watcher) Close() { _ = w.books.Close(w.fd, w.notify.Close) }
