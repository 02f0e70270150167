package spawn

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

// init runs the start verb, which executes /proc/self/exe: the test binary. Init functions run on
// the main thread.
func init() {
	if len(os.Args) > 1 && os.Args[1] == StartVerb {
		os.Exit(RunStartVerb(os.Args[2:]))
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type noSink struct{}

func (noSink) Emit(event.Event) {}

// newLedger returns a ledger. At the end of the test, every descriptor in it must be closed.
func newLedger(t *testing.T) *fdledger.Ledger {
	t.Helper()
	ledger := fdledger.New(noSink{})
	t.Cleanup(func() {
		if opened, closed := ledger.Counts(); opened != closed {
			t.Errorf("%d descriptors were opened, and %d closed", opened, closed)
		}
	})
	return ledger
}

// sleep returns a spec of /bin/sleep with /dev/null as its standard streams.
func sleep(t *testing.T, a Attributes) Spec {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	fd := int(null.Fd())
	return Spec{
		Name: "sleep", Path: "/bin/sleep", Argv: []string{"sleep", "1000"}, Env: []string{"A=b"},
		Stdin: fd, Stdout: fd, Stderr: fd, Attributes: a,
	}
}

// start spawns a process as the process loop does: it prepares the spec, hands the descriptors
// over, forks on a locked thread, and waits for the exec. The process is killed and reaped at the
// end of the test.
func start(t *testing.T, s Spec) (pid int, err error) {
	t.Helper()
	return startAs(t, s, Prepare)
}

// prepare is Prepare or PrepareProbe.
type prepare func(Spec, fdledger.Registrar) (*Prepared, error)

func startAs(t *testing.T, s Spec, prepare prepare) (pid int, err error) {
	t.Helper()
	runtime.LockOSThread() // the parent death signal is sent when the thread ends
	t.Cleanup(runtime.UnlockOSThread)
	ledger := newLedger(t)
	h, err := NewHandover(ledger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	p, err := prepare(s, ledger)
	if err != nil {
		t.Fatal(err)
	}
	var transfer Transfer
	h.Give(p.Files(), func(x Transfer) { transfer = x })
	own, err := h.Take(transfer)
	if err != nil {
		t.Fatal(err)
	}
	pid, err = p.Fork(own, false)
	for _, fd := range own {
		_ = unix.Close(fd)
	}
	p.CloseChildEnd()
	if pid > 0 {
		t.Cleanup(func() {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		})
	}
	switch {
	case p.Barrier == nil:
		return pid, err
	case err != nil:
		p.Barrier.Close()
		return 0, err
	}
	return pid, p.Barrier.Release()
}

// mustStart is start, and an error fails the test.
func mustStart(t *testing.T, s Spec) (pid int) {
	t.Helper()
	pid, err := start(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// lineOf returns the first line with a prefix of a file in /proc/PID, with single spaces.
func lineOf(t *testing.T, pid int, file, word string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, word) {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return ""
}

func is[T any](v T) *T { return &v }
