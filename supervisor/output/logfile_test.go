package output

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// A logBench is a relay with one log file, in a synctest bubble.
type logBench struct {
	*Relay
	t        *testing.T
	dir      string
	sink     *sink
	reopened []string
}

func newLogBench(t *testing.T, dir string) *logBench {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := &logBench{t: t, dir: dir}
	b.Relay = NewRelay(Options{Stdout: null, Stderr: null, FDs: noLedger{},
		Reopened: func(r Reopened) {
			text := fmt.Sprintf("deleted %t", r.Deleted)
			if r.Err != nil {
				text = strings.ReplaceAll(r.Err.Error(), dir, "")
			}
			b.reopened = append(b.reopened, text)
		}})
	t.Cleanup(func() { null.Close() })
	if b.sink, _, err = b.acquire(b.path("log"), nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *logBench) path(name string) string { return filepath.Join(b.dir, name) }

// line relays a line and waits until it is written.
func (b *logBench) line(text string) {
	x := newBatch()
	x.b, x.lines = append(x.b, text+"\n"...), 1
	b.sink.put(x, &origin{})
	synctest.Wait()
}

func (b *logBench) expect(name, want string) {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	if got := strings.ReplaceAll(string(text), "\n", " "); got != want {
		b.t.Errorf("%s has %q (error %v), want %q", name, got, err, want)
	}
}

func (b *logBench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *logBench) rename() { b.must(os.Rename(b.path("log"), b.path("old"))) }

func (b *logBench) reopen() {
	b.Reopen()
	synctest.Wait()
}

// movedLogFiles are ways to move a log file that has the line 1.
var movedLogFiles = []struct {
	name     string
	do       func(*logBench)
	old, log string // the content
	reopened []string
}{
	{"reopened at a signal, without a line", func(b *logBench) {
		b.rename()
		b.reopen()
		b.expect("log", "")
		b.line("2")
	}, "1 ", "2 ", []string{"deleted false"}},
	{"within the interval, then after it", func(b *logBench) {
		b.rename()
		b.line("2")
		pass(checkInterval)
		b.line("3")
	}, "1 2 ", "3 ", []string{"deleted false"}},
	{"for a new process", func(b *logBench) {
		b.rename()
		_, path, err := b.acquire(b.path("log"), nil)
		b.must(err)
		b.line("2")
		b.release(path)
	}, "1 ", "2 ", []string{"deleted false"}},
	{"another process created it", func(b *logBench) {
		b.rename()
		b.must(os.WriteFile(b.path("log"), []byte("0\n"), 0o640))
		b.reopen()
		b.line("2")
	}, "1 ", "0 2 ", []string{"deleted false"}},
	{"deleted", func(b *logBench) {
		b.must(os.Link(b.path("log"), b.path("old")))
		b.must(os.Remove(b.path("log")))
		b.must(os.Remove(b.path("old")))
		b.must(os.WriteFile(b.path("old"), nil, 0o600))
		pass(checkInterval)
		b.line("2")
	}, "", "2 ", []string{"deleted true"}},
	{"truncated by a copy", func(b *logBench) {
		b.must(os.WriteFile(b.path("old"), []byte("1\n"), 0o600))
		b.must(os.Truncate(b.path("log"), 0))
		b.reopen()
		b.line("2")
	}, "1 ", "2 ", nil},
	{"where it was", func(b *logBench) {
		b.must(os.WriteFile(b.path("old"), nil, 0o600))
		b.reopen()
		pass(checkInterval)
		b.line("2")
	}, "", "1 2 ", nil},
}

// TestLogFileMoved checks where lines go after a log file was renamed, deleted or truncated.
func TestLogFileMoved(t *testing.T) {
	for _, tt := range movedLogFiles {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newLogBench(t, dir)
				b.line("1")
				tt.do(b)
				if !slices.Equal(b.reopened, tt.reopened) {
					t.Errorf("reported %q, want %q", b.reopened, tt.reopened)
				}
				b.expect("old", tt.old)
				b.expect("log", tt.log)
				b.must(b.Close(t.Context()))
			})
		})
	}
}

// TestLogFileMovedBeforeFirstLine checks that the first line is in the file at the path. The open
// file can be old: it was opened late, for a child that started later.
func TestLogFileMovedBeforeFirstLine(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newLogBench(t, dir)
		defer func() { b.must(b.Close(t.Context())) }()
		synctest.Wait()
		b.rename()
		b.line("1")
		b.expect("log", "1 ")
		b.expect("old", "")
	})
}

// TestLogFileNotReopened checks that the lines go to the old file while no other can be opened,
// that each reason is reported once, and that each check tries again.
func TestLogFileNotReopened(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newLogBench(t, dir)
		b.line("1")
		b.rename()
		b.must(os.Mkdir(b.path("log"), 0o700))
		for _, text := range []string{"2", "3"} {
			pass(checkInterval)
			b.line(text)
		}
		if !slices.Equal(b.reopened, []string{"open /log: is a directory"}) {
			t.Errorf("reported %q", b.reopened)
		}
		b.expect("old", "1 2 3 ")
		b.must(os.Remove(b.path("log")))
		pass(checkInterval)
		b.line("4")
		b.expect("old", "1 2 3 ")
		b.expect("log", "4 ")
		if len(b.reopened) != 2 || b.reopened[1] != "deleted false" {
			t.Errorf("reported %q", b.reopened)
		}
		b.must(b.Close(t.Context()))
	})
}

// TestLogFileKeepsOwnerAndMode checks the file that replaces a renamed one.
func TestLogFileKeepsOwnerAndMode(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newLogBench(t, dir)
		b.release(b.path("log"))
		synctest.Wait()
		b.must(os.Chmod(b.path("log"), 0o620))
		owner := os.Geteuid()
		if owner == 0 {
			owner = 65534
			b.must(os.Chown(b.path("log"), owner, owner))
		}
		var err error
		b.sink, _, err = b.acquire(b.path("log"), nil)
		b.must(err)
		b.must(os.Chmod(b.path("log"), 0o666)) // by another process, later
		b.rename()
		b.reopen()
		var st unix.Stat_t
		b.must(unix.Stat(b.path("log"), &st))
		if st.Mode&0o777 != 0o620 || int(st.Uid) != owner {
			t.Errorf("the file has mode %#o and owner %d", st.Mode&0o777, st.Uid)
		}
		b.must(b.Close(t.Context()))
	})
}

// TestPartOfALineIsWrittenAgain checks that a line of which a part is in the old destination gets
// into the new one as a whole, and that the broken one does not matter any more.
func TestPartOfALineIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 6
		checkPath := func(requested, _ bool) bool {
			if requested {
				left = 1000
			}
			return requested
		}
		b := newHookedBench(t, hooks{checkPath: checkPath}, func(size int) (int, error) {
			if n := min(size, left); n > 0 {
				left -= n
				return n, nil
			}
			return 0, unix.ENOSPC
		})
		b.send("one\ntwo\nthree\n", &origin{})
		pass(time.Millisecond)
		b.requestCheck()
		pass(diskRetry)
		if got := b.target.text(); got != "one\ntwtwo\nthree\n" {
			t.Errorf("got %q", got)
		}
		if left, _ := b.left(b.mark()); left != 0 {
			t.Errorf("%d bytes are left", left)
		}
	})
}
