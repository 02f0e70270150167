// Package watch reports when a source of the configuration has changed: a file was written in
// place, replaced by a rename, removed or created, or a symbolic link on its path leads to
// another file, as in a mounted ConfigMap.
//
// Events of inotify(7), received through fsnotify, only trigger a comparison of contents. So
// unrelated files, files that are written with the same content and superfluous events are not
// reported.
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

// The contents are compared when no event has arrived for quietPeriod, and at the latest
// maxDelay after the first event.
const (
	quietPeriod = 100 * time.Millisecond
	maxDelay    = time.Second
)

const (
	maxLinks    = 40                    // on one path, the limit of the kernel
	stopTimeout = 50 * time.Millisecond // of a comparison that runs when Run has to end
)

// Watcher watches the sources of the current configuration. It has one descriptor and one
// goroutine of fsnotify, and is idle while no event arrives.
type Watcher struct {
	ledger  fdledger.Registrar
	fd      int
	notify  *fsnotify.Watcher
	changed func()
	warn    func(error)
	updated chan struct{} // SetSources was called
	reader  *files.Reader
	quit    chan struct{} // closed by Close

	mu      sync.Mutex
	all     map[source]*state
	names   map[string]bool // paths whose events are relevant
	lists   map[string]bool // directories in which the events of all names are relevant
	watched map[string]bool // paths with an inotify watch
	warned  bool
}

// New returns a watcher that reads with reader. [Watcher.Run] calls changed after a change. The
// first error of adding a watch is passed to warn.
//
// No other goroutine may open an inotify descriptor during New: the descriptor of fsnotify is
// found by comparing the descriptor table before and after.
func New(
	ledger fdledger.Registrar, reader *files.Reader, changed func(), warn func(error),
) (*Watcher, error) {
	before, err := inotifyFDs()
	if err != nil {
		return nil, err
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	after, err := inotifyFDs()
	after = slices.DeleteFunc(after, func(fd int) bool { return slices.Contains(before, fd) })
	if err == nil && len(after) != 1 {
		err = errors.New("cannot watch files: the inotify descriptor was not found")
	}
	if err != nil {
		return nil, errors.Join(err, notify.Close())
	}
	ledger.Opened(after[0], "inotify", "configuration")
	return &Watcher{
		ledger: ledger, fd: after[0], notify: notify, changed: changed, warn: warn,
		updated: make(chan struct{}, 1), reader: reader, quit: make(chan struct{}),
	}, nil
}

func inotifyFDs() ([]int, error) {
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

// SetSources replaces the watched sources. After a failed load the previous sources stay watched
// too, because the load may have ended before it reached all files.
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
	w.updateWatches()
	select {
	case w.updated <- struct{}{}: // compare: a source may have changed since it was read
	default:
	}
}

// updateWatches adds the inotify watches that the sources need and removes all others.
func (w *Watcher) updateWatches() {
	old := w.watched
	w.names, w.lists, w.watched = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for s := range w.all {
		if s.listing > 0 {
			w.lists[s.path] = true
			if real, err := filepath.EvalSymlinks(s.path); err == nil {
				w.lists[real] = true
			}
		}
		w.watchPath(s.path)
	}
	for path := range old {
		if !w.watched[path] {
			_ = w.notify.Remove(path) // it fails if the path was removed
		}
	}
}

// watchPath adds a watch for everything that decides which content a path has: the file itself,
// since a file that is mounted alone is written through another directory; its directory and the
// one above, since both can be replaced; and the directory of each symbolic link on the path.
// The watches use paths without symbolic links.
func (w *Watcher) watchPath(path string) {
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
			return // its creation is an event of dir
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
	w.watch(dir) // the file, or the directory that is listed
}

// watch adds a watch to a directory or a file. It does so even if the path had one before: the
// path can lead to another inode now.
func (w *Watcher) watch(path string) {
	if w.watched[path] {
		return
	}
	err := w.notify.Add(path)
	switch {
	case err == nil:
		w.watched[path] = true
	case errors.Is(err, os.ErrNotExist): // it was removed a moment ago
	case errors.Is(err, fsnotify.ErrClosed): // Close was called meanwhile
	case !w.warned:
		w.warned = true
		w.warn(fmt.Errorf("cannot watch %s: %w", path, err))
	}
}

// Run compares the sources after events until [Watcher.Close] is called. A comparison that
// takes longer than stopTimeout after that, on a file system that does not respond, is left to
// its goroutine.
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
	case <-time.After(stopTimeout):
		return nil
	}
}

func (w *Watcher) run() error {
	var first time.Time // the first event since the last comparison; zero if there was none
	due := time.NewTimer(maxDelay)
	due.Stop()
	defer due.Stop()
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return nil
			}
			if !w.relevant(e.Name) {
				continue
			}
		case _, ok := <-w.notify.Errors: // events were lost
			if !ok {
				return nil
			}
		case <-w.updated:
		case <-due.C:
			first = time.Time{}
			if w.compare() {
				w.changed()
			}
			continue
		}
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		due.Reset(min(quietPeriod, first.Add(maxDelay).Sub(now)))
	}
}

// relevant reports whether an event of a path can be a change of a source.
func (w *Watcher) relevant(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[path] || w.lists[filepath.Dir(path)]
}

// compare reports whether a source has changed since the last comparison.
func (w *Watcher) compare() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updateWatches()
	changed := false
	for s, x := range w.all {
		now := hashSource(w.reader, s.path, x.relevant)
		changed = changed || now != x.content
		x.content = now
	}
	return changed
}

// Close ends Run. Call it once.
func (w *Watcher) Close() {
	close(w.quit)
	_ = w.ledger.Close(w.fd, w.notify.Close)
}
