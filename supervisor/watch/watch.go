// Package watch tells when one of the files that a configuration was read from
// has changed: saved in place or by a rename, gone, back, or behind a symbolic
// link that points elsewhere now, as the files of a mounted ConfigMap are.
//
// inotify(7), by fsnotify, only decides when to look; what counts is the content
// of the files. So a name that is used for something else, a file that is
// written with what it had, and an event too many mean nothing.
package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/procfs"
)

// When to look after something happened: once it is quiet, and if it never is.
const (
	quiet  = 100 * time.Millisecond
	atMost = time.Second
)

const maxLinks = 40 // as the kernel follows

// Watcher watches the files of the last reading. It is one descriptor and one
// goroutine of fsnotify's, and does nothing while nothing happens.
type Watcher struct {
	books   fdledger.Registrar
	fd      int
	notify  *fsnotify.Watcher
	changed func()
	warn    func(error)
	used    chan struct{} // there is a new reading
	from    *files.Reader // what files are read by
	quit    chan struct{} // closed by Close

	mu      sync.Mutex
	all     map[subject]*state
	names   map[string]bool // whose change may be that of a file, by path
	lists   map[string]bool // directories of which any name may count
	watched map[string]bool // directories and files
	warned  bool
}

// New makes a watcher, which reads by from and calls changed from [Watcher.Run], and warn once
// with what keeps it from watching a directory. Nobody else may open an inotify
// descriptor meanwhile: its own is found by comparison.
func New(books fdledger.Registrar, from *files.Reader, changed func(), warn func(error)) (*Watcher,
	error) {
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
	return &Watcher{books: books, fd: after[0], notify: notify, changed: changed, warn: warn,
		used: make(chan struct{}, 1), from: from, quit: make(chan struct{})}, nil
}

func inotifies() ([]int, error) {
	fds, err := procfs.OwnFDs()
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

// SetSources watches what was read. A reading that failed may not have come to all of
// it, so what was watched before is watched on.
func (w *Watcher) SetSources(r *Sources, failed bool) {
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

// follow finds anew what has to be watched.
func (w *Watcher) follow() {
	old := w.watched
	w.names, w.lists, w.watched = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for s := range w.all {
		if s.listing > 0 {
			w.lists[s.path] = true
			if real, err := filepath.EvalSymlinks(s.path); err == nil {
				w.lists[real] = true
			}
		}
		w.followPath(s.path)
	}
	for path := range old {
		if !w.watched[path] {
			_ = w.notify.Remove(path) // it may be gone itself
		}
	}
}

// followPath watches what decides over the content of a path: the file itself,
// for one that is mounted by itself has no directory that tells; its directory,
// and that above, for either can be exchanged; and each that has a link which
// is on the way. All this by the names that are no links.
func (w *Watcher) followPath(path string) {
	dir, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		at := filepath.Join(dir, name)
		w.names[at] = true
		to, err := os.Readlink(at)
		_, missing := os.Lstat(at)
		if err == nil || missing != nil || len(rest) < 2 {
			w.watch(dir)
		}
		switch {
		case missing != nil:
			return // what comes tells
		case err != nil:
			dir = at
		case links == maxLinks:
			return
		default:
			links++
			rest = append(strings.Split(to, "/"), rest...)
			if filepath.IsAbs(to) {
				dir = "/"
			}
		}
	}
	w.watch(dir) // the file, or a directory that is listed
}

// watch watches a directory or a file, even if it does already: there may be
// another one of that name by now.
func (w *Watcher) watch(path string) {
	if w.watched[path] {
		return
	}
	err := w.notify.Add(path)
	if err == nil {
		w.watched[path] = true
	} else if !w.warned && !errors.Is(err, os.ErrNotExist) { // that would be just now
		w.warned = true
		w.warn(fmt.Errorf("cannot watch %s: %w", path, err))
	}
}

// leaveAfter is how long Run waits for a look that is under way when it is to
// end. One at a file system that does not answer is left behind.
const leaveAfter = 50 * time.Millisecond

// Run looks when something happened, until [Watcher.Close].
func (w *Watcher) Run() error {
	done := make(chan error, 1)
	go func() { done <- w.run() }()
	select {
	case err := <-done:
		return err
	case <-w.quit:
	}
	select {
	case err := <-done:
		return err
	case <-time.After(leaveAfter):
		return nil
	}
}

func (w *Watcher) run() error {
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
		now := look(w.from, s.path, x.counts)
		differs = differs || now != x.print
		x.print = now
	}
	return differs
}

// Close ends Run. It must be called once.
func (w *Watcher) Close() {
	close(w.quit)
	_ = w.books.Close(w.fd, w.notify.Close)
}
