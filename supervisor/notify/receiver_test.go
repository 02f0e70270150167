package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSendersThatHaveEnded checks that a message counts although its sender has ended, with both
// kinds of addresses.
func TestSendersThatHaveEnded(t *testing.T) {
	for kind, dir := range map[string]string{"file": place(t), "abstract": ""} {
		t.Run(kind, func(t *testing.T) {
			r := newReceiver(t, dir)
			for i := range 10 {
				s := r.socket(os.Geteuid())
				must(t, sendAs(t, os.Geteuid(), s.Address(), "READY=1"))
				m, rejected := r.next(s, 1<<22+i) // the pid of no process
				if len(m) != 1 || !m[0].Ready || rejected != "" {
					t.Errorf("got %+v, rejected %q, want READY", m, rejected)
				}
			}
		})
	}
}

// TestFile checks who may write to the file of a socket.
func TestFile(t *testing.T) {
	needsRoot(t)
	defer unix.Umask(unix.Umask(0o277)) // which takes rights from the owner too
	dir := place(t)
	r := newReceiver(t, dir)
	own, other := r.socket(0), r.socket(nobody)
	for s, uid := range map[*Inbox]uint32{own: 0, other: nobody} {
		var st unix.Stat_t
		must(t, unix.Lstat(s.Address(), &st))
		if st.Mode != unix.S_IFSOCK|0o600 || st.Uid != uid {
			t.Errorf("mode %o, user %d, want a socket with mode 600 of user %d", st.Mode, st.Uid,
				uid)
		}
	}
	info, err := os.Stat(filepath.Dir(own.Address()))
	if err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("the directory has mode %v, %v, want 0711", info.Mode(), err)
	}
	must(t, sendAs(t, nobody, other.Address(), "READY=1"))
	if m, _ := r.next(other, 0); len(m) != 1 || !m[0].Ready {
		t.Errorf("got %+v, want READY", m)
	}
	err = sendAs(t, nobody, own.Address(), "READY=1")
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a stranger's message: error %v, want permission denied", err)
	}
	path := other.Address()
	other.Close()
	for { // another goroutine removes the file
		if _, err := os.Lstat(path); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
}

// TestAbstract checks which senders are identified where the name is abstract.
func TestAbstract(t *testing.T) {
	needsRoot(t)
	r := newReceiver(t, "")
	s := r.socket(0)
	must(t, sendAs(t, nobody, s.Address(), "READY=1"))
	if m, rejected := r.next(s, 1<<22); m != nil || !strings.Contains(rejected, "user") {
		t.Errorf("a stranger: got %+v, rejected %q", m, rejected)
	}
	must(t, sendAs(t, 0, s.Address(), "STATUS=one"))
	if m, rejected := r.next(s, 7); len(m) != 1 || rejected != "" {
		t.Errorf("the user of the child: got %+v, rejected %q", m, rejected)
	}
	other := r.socket(nobody)
	send(t, client(t), other, "READY=1")
	if m, rejected := r.next(other, os.Getpid()); len(m) != 1 || rejected != "" {
		t.Errorf("the main process with another user: got %+v, rejected %q", m, rejected)
	}
	if !strings.HasPrefix(other.Address(), "@supervisor/notify/") {
		t.Errorf("the address is %s", other.Address())
	}
}

// TestUnreachableDirectory checks that a child whose user cannot reach the directory gets an
// abstract name.
func TestUnreachableDirectory(t *testing.T) {
	dir := place(t)
	must(t, os.Chmod(filepath.Dir(dir), 0o700))
	r := newReceiver(t, dir)
	if s := r.socket(os.Geteuid()); s.Address()[0] != '/' {
		t.Errorf("our own user: the address is %s, want a path", s.Address())
	}
	if s := r.socket(os.Geteuid() + 1); s.Address()[0] != '@' {
		t.Errorf("another user: the address is %s, want an abstract name", s.Address())
	}
}

// TestRejected checks the messages that are rejected for their content, one a second at most.
func TestRejected(t *testing.T) {
	for name, text := range map[string]string{
		"long":  "READY=1\n" + strings.Repeat("x", maxDatagram),
		"lines": "READY=1\n" + strings.Repeat("X=1\n", maxLines),
		"NUL":   "READY=1\x00\nSTATUS=x",
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, place(t))
			s, c := r.socket(os.Geteuid()), client(t)
			for range 3 {
				send(t, c, s, text)
			}
			send(t, c, s, "MAINPID=7\x00")
			var all []Message
			count := 0
			for len(all) == 0 {
				m, rejected := r.next(s, 0)
				if all = append(all, m...); rejected != "" {
					count++
				}
			}
			if want := []Message{{MainPID: 7}}; !slices.EqualFunc(all, want, same) || count != 1 {
				t.Errorf("got %+v and %d reports, want %+v and 1", all, count, want)
			}
		})
	}
}

func same(a, b Message) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// TestDrain checks that what is queued at the end of a process is read, in its order.
func TestDrain(t *testing.T) {
	r := newReceiver(t, place(t))
	c := client(t)
	for range 200 {
		s := r.socket(os.Geteuid())
		send(t, c, s, "MAINPID=7")
		send(t, c, s, "STATUS=one")
		send(t, c, s, "STATUS=two")
		send(t, c, s, "READY=1")
		var got []Message
		for range 2 { // run can have taken a part
			m, _ := s.Drain(0)
			got = append(got, m...)
		}
		texts := fmt.Sprintf("%+v", got)
		if len(got) < 3 || got[0].MainPID != 7 || !strings.Contains(texts, "Ready:true") ||
			!strings.Contains(texts, "two") {
			t.Fatalf("got %+v, want MAINPID=7, READY=1 and the last status", got)
		}
		s.Close()
	}
}

// TestNothingIsReceivedForBarrier checks that the descriptor of BARRIER=1 is closed, and that the
// supervisor never has it.
func TestNothingIsReceivedForBarrier(t *testing.T) {
	r := newReceiver(t, place(t))
	s, c := r.socket(os.Geteuid()), client(t)
	read, write, err := os.Pipe()
	must(t, err)
	defer read.Close()
	send(t, c, s, "BARRIER=1\nSTATUS=up", int(write.Fd()))
	write.Close()
	_ = read.SetReadDeadline(time.Now().Add(limit))
	if n, err := read.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
		t.Errorf("the passed descriptor is still open: %d bytes, %v", n, err)
	}
	if m, _ := r.next(s, 0); len(m) != 1 || m[0].Status != "up" {
		t.Errorf("got %+v, want the status", m)
	}
}
