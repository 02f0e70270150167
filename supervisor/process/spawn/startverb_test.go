package spawn

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/envfile"
	"tp0/supervisor/exitcode"
)

func TestStartVerbRefuses(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"{}", "/bin/true"},
		{"no", "/bin/true", "true"},
		{`{"Barrier":-1}`, "/bin/true", "true"},
	} {
		if code := RunStartVerb(args); code != exitcode.NotExecutable {
			t.Errorf("%q: got exit code %d, want %d", args, code, exitcode.NotExecutable)
		}
	}
}

func TestNeedsStartVerb(t *testing.T) {
	one := Signals(0).With(unix.SIGUSR1)
	signal.Ignore(unix.SIGWINCH)
	defer signal.Reset(unix.SIGWINCH)
	own := Signals(0).With(unix.SIGWINCH)
	for name, tt := range map[string]struct {
		give Spec
		want bool
	}{
		"nothing":                  {Spec{}, false},
		"session":                  {Spec{Session: true}, false},
		"terminal":                 {Spec{Terminal: true}, true},
		"session and terminal":     {Spec{Session: true, Terminal: true}, false},
		"barrier":                  {Spec{Barrier: true}, true},
		"ignored":                  {Spec{Ignored: one}, true},
		"ignored by the C library": {Spec{Ignored: Signals(0).With(32).With(33)}, false},
		"ignored by both":          {Spec{Ignored: one.With(32)}, true},
		"ignored here too":         {Spec{Ignored: own}, false},
		"ignored, one here too":    {Spec{Ignored: own | one}, true},
		"no mask":                  {Spec{Blocked: nil}, false},
		"empty mask":               {Spec{Blocked: is(Signals(0))}, true},
		"no path":                  {Spec{}, true},
		"late environment":         {Spec{LateEnv: envfile.Late{Paths: []string{"/f"}}}, true},
		"sockets":                  {Spec{Sockets: []Socket{{FD: 1}}}, true},
		"umask 0":                  {Spec{Attributes: Attributes{Umask: is(0)}}, true},
		"no new privileges":        {Spec{Attributes: Attributes{NoNewPrivs: true}}, true},
	} {
		if name != "no path" {
			tt.give.Path = "/bin/true"
		}
		if got := tt.give.needsStartVerb(); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// TestStartRequest checks that the start verb decodes the request of the supervisor.
func TestStartRequest(t *testing.T) {
	s := Spec{
		Path: "/bin/echo", Argv: []string{"echo", "a b", ""},
		Ignored: Signals(0).With(LastSignal), Blocked: is(Signals(0).With(1)),
		Attributes: Attributes{
			UID: is(uint32(4294967294)), Groups: []uint32{1}, Nice: is(-20),
			Limits: map[int]unix.Rlimit{7: {Cur: 1, Max: unix.RLIM_INFINITY}},
		},
	}
	path, argv, err := s.throughStartVerb(9)
	if err != nil {
		t.Fatal(err)
	}
	if want := "/proc/self/exe"; path != want {
		t.Errorf("the path is %s, want %s", path, want)
	}
	want := []string{"supervisor", StartVerb, argv[2], "/bin/echo", "echo", "a b", ""}
	if !slices.Equal(argv, want) {
		t.Errorf("the arguments are %q, want %q", argv, want)
	}
	var got startRequest
	if err := json.Unmarshal([]byte(argv[2]), &got); err != nil {
		t.Fatal(err)
	}
	request := startRequest{
		Ignored: s.Ignored, Blocked: s.Blocked, Barrier: 9, Parent: os.Getpid(),
		Death: unix.SIGTERM, Attributes: s.Attributes,
	}
	if !reflect.DeepEqual(got, request) {
		t.Errorf("got %+v, want %+v", got, request)
	}
}

// TestHiddenEnvironment checks that the variables of a child do not act on the start verb, which
// runs with the rights of the supervisor, and that the child gets them. With inittrace=1 Go's
// runtime writes to standard error.
func TestHiddenEnvironment(t *testing.T) {
	out, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s := sleep(t, Attributes{Umask: is(0)})
	s.Env = []string{"GODEBUG=inittrace=1", "LD_PRELOAD=", "EMPTY=", "+A=b", "E=F=G", "no value"}
	s.Stderr = int(out.Fd())
	pid := mustStart(t, s)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(s.Env, "\x00") + "\x00"; string(environ) != want {
		t.Errorf("got the environment %q, want %q", environ, want)
	}
	if text, err := os.ReadFile(out.Name()); err != nil || len(text) > 0 {
		t.Errorf("the start verb wrote %q, %v, want nothing", text, err)
	}
}

// TestEncodeStartError checks that an error is the same after encoding and decoding. A long error
// is truncated.
func TestEncodeStartError(t *testing.T) {
	if err := stepError(nil, "do %d", 1); err != nil {
		t.Errorf("stepError(nil) is %v, want nil", err)
	}
	for want, err := range map[string]error{
		"cannot change to group 7: operation not permitted": stepError(
			unix.EPERM, "change to group %d", 7),
		"cannot set it: invalid argument": stepError(
			&os.PathError{Op: "write", Path: "/p", Err: unix.EINVAL}, "set it"),
		"cannot read it: bad format": stepError(errors.New("bad format"), "read it"),
		"cannot find x: No program":  &startError{"find x", unix.ENOENT, "No program"},
	} {
		var failed *startError
		if !errors.As(err, &failed) {
			t.Fatalf("got error type %T, want *startError", err)
		}
		got := decodeStartError(failed.encode())
		if err.Error() != want || got.Error() != want || got.errno != failed.errno {
			t.Errorf("sent %q, received %q, want %q", err, got, want)
		}
		if (got.Unwrap() == nil) != (failed.errno == 0) {
			t.Errorf("%q wraps %v", want, got.Unwrap())
		}
	}
	long := stepError(unix.EPERM, "%s", strings.Repeat("x", 2*maxStartError)).(*startError)
	if n := len(long.encode()); n != maxStartError {
		t.Errorf("the encoded error has %d bytes, want %d", n, maxStartError)
	}
}

func TestSignals(t *testing.T) {
	for _, sig := range []unix.Signal{1, 2, 31, 32, 63, LastSignal} {
		t.Run(fmt.Sprint(int(sig)), func(t *testing.T) {
			one := Signals(0).With(sig)
			if one != 1<<(sig-1) {
				t.Errorf("the set is %#x", uint64(one))
			}
			for other := unix.Signal(1); other <= LastSignal; other++ {
				if one.Has(other) != (other == sig) {
					t.Errorf("Has(%d) is %v", other, one.Has(other))
				}
			}
			all := ^Signals(0)
			if without := all.Without(sig); without.Has(sig) || without.With(sig) != all {
				t.Errorf("Without(%d) of the full set is %#x", sig, uint64(without))
			}
			if twice := one.With(sig); twice != one {
				t.Errorf("With(%d) twice is %#x", sig, uint64(twice))
			}
			if none := one.Without(sig).Without(sig); none != 0 {
				t.Errorf("Without(%d) twice is %#x", sig, uint64(none))
			}
		})
	}
}
