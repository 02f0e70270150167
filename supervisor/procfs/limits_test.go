package procfs

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseFileLocks(t *testing.T) {
	const head = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max locked memory         8388608              8388608              bytes     \n"
	for _, test := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{head + "Max file locks            unlimited            unlimited            locks     \n", unix.RLIM_INFINITY, true},
		{head + "Max file locks            1152921504606846975  unlimited            locks     \n", 1152921504606846975, true},
		{head + "Max file locks            7                    9                    locks     \n", 7, true},
		{head + "Max file locks            x                    9                    locks     \n", 0, false},
		{head, 0, false},
		{"\nMax file locks", 0, false},
	} {
		got, err := parseFileLocks([]byte(test.text))
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: got %d, %v, want %d, ok %v", test.text, got, err, test.want, test.ok)
		}
	}
}

// FileLocks reads what prlimit(2) set, of a process of our own.
func TestFileLocks(t *testing.T) {
	c := exec.Command("cat")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = c.Wait() }()
	if _, err := FileLocks(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: 1<<40 + 5, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(c.Process.Pid, unix.RLIMIT_LOCKS, &limit, nil); err != nil {
		t.Fatal(err)
	}
	got, err := FileLocks(c.Process.Pid)
	if err != nil || got != limit.Cur {
		t.Errorf("got %d, %v, want %d", got, err, limit.Cur)
	}
}
