package procfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseLimit(t *testing.T) {
	const head = "Limit                     Soft Limit           Hard Limit      Units     \n" +
		"Max locked memory         8388608              8388608         bytes     \n"
	const name = "Max file locks            "
	for _, test := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{head + name + "unlimited            unlimited            \n", unix.RLIM_INFINITY, true},
		{head + name + "1152921504606846975  unlimited          \n", 1152921504606846975, true},
		{head + name + "7                    9                    locks\n", 7, true},
		{head + name + "x                    9                    locks\n", 0, false},
		{head, 0, false},
		{"\nMax file locks", 0, false},
	} {
		got, err := parseLimit([]byte(test.text), fileLocks)
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: got %d, %v, want %d, ok %v", test.text, got, err, test.want, test.ok)
		}
	}
}

// TestFileLocks reads a limit that prlimit(2) set.
func TestFileLocks(t *testing.T) {
	pid := startCat(t)
	if _, err := FileLocks(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: 1<<40 + 5, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, &limit, nil); err != nil {
		t.Fatal(err)
	}
	got, err := FileLocks(pid)
	if err != nil || got != limit.Cur {
		t.Errorf("got %d, %v, want %d", got, err, limit.Cur)
	}
}
