package notify

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Message{
		"READY=1":                         {Ready: true},
		"READY=0\nREADY\n=\n\n":           {},
		"RELOADING=1\nMONOTONIC_USEC=5\n": {Reloading: true},
		"STOPPING=1\nSTATUS=end\x1b[2J\xff": {Stopping: true, Status: "end [2J ",
			HasStatus: true},
		"STATUS=": {HasStatus: true},
		"STATUS=" + strings.Repeat("é", 150): {Status: strings.Repeat("é", 98) + "…",
			HasStatus: true},
		"WATCHDOG=1":                                {KeepAlive: true},
		"WATCHDOG=trigger":                          {WatchdogTrigger: true},
		"EXTEND_TIMEOUT_USEC=1500000":               {ExtendTimeout: 1500 * time.Millisecond},
		"EXTEND_TIMEOUT_USEC=-1":                    {},
		"EXTEND_TIMEOUT_USEC=9999999999999999999":   {ExtendTimeout: 24 * time.Hour},
		"MAINPID=7\nFDSTORE=1\nX=1":                 {MainPID: 7, Unsupported: []string{"FDSTORE"}},
		"MAINPID=-1\nMAINPID=x\nMAINPID=4294967296": {},
	} {
		if got := Parse([]byte(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=\x1b\xff"))
	f.Add([]byte("EXTEND_TIMEOUT_USEC=18446744073709551615"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Parse(b)
		if len(m.Status) > maxStatus || !utf8.ValidString(m.Status) ||
			strings.ContainsFunc(m.Status, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("status %q", m.Status)
		}
		if m.ExtendTimeout < 0 || m.ExtendTimeout > maxExtend || len(m.Unsupported) > 3 {
			t.Errorf("%+v", m)
		}
	})
}

// noSink drops the events of a ledger.
type noSink struct{}

func (noSink) Emit(event.Event) {}

// notification is one call of the handler of a Receiver.
type notification struct {
	pids []int
	m    Message
}

func TestReceiver(t *testing.T) {
	ledger, got := fdledger.New(noSink{}), make(chan notification, 10)
	n, err := Listen(ledger, func(pids []int, m Message) { got <- notification{pids, m} })
	if err != nil {
		t.Fatal(err)
	}
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(c)
	to := &unix.SockaddrUnix{Name: n.Name()}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// A datagram that is too long is dropped.
	if err := unix.Sendto(c, []byte("READY=1\n"+strings.Repeat("x", maxDatagram)), 0,
		to); err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(c, []byte("BARRIER=1\nSTATUS=up"), unix.UnixRights(int(w.Fd())), to,
		0); err != nil {
		t.Fatal(err)
	}
	w.Close()
	m := <-got
	if m.m.Ready || m.m.Status != "up" || len(m.pids) != 1 || m.pids[0] != os.Getpid() {
		t.Errorf("%+v", m)
	}
	// The passed descriptor is closed: the pipe is at EOF.
	_ = r.SetReadDeadline(time.Now().Add(limit))
	if n, err := r.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Error(n, err)
	}
	n.Close()
	if opened, closed := ledger.Counts(); opened != 1 || closed != 1 {
		t.Errorf("opened %d, closed %d", opened, closed)
	}
}
