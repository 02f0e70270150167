package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

type noSink struct{}

func (noSink) Emit(event.Event) {}

// TestTerminationLog checks that the summary is appended, and that the ledger has the descriptor.
func TestTerminationLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(path, []byte("of the child\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ledger := fdledger.New(noSink{})
	l := openTerminationLog(t.Context(), path, ledger)
	if l == nil {
		t.Fatal("the file was not opened")
	}
	if opened, closed := ledger.Counts(); opened != 1 || closed != 0 {
		t.Errorf("opened %d, closed %d, want 1 and 0", opened, closed)
	}
	complete := event.ShutdownComplete{Spawned: 2, Reaped: 2, Verdict: event.Forced}
	if err := l.write(t.Context(), complete); err != nil {
		t.Fatal(err)
	}
	if opened, closed := ledger.Counts(); opened != 1 || closed != 1 {
		t.Errorf("opened %d, closed %d, want 1 of each", opened, closed)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(got), "\n")
	if len(lines) != 3 || lines[0] != "of the child" ||
		!strings.Contains(lines[1], "shutdown complete: spawned=2 reaped=2") ||
		!strings.HasSuffix(lines[1], "verdict=forced") {
		t.Errorf("got %q, want the message of the child and the summary", got)
	}
}

// TestTerminationLogIsNoRegularFile checks that nothing is created, followed or opened but a
// regular file, and that an open that is late is abandoned.
func TestTerminationLogIsNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("target"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{at("none"), at("link"), at("fifo"), dir, os.DevNull, ""} {
		ledger := fdledger.New(noSink{})
		if l := openTerminationLog(t.Context(), path, ledger); l != nil {
			t.Errorf("%q was opened", path)
		}
		if opened, _ := ledger.Counts(); opened != 0 {
			t.Errorf("%q: the ledger has %d descriptors", path, opened)
		}
	}
	if _, err := os.Lstat(at("none")); err == nil {
		t.Error("a file was created")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l := openTerminationLog(ctx, at("fifo"), fdledger.New(noSink{})); l != nil {
		t.Error("a FIFO was opened")
	}
}
