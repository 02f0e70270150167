package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/fixture/needs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type nobody struct{}

func (nobody) Emit(event.Event) {}

// limit is when a test gives up.
const limit = 20 * time.Second

// watched is a watcher of a directory, in which read says what was read.
type watched struct {
	t       *testing.T
	dir     string
	w       *Watcher
	changes chan struct{}
}

func start(t *testing.T, prepare func(dir string), read func(r *Sources, dir string)) *watched {
	t.Helper()
	x := &watched{t: t, dir: t.TempDir(), changes: make(chan struct{}, 100)}
	book := fdledger.New(nobody{})
	if err := book.Baseline(); err != nil {
		t.Fatal(err)
	}
	var err error
	x.w, err = New(book, &files.Reader{}, func() { x.changes <- struct{}{} },
		func(err error) { t.Errorf("warned: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- x.w.Run() }()
	t.Cleanup(func() {
		x.w.Close()
		if err := <-over; err != nil {
			t.Error(err)
		}
		if diff, err := book.Check(); err != nil || len(diff) > 0 {
			t.Errorf("%v, %v", diff, err)
		}
	})
	prepare(x.dir)
	r := NewSources(&files.Reader{})
	read(r, x.dir)
	x.w.SetSources(r, false)
	return x
}

// changed waits for word of a change.
func (x *watched) changed(what string) {
	x.t.Helper()
	select {
	case <-x.changes:
	case <-time.After(limit):
		x.t.Fatalf("nothing was said of this: %s", what)
	}
}

// knows reports whether a file was looked at since it is what it is now.
func (x *watched) knows(path string) bool {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	return x.w.all[subject{path: path}].print == look(&files.Reader{}, path, nil)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What can happen to a file: each is told, and other names are of no interest.
func TestEdits(t *testing.T) {
	f := func(x *watched) string { return filepath.Join(x.dir, "a", "b", "f") }
	steps := []struct {
		name string
		do   func(x *watched)
	}{
		{"written in place", func(x *watched) { write(t, f(x), "two") }},
		{"saved by rename", func(x *watched) {
			write(t, f(x)+"~", "three")
			must(t, os.Rename(f(x)+"~", f(x)))
		}},
		{"removed", func(x *watched) { must(t, os.Remove(f(x))) }},
		{"back", func(x *watched) { write(t, f(x), "four") }},
		{"its directory is gone", func(x *watched) {
			must(t, os.RemoveAll(filepath.Join(x.dir, "a")))
		}},
		{"and back", func(x *watched) {
			must(t, os.MkdirAll(filepath.Join(x.dir, "a", "b"), 0o755))
			write(t, f(x), "five")
		}},
		{"its directory is exchanged", func(x *watched) {
			must(t, os.MkdirAll(filepath.Join(x.dir, "new", "b"), 0o755))
			write(t, filepath.Join(x.dir, "new", "b", "f"), "six")
			must(t, unix.Renameat2(unix.AT_FDCWD, filepath.Join(x.dir, "new"), unix.AT_FDCWD,
				filepath.Join(x.dir, "a"), unix.RENAME_EXCHANGE))
		}},
		{"written in there", func(x *watched) { write(t, f(x), "seven") }},
		{"a link in its place", func(x *watched) {
			write(t, filepath.Join(x.dir, "target"), "eight")
			must(t, os.Symlink(filepath.Join(x.dir, "target"), f(x)+"~"))
			must(t, os.Rename(f(x)+"~", f(x)))
		}},
		{"what the link leads to", func(x *watched) {
			write(t, filepath.Join(x.dir, "target"), "nine")
		}},
		{"a FIFO in its place", func(x *watched) {
			must(t, unix.Mkfifo(f(x)+"~", 0o600))
			must(t, os.Rename(f(x)+"~", f(x)))
		}},
	}
	x := start(t, func(dir string) {
		must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
		write(t, filepath.Join(dir, "a", "b", "f"), "one")
	}, func(r *Sources, dir string) { r.AddFile(filepath.Join(dir, "a", "b", "f")) })
	for _, s := range steps {
		s.do(x)
		// Of a step that is several changes more than one may be told.
		for x.changed(s.name); !x.knows(f(x)); {
			x.changed(s.name)
		}
	}
	for _, path := range []string{"other", "a/other", "a/b/other", "a/b/f~"} {
		if x.w.matters(filepath.Join(x.dir, path)) {
			t.Errorf("%s is of no interest", path)
		}
	}
}

// The kubelet exchanges all files of a mounted ConfigMap at once: each is a link
// into the directory ..data, which is a link to one with a date in its name.
func TestConfigMap(t *testing.T) {
	swap := func(dir string, edition int, text string) {
		dated := filepath.Join(dir, fmt.Sprintf("..2026_%d", edition))
		must(t, os.Mkdir(dated, 0o755))
		write(t, filepath.Join(dated, "f"), text)
		must(t, os.Symlink(filepath.Base(dated), filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		if edition > 0 {
			must(t, os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", edition-1))))
		}
	}
	x := start(t, func(dir string) {
		swap(dir, 0, "0")
		must(t, os.Symlink(filepath.Join("..data", "f"), filepath.Join(dir, "f")))
	}, func(r *Sources, dir string) { r.AddFile(filepath.Join(dir, "f")) })
	for i := 1; i < 10; i++ {
		swap(x.dir, i, fmt.Sprint(i))
		x.changed(fmt.Sprint("edition ", i))
	}
}

// A release is a directory, and a link says which; what leads there are links
// too, and one goes up.
func TestLinksOnTheWay(t *testing.T) {
	x := start(t, func(dir string) {
		for _, release := range []string{"1", "2"} {
			must(t, os.MkdirAll(filepath.Join(dir, "releases", release), 0o755))
			write(t, filepath.Join(dir, "releases", release, "f"), release)
		}
		must(t, os.Mkdir(filepath.Join(dir, "releases", "x"), 0o755))
		must(t, os.Symlink("../1", filepath.Join(dir, "releases", "x", "current")))
		must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
		must(t, os.Symlink("../releases/x/current", filepath.Join(dir, "etc", "app")))
	}, func(r *Sources, dir string) { r.AddFile(filepath.Join(dir, "etc", "app", "f")) })
	must(t, os.Symlink("../2", filepath.Join(x.dir, "new")))
	must(t, os.Rename(filepath.Join(x.dir, "new"),
		filepath.Join(x.dir, "releases", "x", "current")))
	x.changed("the other release")
	write(t, filepath.Join(x.dir, "releases", "2", "f"), "3")
	x.changed("an edit in there")
	must(t, os.Symlink("../releases/1", filepath.Join(x.dir, "new")))
	must(t, os.Rename(filepath.Join(x.dir, "new"), filepath.Join(x.dir, "etc", "app")))
	x.changed("the link itself")
}

// A file that is mounted by itself, as docker run -v does with one, has another
// directory where it is written.
func TestMountedFile(t *testing.T) {
	needs.Check(t, "root")
	x := start(t, func(dir string) {
		must(t, os.MkdirAll(filepath.Join(dir, "host"), 0o755))
		must(t, os.MkdirAll(filepath.Join(dir, "guest"), 0o755))
		write(t, filepath.Join(dir, "host", "f"), "1")
		write(t, filepath.Join(dir, "guest", "f"), "")
		must(t, unix.Mount(filepath.Join(dir, "host", "f"), filepath.Join(dir, "guest", "f"), "",
			unix.MS_BIND, ""))
		t.Cleanup(func() { must(t, unix.Unmount(filepath.Join(dir, "guest", "f"), 0)) })
	}, func(r *Sources, dir string) { r.AddFile(filepath.Join(dir, "guest", "f")) })
	write(t, filepath.Join(x.dir, "host", "f"), "2")
	x.changed("an edit from outside")
}

// The names that a pattern matches count, and no others.
func TestListing(t *testing.T) {
	x := start(t, func(dir string) {
		must(t, os.Mkdir(filepath.Join(dir, "conf.d"), 0o755))
	}, func(r *Sources, dir string) {
		r.AddDirectory(filepath.Join(dir, "conf.d"),
			func(name string) bool { return strings.HasSuffix(name, ".hcl") })
	})
	write(t, filepath.Join(x.dir, "conf.d", "a.hcl"), "")
	x.changed("a new file")
	write(t, filepath.Join(x.dir, "conf.d", ".a.swp"), "")
	must(t, os.Remove(filepath.Join(x.dir, "conf.d", "a.hcl")))
	x.changed("a file less")
	must(t, os.RemoveAll(filepath.Join(x.dir, "conf.d")))
	x.changed("no directory")
	must(t, os.Mkdir(filepath.Join(x.dir, "conf.d"), 0o755))
	x.changed("a directory")
	write(t, filepath.Join(x.dir, "conf.d", "b.hcl"), "")
	x.changed("a file in it")
	if n := len(x.changes); n > 0 {
		t.Errorf("%d words too many", n)
	}
}

// What changes between its reading and the watch is told.
func TestEditBeforeTheWatch(t *testing.T) {
	x := start(t, func(dir string) { write(t, filepath.Join(dir, "f"), "one") },
		func(r *Sources, dir string) {
			r.AddFile(filepath.Join(dir, "f"))
			write(t, filepath.Join(dir, "f"), "two")
		})
	x.changed("an early edit")
}

// A reading that failed before it came to a file watches that one on.
func TestFailedReading(t *testing.T) {
	x := start(t, func(dir string) {
		write(t, filepath.Join(dir, "f"), "one")
		write(t, filepath.Join(dir, "g"), "one")
	}, func(r *Sources, dir string) {
		r.AddFile(filepath.Join(dir, "f"))
		r.AddFile(filepath.Join(dir, "g"))
	})
	r := NewSources(&files.Reader{})
	r.AddFile(filepath.Join(x.dir, "f"))
	x.w.SetSources(r, true)
	write(t, filepath.Join(x.dir, "g"), "two")
	x.changed("a file of the reading before")
}
