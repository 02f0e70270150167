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

// noSink drops the events of the ledger.
type noSink struct{}

func (noSink) Emit(event.Event) {}

// limit bounds each wait.
const limit = 20 * time.Second

// watchTest is a running watcher of sources in a temporary directory.
type watchTest struct {
	t       *testing.T
	dir     string
	w       *Watcher
	changes chan struct{}
}

// start prepares a directory, adds its sources and runs a watcher.
func start(t *testing.T, prepare func(dir string), read func(r *Sources, dir string)) *watchTest {
	t.Helper()
	x := &watchTest{t: t, dir: t.TempDir(), changes: make(chan struct{}, 100)}
	ledger := fdledger.New(noSink{})
	if err := ledger.Baseline(); err != nil {
		t.Fatal(err)
	}
	var err error
	x.w, err = New(ledger, &files.Reader{}, func() { x.changes <- struct{}{} },
		func(err error) { t.Errorf("warning: %v", err) })
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
		if diff, err := ledger.Check(); err != nil || len(diff) > 0 {
			t.Errorf("the ledger differs from the descriptor table: %v, %v", diff, err)
		}
	})
	prepare(x.dir)
	r := NewSources(&files.Reader{})
	read(r, x.dir)
	x.w.SetSources(r, false)
	return x
}

// changed waits until the watcher reports a change.
func (x *watchTest) changed(what string) {
	x.t.Helper()
	select {
	case <-x.changes:
	case <-time.After(limit):
		x.t.Fatalf("no change was reported: %s", what)
	}
}

// upToDate reports whether the watcher has compared the current content of a file.
func (x *watchTest) upToDate(path string) bool {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	return x.w.all[source{path: path}].content == hashSource(&files.Reader{}, path, nil)
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

// TestEdits checks that every kind of change of a file is reported, and that other names are not
// relevant.
func TestEdits(t *testing.T) {
	f := func(x *watchTest) string { return filepath.Join(x.dir, "a", "b", "f") }
	steps := []struct {
		name string
		do   func(x *watchTest)
	}{
		{"written in place", func(x *watchTest) { write(t, f(x), "two") }},
		{"saved by rename", func(x *watchTest) {
			write(t, f(x)+"~", "three")
			must(t, os.Rename(f(x)+"~", f(x)))
		}},
		{"removed", func(x *watchTest) { must(t, os.Remove(f(x))) }},
		{"created again", func(x *watchTest) { write(t, f(x), "four") }},
		{"directory removed", func(x *watchTest) {
			must(t, os.RemoveAll(filepath.Join(x.dir, "a")))
		}},
		{"directory created again", func(x *watchTest) {
			must(t, os.MkdirAll(filepath.Join(x.dir, "a", "b"), 0o755))
			write(t, f(x), "five")
		}},
		{"directory replaced", func(x *watchTest) {
			must(t, os.MkdirAll(filepath.Join(x.dir, "new", "b"), 0o755))
			write(t, filepath.Join(x.dir, "new", "b", "f"), "six")
			must(t, unix.Renameat2(unix.AT_FDCWD, filepath.Join(x.dir, "new"), unix.AT_FDCWD,
				filepath.Join(x.dir, "a"), unix.RENAME_EXCHANGE))
		}},
		{"written in the new directory", func(x *watchTest) { write(t, f(x), "seven") }},
		{"replaced by a link", func(x *watchTest) {
			write(t, filepath.Join(x.dir, "target"), "eight")
			must(t, os.Symlink(filepath.Join(x.dir, "target"), f(x)+"~"))
			must(t, os.Rename(f(x)+"~", f(x)))
		}},
		{"target of the link written", func(x *watchTest) {
			write(t, filepath.Join(x.dir, "target"), "nine")
		}},
		{"replaced by a FIFO", func(x *watchTest) {
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
		// A step of several system calls can be reported more than once.
		for x.changed(s.name); !x.upToDate(f(x)); {
			x.changed(s.name)
		}
	}
	for _, path := range []string{"other", "a/other", "a/b/other", "a/b/f~"} {
		if x.w.relevant(filepath.Join(x.dir, path)) {
			t.Errorf("%s is relevant, want not", path)
		}
	}
}

// TestConfigMap replaces all files of a ConfigMap volume as the kubelet does: each file is a link
// into the directory ..data, which is itself a link to a directory with a date in its name.
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

// TestLinksOnPath switches the link to the directory of a release; the path to that link has links
// too, one of them with "..".
func TestLinksOnPath(t *testing.T) {
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

// TestMountedFile changes a file that is mounted alone (docker run -v) through its other directory.
func TestMountedFile(t *testing.T) {
	needs.Check(t, "admin")
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
	x.changed("written through the other directory")
}

// TestListing checks that the names which match the pattern are relevant, and no others.
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
	x.changed("a file removed")
	must(t, os.RemoveAll(filepath.Join(x.dir, "conf.d")))
	x.changed("the directory removed")
	must(t, os.Mkdir(filepath.Join(x.dir, "conf.d"), 0o755))
	x.changed("the directory created again")
	write(t, filepath.Join(x.dir, "conf.d", "b.hcl"), "")
	x.changed("a file in the new directory")
	if n := len(x.changes); n > 0 {
		t.Errorf("%d more changes were reported, want none", n)
	}
}

// TestEditBeforeWatch checks that a change between AddFile and SetSources is reported.
func TestEditBeforeWatch(t *testing.T) {
	x := start(t, func(dir string) { write(t, filepath.Join(dir, "f"), "one") },
		func(r *Sources, dir string) {
			r.AddFile(filepath.Join(dir, "f"))
			write(t, filepath.Join(dir, "f"), "two")
		})
	x.changed("an early edit")
}

// TestFailedLoad checks that a load that failed early keeps the previous sources watched.
func TestFailedLoad(t *testing.T) {
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
	x.changed("a file of the previous load")
}

// TestUpdateAfterClose checks that a comparison that is under way during Close warns of nothing.
func TestUpdateAfterClose(t *testing.T) {
	ledger := fdledger.New(noSink{})
	if err := ledger.Baseline(); err != nil {
		t.Fatal(err)
	}
	w, err := New(ledger, &files.Reader{}, func() {}, func(err error) {
		t.Errorf("warning: %v", err)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	r := NewSources(&files.Reader{})
	r.AddFile(filepath.Join(t.TempDir(), "f"))
	w.SetSources(r, false)
}
