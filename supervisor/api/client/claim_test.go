package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tp0/supervisor/control"
	"tp0/supervisor/fixture/needs"
)

func healthy(context.Context) control.Health { return control.Health{} }

// among returns an overlap with the names of ours.
func among(ours ...string) func([]string) []string {
	return func(only []string) []string {
		return slices.DeleteFunc(only, func(name string) bool {
			return !slices.Contains(ours, name)
		})
	}
}

func TestSecondSupervisor(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, ours []string // the --only of the first, the names of the second
		allow       bool
		want        string // a part of the error; empty: allowed
	}{
		{"both run everything", nil, []string{"a", "b"}, false, "already runs"},
		{"the first runs everything", nil, []string{"b"}, false, "already runs"},
		{"the second runs everything", []string{"a"}, []string{"a", "b"}, false, "runs a of"},
		{"a common instance", []string{"a1", "b"}, []string{"a", "a1"}, false, "runs a1 of"},
		{"other children", []string{"a"}, []string{"b"}, false, ""},
		{"allowed", nil, []string{"a"}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := fmt.Sprintf("/%s-%d", t.Name(), os.Getpid())
			first := subject{config: config, only: c.first, health: healthy}
			claim(t, first, among())
			overlap := among(c.ours...)
			if c.allow {
				overlap = nil
			}
			err := tryClaim(t, subject{config: config, only: c.ours, health: healthy}, overlap)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var second *control.SecondError
			if !errors.As(err, &second) || second.Pid != os.Getpid() ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			claim(t, subject{config: config + "-other", health: healthy}, among())
		})
	}
}

// TestClaimsAtTheSameTime checks that of supervisors that start at the same time exactly one does.
func TestClaimsAtTheSameTime(t *testing.T) {
	config := fmt.Sprintf("/%s-%d", t.Name(), os.Getpid())
	const many = 8
	var wg sync.WaitGroup
	errs := make(chan error, many)
	for range many {
		wg.Go(func() {
			errs <- tryClaim(t, subject{config: config, health: healthy}, among())
		})
	}
	wg.Wait()
	refused := 0
	for range many {
		if errors.As(<-errs, new(*control.SecondError)) {
			refused++
		}
	}
	if refused != many-1 {
		t.Errorf("%d claims of %d were refused, want all but one", refused, many)
	}
}

// TestSilentSupervisor checks that a supervisor that does not answer counts, and an ended one does
// not.
func TestSilentSupervisor(t *testing.T) {
	config := fmt.Sprintf("/%s-%d", t.Name(), os.Getpid())
	silent, err := net.Listen("unix", control.Name(config))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if c, err := silent.Accept(); err == nil {
			c.Close()
		}
	}()
	err = tryClaim(t, subject{config: config, health: healthy}, among("a"))
	if !errors.As(err, new(*control.SecondError)) {
		t.Errorf("got %v, want a second supervisor", err)
	}
	<-accepted
	silent.Close()
	claim(t, subject{config: config, health: healthy}, among("a"))
}

// TestOtherPaths checks that a supervisor is found through other paths to its file, and that it is
// not found through the path of another file.
func TestOtherPaths(t *testing.T) {
	dir := t.TempDir()
	file, link, copied := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	for _, path := range []string{file, copied} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	claim(t, subject{config: file, health: healthy}, nil)
	for path, want := range map[string]string{
		// which ones depends on what else runs on this machine; see TestNotFound
		file: "ok", link: "ok", copied: "the supervisors here run ",
	} {
		if got := answerOf(t, path, control.Ready); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", path, got, want)
		}
	}
	unready := func(context.Context) control.Health {
		return control.Health{Unready: "c is starting"}
	}
	claim(t, subject{config: file, only: []string{"c"}, health: unready}, nil)
	if got := answerOf(t, file, control.Ready); got != "not ok: c is starting" {
		t.Errorf("the second supervisor got no question: answer %q", got)
	}
}

// TestNotFound checks that the other supervisors are named in order, and not more than maxOthers.
func TestNotFound(t *testing.T) {
	const prefix = "no supervisor runs here; the supervisors here run "
	for want, others := range map[string][]string{
		prefix + "/a, /b":                     {"/b", "/a", "/b"},
		prefix + "/a, /b, /c, /d, /e, 2 more": {"/g", "/f", "/e", "/d", "/c", "/b", "/a"},
		"no supervisor runs here":             nil,
	} {
		s := search{others: others}
		if got := s.notFound(); got != want {
			t.Errorf("%q: got %q, want %q", others, got, want)
		}
	}
}

// TestImpostor checks that a process that has the name of a supervisor and answers "ok" to every
// question is not believed.
func TestImpostor(t *testing.T) {
	config := fmt.Sprintf("/%s-%d", t.Name(), os.Getpid())
	l, err := net.Listen("unix", control.Name(config))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 64))
			_, _ = c.Write([]byte("ok: \x1b[31mfaked\n"))
			c.Close()
		}
	}()
	const want = "the process that has the control socket is no supervisor of this configuration"
	if got := answerOf(t, config, control.Ready); !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
	l.Close()
	<-done
}

// TestImpostorAtPath checks whom root believes at a path that the configuration or the environment
// names: nobody who could create a socket only because the directory is open to all.
func TestImpostorAtPath(t *testing.T) {
	needs.Check(t, "root")
	dir := t.TempDir()
	const user, other = 1234, 1235
	for name, mode := range map[string]os.FileMode{"closed": 0o755, "users": 0o755, "open": 0o777} {
		path := filepath.Join(dir, name)
		err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode|os.ModeSticky))
		if name == "users" {
			err = errors.Join(err, os.Chown(path, user, user))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &search{config: filepath.Join(dir, "none")}
	for _, test := range []struct {
		place    string
		uid      int
		believed bool
	}{
		{"closed", 0, true}, {"users", 0, true}, {"open", 0, true},
		{"closed", user, true}, {"users", user, true}, {"open", user, false},
		{"users", other, false},
	} {
		for _, k := range []origin{given, configured} {
			err := s.believe(control.Peer{Pid: 2, UID: test.uid},
				filepath.Join(dir, test.place, "a.sock"), k)
			if (err == nil) != test.believed {
				t.Errorf("%+v: got error %v", test, err)
			}
		}
	}
}
