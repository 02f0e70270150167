package spawn

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestListenEnv(t *testing.T) {
	for name, tt := range map[string]struct{ env, names, want []string }{
		"one": {
			[]string{"A=b"}, []string{"s"},
			[]string{"A=b", "LISTEN_FDS=1", "LISTEN_FDNAMES=s"},
		},
		"ours are replaced": {
			[]string{"LISTEN_PID=1", "A=b", "LISTEN_FDS=7", "LISTEN_FDNAMES=x", "LISTEN_FDSX=y"},
			[]string{"s", "t"},
			[]string{"A=b", "LISTEN_FDSX=y", "LISTEN_FDS=2", "LISTEN_FDNAMES=s:t"},
		},
	} {
		before := slices.Clone(tt.env)
		if got := listenEnv(tt.env, tt.names); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
		if !slices.Equal(tt.env, before) {
			t.Errorf("%s: the environment of the spec changed to %q", name, tt.env)
		}
	}
}

func TestSetPid(t *testing.T) {
	for _, tt := range []struct{ give, names, want []string }{
		{[]string{"A=b"}, []string{"LISTEN_PID"}, []string{"A=b", "LISTEN_PID=42"}},
		{[]string{"P=1", "A=b", "PQ=2"}, []string{"P", "Q"},
			[]string{"A=b", "PQ=2", "P=42", "Q=42"}},
		{[]string{"LISTEN_PID=1"}, nil, []string{"LISTEN_PID=1"}},
		{nil, nil, nil},
	} {
		if got := setPid(slices.Clone(tt.give), tt.names, 42); !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestPidVariables checks that a child has its own pid in a variable.
func TestPidVariables(t *testing.T) {
	s := sleep(t, Attributes{})
	s.PidVariables = []string{"WATCHDOG_PID"}
	pid := mustStart(t, s)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("A=b\x00WATCHDOG_PID=%d\x00", pid); string(environ) != want {
		t.Errorf("the environment is %q, want %q", environ, want)
	}
}

// TestSocketsOfChild checks that a child has its sockets from number 3 on, with its pid in
// LISTEN_PID. It has no further descriptor, since the barrier is closed.
func TestSocketsOfChild(t *testing.T) {
	files := memfds(t, 2)
	s := sleep(t, Attributes{})
	s.Sockets = []Socket{{files[1], "b"}, {files[0], "a"}}
	pid := mustStart(t, s)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(environ), "\x00"), "\x00")
	want := []string{"A=b", "LISTEN_FDS=2", "LISTEN_FDNAMES=b:a", fmt.Sprint("LISTEN_PID=", pid)}
	if !slices.Equal(got, want) {
		t.Errorf("the environment is %q, want %q", got, want)
	}
	for fd, want := range map[int]string{
		3: "/memfd:file 1 (deleted)", 4: "/memfd:file 0 (deleted)",
	} {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
		if link != want {
			t.Errorf("descriptor %d is %q, want %q", fd, link, want)
		}
	}
	// The dynamic linker can have a library open.
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/5", pid))
	if strings.HasPrefix(link, "socket:") {
		t.Errorf("descriptor 5 is %q, the barrier", link)
	}
}
