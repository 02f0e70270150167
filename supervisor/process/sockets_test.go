package process

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/fixture"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
)

// listenSockets opens n listening sockets and closes every second number, so that a spawn gets
// numbers between them.
func listenSockets(t *testing.T, n int) (all []spawn.Socket) {
	t.Helper()
	for i := range 2 * n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Listen(fd, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			defer unix.Close(fd)
			continue
		}
		t.Cleanup(func() { unix.Close(fd) })
		all = append(all, spawn.Socket{FD: fd, Name: fmt.Sprint("s", i)})
	}
	return all
}

// TestSocketsAreInherited: a process gets its sockets from descriptor 3 on, with their
// variables and no other descriptor of the supervisor, whatever their numbers in the
// supervisor. They do not count as opened by the process.
func TestSocketsAreInherited(t *testing.T) {
	b := newTestLoop(t)
	for _, n := range []int{1, 2, 40} {
		for _, watch := range []event.Proof{event.ProofNone, event.ProofExact} {
			given := listenSockets(t, n)
			slices.Reverse(given)
			var names []string
			want := map[int]string{}
			for i, k := range given {
				names = append(names, k.Name)
				fd, err := procfs.OwnFD(k.FD)
				if err != nil {
					t.Fatal(err)
				}
				want[3+i] = fd.Target
			}
			spec := Spec{Spec: spawn.Spec{Sockets: given}, TraceFrom: watch}
			id, pid := b.spawnWith(spec, "LISTEN_PID=1", "LISTEN_FDS=7", "LISTEN_FDNAMES=x")
			environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for entry := range strings.SplitSeq(string(environ), "\x00") {
				if strings.HasPrefix(entry, "LISTEN_") {
					got = append(got, entry)
				}
			}
			vars := []string{
				fmt.Sprint("LISTEN_FDS=", n), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
				fmt.Sprint("LISTEN_PID=", pid),
			}
			if !slices.Equal(got, vars) {
				t.Errorf("its variables are %v, want %v", got, vars)
			}
			table, err := procfs.ReadFDs(pid, pid)
			if err != nil {
				t.Fatal(err)
			}
			for _, fd := range table {
				if target, ok := want[fd.Num]; ok && fd.Target != target ||
					!ok && (fd.Kind == "socket" || fd.Kind == "pidfd") {
					t.Errorf("%d is %s, want %q", fd.Num, fd.Target, target)
				}
				delete(want, fd.Num)
			}
			if len(want) > 0 {
				t.Errorf("it lacks %v", want)
			}
			b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
			fds := b.exited(id).FDs
			_, left := fdledger.Compare(fds.Before, fds.After, fds.Inherited, fds.Runtime, nil)
			if fds.Proof != event.ProofExact || left != 0 {
				t.Errorf("proof %s (%s), %d left: %v", fds.Proof, fds.Reason, left, fds.After)
			}
		}
	}
}

// TestNoListenVariables: a process without sockets gets neither the descriptors nor the
// variables.
func TestNoListenVariables(t *testing.T) {
	b := newTestLoop(t)
	listenSockets(t, 2)
	id, pid := b.spawnWith(Spec{TraceFrom: event.ProofExact})
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || strings.Contains(string(environ), "LISTEN_") {
		t.Errorf("got %q, %v, want no variable LISTEN_*", environ, err)
	}
	b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
	b.exited(id)
}

// spawnWith starts the fixture that waits for SIGTERM, and waits until it is ready.
func (b *testLoop) spawnWith(s Spec, environ ...string) (id ID, pid int) {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		b.t.Fatal(err)
	}
	defer null.Close()
	path, env := fixture.Command("sleep")
	s.Name, s.Path, s.Argv, s.Env = "sleep", path, []string{
		path,
	}, slices.Concat(os.Environ(), env, environ)
	s.Stdin, s.Stdout, s.Stderr = int(null.Fd()), int(w.Fd()), int(w.Fd())
	b.next++
	id = b.next
	b.Spawn(id, s)
	pid = wait(b, func(s Spawned) bool { return s.Process == id }).Pid
	w.Close()
	in := bufio.NewReader(r)
	if line, err := in.ReadString('\n'); line != "ready\n" {
		b.t.Fatalf("it says %q, %v", line, err)
	}
	return id, pid
}
