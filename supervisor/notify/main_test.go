package notify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

// TestMain is also the program of a sender: with senderText it sends one datagram to NOTIFY_SOCKET
// and exits at once.
func TestMain(m *testing.M) {
	if text, ok := os.LookupEnv(senderText); ok {
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			to := &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}
			err = unix.Sendto(c, []byte(text), unix.MSG_DONTWAIT, to)
		}
		if err != nil {
			fmt.Print(err)
			unix.Exit(1)
		}
		unix.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const (
	senderText = "NOTIFY_TEST_TEXT"
	nobody     = 65534 // a user that is neither root nor the one of the test
)

// sendAs sends a text by a process of a user, which has ended when sendAs returns.
func sendAs(t *testing.T, uid int, address, text string) error {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = []string{senderText + "=" + text, "NOTIFY_SOCKET=" + address}
	if uid != os.Geteuid() {
		c.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)},
		}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a process of another user")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// noSink drops the events of a ledger.
type noSink struct{}

func (noSink) Emit(event.Event) {}

// testReceiver is a receiver, and the signals of its sockets.
type testReceiver struct {
	*Receiver
	t       *testing.T
	ledger  *fdledger.Ledger
	arrived chan struct{}
	last    uint64
}

// newReceiver returns a receiver with sockets in a place, or with abstract names for an empty one.
func newReceiver(t *testing.T, place string) *testReceiver {
	t.Helper()
	r := &testReceiver{t: t, ledger: fdledger.New(noSink{}), arrived: make(chan struct{}, 1)}
	var places []string
	if place != "" {
		places = []string{place}
	}
	r.Receiver = NewReceiver(places, r.ledger, func(err error) { t.Error(err) })
	t.Cleanup(func() {
		start := time.Now()
		r.Close()
		if took := time.Since(start); took > limit/2 {
			t.Errorf("Close took %v, want at most %v", took, limit/2)
		}
		if opened, closed := r.ledger.Counts(); opened != closed {
			t.Errorf("%d descriptors opened, %d closed", opened, closed)
		}
		if _, err := os.Lstat(place); place != "" && !os.IsNotExist(err) {
			t.Errorf("%s still exists: %v", place, err)
		}
	})
	return r
}

// socket opens the socket of a process of a user.
func (r *testReceiver) socket(uid int) *Inbox {
	r.t.Helper()
	r.last++
	s, err := r.Open(Process{Name: "web", Number: r.last, UID: uid, Arrived: func() {
		select {
		case r.arrived <- struct{}{}:
		default:
		}
	}})
	must(r.t, err)
	return s
}

// next returns what Messages returns once it returns something. main is the main process.
func (r *testReceiver) next(s *Inbox, main int) (messages []Message, rejected string) {
	r.t.Helper()
	timeout := time.After(limit)
	for {
		if messages, rejected = s.Messages(main); messages != nil || rejected != "" {
			return messages, rejected
		}
		select {
		case <-r.arrived:
		case <-timeout:
			r.t.Fatal("nothing arrived")
		}
	}
}

// place returns a directory that does not exist, in one that every user may pass through.
func place(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	return filepath.Join(dir, ownName)
}

// client opens a socket to send from.
func client(t *testing.T) int {
	t.Helper()
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(c) })
	return c
}

// send sends a text from a client, with descriptors.
func send(t *testing.T, c int, s *Inbox, text string, fds ...int) {
	t.Helper()
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	must(t, unix.Sendmsg(c, []byte(text), rights, &unix.SockaddrUnix{Name: s.Address()}, 0))
}
