package examine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.uber.org/goleak"

	"tp0/supervisor/explain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run starts a command that waits for the end of its input, and returns it as a subject.
func run(t *testing.T, path string, args ...string) explain.Subject {
	t.Helper()
	c := exec.Command(path, args...)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = c.Wait() // its end is all that matters
	})
	return explain.Subject{Pid: c.Process.Pid, Path: path, Args: args, Started: time.Now()}
}

// cat copies cat(1) to a file, which is replaced if it is there.
func cat(t *testing.T, to string) {
	t.Helper()
	b, err := os.ReadFile("/bin/cat")
	if err == nil {
		err = os.WriteFile(to+".new", b, 0o755)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// awaitClock waits until a change of a file has a later time than now: the kernel stamps files with
// the time of its last tick.
func awaitClock(t *testing.T, dir string) {
	t.Helper()
	began := time.Now()
	for {
		file := filepath.Join(dir, "clock")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if changedAfter(file, explain.Subject{Started: began}) {
			return
		}
	}
}

// TestReplacedProgram replaces and deletes the program of a process, and changes a script.
func TestReplacedProgram(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	cat(t, program)
	s := run(t, program)
	if p := Process(t.Context(), s); p.Program != "" || p.Unknown != "" {
		t.Errorf("got %+v, want an unchanged program", p)
	}
	cat(t, program)
	if got := replacedProgram(s); got != program {
		t.Errorf("got %q after the replacement, want %s", got, program)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if got := replacedProgram(s); got != program {
		t.Errorf("got %q after the removal, want %s", got, program)
	}
	cat(t, program)
	awaitClock(t, dir)
	s = run(t, program)
	awaitClock(t, dir)
	if err := os.Rename(program, program+".old"); err != nil {
		t.Fatal(err)
	}
	cat(t, program)
	if got := replacedProgram(s); got != program {
		t.Errorf("got %q after the program was moved aside, want %s", got, program)
	}
	script := filepath.Join(dir, "script")
	write := func(text string) {
		if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text+"read x\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	awaitClock(t, dir)
	s = run(t, script)
	if got := replacedProgram(s); got != "" {
		t.Errorf("got %q for a script that did not change", got)
	}
	awaitClock(t, dir)
	write("# another line\n")
	if got := replacedProgram(s); got != script {
		t.Errorf("got %q for a script that changed, want %s", got, script)
	}
}

// TestChangedFiles changes files among the arguments, after and before the start.
func TestChangedFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(names ...string) {
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := []string{"old.conf", "new.conf", "flag.conf", "web.log", "open.db"}
	write(all...)
	awaitClock(t, dir)
	s := explain.Subject{Started: time.Now(), Dir: dir, Args: []string{
		"old.conf", filepath.Join(dir, "new.conf"), "--config=flag.conf", "-v", "", "web.log",
		"open.db", ".", "missing", strings.Repeat("x", 5000),
	}}
	awaitClock(t, dir)
	write(all[1:]...)
	got := changedFiles(s, func(file string) bool { return filepath.Base(file) == "open.db" })
	want := []string{filepath.Join(dir, "new.conf"), filepath.Join(dir, "flag.conf")}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReplacedLibraries replaces a file that a process has mapped: this one.
func TestReplacedLibraries(t *testing.T) {
	file := filepath.Join(t.TempDir(), "libx.so.1")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m) //nolint:errcheck // the mapping ends with the test
	if got := replacedLibraries(os.Getpid()); len(got) != 0 {
		t.Errorf("got %q, want none", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got := replacedLibraries(os.Getpid()); !slices.Equal(got, []string{"libx.so.1"}) {
		t.Errorf("got %q, want libx.so.1", got)
	}
}

// TestThreads examines a process that is being stopped.
func TestThreads(t *testing.T) {
	s := run(t, "/bin/cat")
	s.Threads, s.Signal = true, int(unix.SIGTERM)
	var p explain.Process
	for late := time.Now().Add(time.Minute); time.Now().Before(late); { // until it reads
		if p = Process(t.Context(), s); strings.Contains(strings.Join(p.Threads, ""), " in read") {
			break
		}
	}
	if p.Disposition != "default" || len(p.Threads) != 1 ||
		!strings.Contains(p.Threads[0], " in read on fd 0 (pipe:[") {
		t.Errorf("got %+v, want a thread that reads from a pipe", p)
	}
}

// TestProcessEndsWithContext holds the turn: an examination ends with its context.
func TestProcessEndsWithContext(t *testing.T) {
	turn <- struct{}{}
	defer func() { <-turn }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	p := Process(ctx, explain.Subject{Pid: os.Getpid()})
	if p.Unknown != "an earlier examination has not ended yet. Ask again later" {
		t.Errorf("got %+v", p)
	}
	if p := Process(ctx, explain.Subject{}); p.Unknown != "" {
		t.Errorf("without a process: got %+v", p)
	}
}
