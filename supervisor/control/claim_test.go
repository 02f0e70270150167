package control

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
)

func healthy(context.Context) Health { return Health{} }

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
			first := Subject{Config: config, Only: c.first, Health: healthy}
			claim(t, first, among())
			overlap := among(c.ours...)
			if c.allow {
				overlap = nil
			}
			err := tryClaim(t, Subject{Config: config, Only: c.ours, Health: healthy}, overlap)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var second *SecondError
			if !errors.As(err, &second) || second.Pid != os.Getpid() ||
				!strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			claim(t, Subject{Config: config + "-other", Health: healthy}, among())
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
			errs <- tryClaim(t, Subject{Config: config, Health: healthy}, among())
		})
	}
	wg.Wait()
	refused := 0
	for range many {
		if errors.As(<-errs, new(*SecondError)) {
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
	silent, err := net.Listen("unix", Name(config))
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
	err = tryClaim(t, Subject{Config: config, Health: healthy}, among("a"))
	if !errors.As(err, new(*SecondError)) {
		t.Errorf("got %v, want a second supervisor", err)
	}
	<-accepted
	silent.Close()
	claim(t, Subject{Config: config, Health: healthy}, among("a"))
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
	claim(t, Subject{Config: file, Health: healthy}, nil)
	for path, want := range map[string]string{
		file: "ok", link: "ok", copied: "the supervisors here run " + file,
	} {
		if got := answerOf(t, path, Ready); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", path, got, want)
		}
	}
	unready := func(context.Context) Health { return Health{Unready: "c is starting"} }
	claim(t, Subject{Config: file, Only: []string{"c"}, Health: unready}, nil)
	if got := answerOf(t, file, Ready); got != "not ok: c is starting" {
		t.Errorf("the second supervisor got no question: answer %q", got)
	}
}

// TestImpostor checks that a process that has the name of a supervisor and answers "ok" to every
// question is not believed.
func TestImpostor(t *testing.T) {
	config := fmt.Sprintf("/%s-%d", t.Name(), os.Getpid())
	l, err := net.Listen("unix", Name(config))
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
			_, _ = c.Read(make([]byte, maxRequest))
			_, _ = c.Write([]byte("ok: \x1b[31mfaked\n"))
			c.Close()
		}
	}()
	const want = "the process that has the control socket is no supervisor of this configuration"
	if got := answerOf(t, config, Ready); !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
	l.Close()
	<-done
}
