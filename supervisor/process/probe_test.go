package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture"
	"tp0/supervisor/process/spawn"
)

func (b *testLoop) runProbe(ctx context.Context, program string) error {
	b.t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		b.t.Fatal(err)
	}
	defer null.Close()
	path, env := fixture.Command(program)
	return b.RunProbe(ctx, spawn.Spec{
		Name: "try", Path: path, Argv: []string{path}, Env: append(os.Environ(), env...),
		Stdin: int(null.Fd()),
	})
}

func TestRunProbe(t *testing.T) {
	b := newTestLoop(t)
	for program, want := range map[string]string{
		"exit 0":  "",
		"exit 3":  "the command exited with code 3",
		"no such": `code 99: no fixture is called "no"`,
	} {
		err := b.runProbe(t.Context(), program)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", program, err, want)
		}
	}
	err := b.RunProbe(t.Context(), spawn.Spec{Path: "/not/there", Argv: []string{"x"}})
	if err == nil || !strings.Contains(err.Error(), "cannot be run") {
		t.Error(err)
	}
}

// TestProbeAttributes runs probes through the start verb: the command has the attributes of its
// child, an attribute that cannot be set is the result, and a command that hangs is killed.
func TestProbeAttributes(t *testing.T) {
	b := newTestLoop(t)
	umask := 0o027
	sh := func(ctx context.Context, script string, a spawn.Attributes) error {
		return b.RunProbe(ctx, spawn.Spec{
			Name: "sh", Path: "/bin/sh", Argv: []string{"sh", "-c", script}, Env: os.Environ(),
			Attributes: a,
		})
	}
	for _, tt := range []struct {
		script, want string
		a            spawn.Attributes
	}{
		{"umask; exit 3", "the command exited with code 3: 0027", spawn.Attributes{Umask: &umask}},
		{
			"grep NoNewPrivs /proc/self/status; exit 1",
			"the command exited with code 1: NoNewPrivs: 1", spawn.Attributes{NoNewPrivs: true},
		},
		{"exit 0", "<nil>", spawn.Attributes{Umask: &umask}},
		{
			"exit 0", "the command cannot be run: cannot set resource limit 7 to 2, 1: " +
				"invalid argument",
			spawn.Attributes{Limits: map[int]unix.Rlimit{unix.RLIMIT_NOFILE: {Cur: 2, Max: 1}}},
		},
	} {
		if got := fmt.Sprint(sh(t.Context(), tt.script, tt.a)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.script, got, tt.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := sh(ctx, "sleep 1000", spawn.Attributes{Umask: &umask})
	if !errors.Is(err, errProbeTimeout) && !errors.Is(err, ErrProbeNotStarted) {
		t.Errorf("a command that hangs: got %v", err)
	}
}

// TestProbeTimeout: a command that hangs is killed together with its process group.
func TestProbeTimeout(t *testing.T) {
	b := newTestLoop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := b.runProbe(ctx, "hang")
	if err == nil || !strings.Contains(err.Error(), "did not end in time") {
		t.Fatal(err)
	}
	var pid int
	if _, said, ok := strings.Cut(err.Error(), "hangs with "); !ok {
		t.Fatal("no output within the timeout: ", err)
	} else if _, err := fmt.Sscan(said, &pid); err != nil {
		t.Fatal(err)
	}
	if o := wait(b, func(o OrphanReaped) bool { return o.Pid == pid }); o.Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v, want an end by SIGKILL", o)
	}
}

// TestProbeKillsItsGroup: processes that a command leaves in its group are killed.
func TestProbeKillsItsGroup(t *testing.T) {
	b := newTestLoop(t)
	err := b.RunProbe(t.Context(), spawn.Spec{
		Name: "sh", Path: "/bin/sh", Argv: []string{"sh", "-c", "sleep 1000 & echo $!; exit 1"},
		Env: os.Environ(),
	})
	if err == nil {
		t.Fatal("got no error")
	}
	var pid int
	if _, err := fmt.Sscanf(err.Error(), "the command exited with code 1: %d", &pid); err != nil {
		t.Fatal(err)
	}
	if o := wait(b, func(o OrphanReaped) bool { return o.Pid == pid }); o.Exit.Signal != "SIGKILL" {
		t.Errorf("got %+v, want an end by SIGKILL", o)
	}
}
