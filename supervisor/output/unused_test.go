package output

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// gatedLedger closes descriptors once gate is closed.
type gatedLedger struct{ gate chan struct{} }

func (l gatedLedger) OpenedInternal(fd int, kind, target string) {
	l.Opened(fd, kind, target)
}

func (gatedLedger) Opened(int, string, string) {}

func (b gatedLedger) Close(_ int, close func() error) error {
	<-b.gate
	return close()
}

// TestFlushClosesUnusedFiles checks that Flush returns after unused files are closed.
func TestFlushClosesUnusedFiles(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	path := filepath.Join(t.TempDir(), "out")
	synctest.Test(t, func(t *testing.T) {
		ledger := gatedLedger{make(chan struct{})}
		h := NewRelay(Options{Stdout: null, Stderr: null, FDs: ledger})
		s, file, err := h.acquire(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := newBatch()
		b.b = append(b.b, "a line\n"...)
		s.put(b, &origin{})
		h.release(file)
		flushed := make(chan error, 1)
		go func() { flushed <- h.Flush(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-flushed:
			t.Errorf("Flush returned %v before the file was closed", err)
			flushed <- err
		default:
		}
		close(ledger.gate)
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if text, err := os.ReadFile(path); string(text) != "a line\n" {
		t.Errorf("got %q and error %v", text, err)
	}
}
