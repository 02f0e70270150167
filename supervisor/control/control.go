// Package control lets a running supervisor be asked how it does, over an
// abstract unix socket: no path is written, so a read-only root will do, and
// the kernel says who asks (unix(7), SO_PEERCRED).
package control

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
)

// Health is how a supervisor does.
type Health struct {
	Dead    string // what it cannot mend by itself; empty: it lives
	Unready string // who does not serve; empty: every child is ready or completed
	Note    string // what somebody should look at, though all serve; mostly empty
}

// Question is what a supervisor can be asked.
type Question string

// The questions.
const (
	Alive Question = "alive" // is Health.Dead empty?
	Ready Question = "ready" // are both?
)

// answer is a line: "ok", with a note or not, else what is wrong.
func (h Health) answer(q Question) string {
	switch {
	case q != Alive && q != Ready:
		return "unknown request"
	case h.Dead != "":
		return h.Dead
	case q == Ready && h.Unready != "":
		return h.Unready
	case h.Note != "":
		return well + ": " + h.Note
	}
	return well
}

const well = "ok"

const (
	exchange   = 2 * time.Second // the most that one request may take
	maxRequest = 64              // bytes
	maxClients = 16              // at a time
)

// Name is the abstract name of the supervisor that runs the config of an
// absolute path. The pid namespace is part of it: containers of one pod share
// the network, and with it the abstract names.
func Name(config string) string {
	space, _ := os.Readlink("/proc/self/ns/pid")
	sum := sha256.Sum256([]byte(space + "\x00" + config))
	return "@supervisor/" + hex.EncodeToString(sum[:8])
}

// Server answers requests until it is closed.
type Server struct {
	books  fdledger.Registrar
	health func(context.Context) Health
	l      *net.UnixListener
	fd     int
	slots  chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// Listen opens the socket. It fails if another supervisor has the name.
func Listen(name string, books fdledger.Registrar, health func(context.Context) Health) (*Server, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	s := &Server{books: books, health: health, l: l, slots: make(chan struct{}, maxClients)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	raw, err := l.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	books.Opened(s.fd, "socket", "unix "+name+" listen")
	return s, nil
}

// Run answers until Close. It returns once no request is under way.
func (s *Server) Run() error {
	defer s.wg.Wait()
	for {
		s.slots <- struct{}{} // each is given back within the time of an exchange
		c, err := s.l.AcceptUnix()
		if err != nil {
			<-s.slots
			if s.ctx.Err() != nil {
				return nil
			}
			select { // out of descriptors, as a rule
			case <-s.ctx.Done():
				return nil
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		s.wg.Go(func() {
			s.answer(c)
			<-s.slots
		})
	}
}

// Close ends Run. It must be called once.
func (s *Server) Close() {
	s.cancel()
	_ = s.books.Close(s.fd, s.l.Close)
}

func (s *Server) answer(c *net.UnixConn) {
	defer c.Close()
	ctx, cancel := context.WithTimeout(s.ctx, exchange)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	if uid, err := peer(c); err != nil || uid != 0 && uid != os.Geteuid() {
		return
	}
	request, err := bufio.NewReader(io.LimitReader(c, maxRequest)).ReadString('\n')
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, s.health(ctx).answer(Question(strings.TrimSpace(request)))+"\n")
}

// Ask asks the supervisor of a name how it does. It returns its answer if all is
// well, and an error that says what is not, or why there was no answer before
// ctx ended.
func Ask(ctx context.Context, name string, q Question) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", name)
	if err != nil {
		if errors.Is(err, unix.ECONNREFUSED) {
			return "", errors.New("no supervisor runs with this configuration here")
		}
		return "", fmt.Errorf("cannot reach the supervisor: %w", err)
	}
	c := conn.(*net.UnixConn)
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	uid, err := peer(c)
	if err != nil {
		return "", fmt.Errorf("cannot tell who answers: %w", err)
	}
	if me := os.Geteuid(); uid != 0 && uid != me && me != 0 {
		return "", fmt.Errorf("a stranger (uid %d) has the supervisor's name", uid)
	}
	if _, err := io.WriteString(c, string(q)+"\n"); err != nil {
		return "", fmt.Errorf("cannot ask the supervisor: %w", err)
	}
	answer, err := bufio.NewReader(io.LimitReader(c, 4096)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no answer from the supervisor: %w", err)
	}
	answer = strings.TrimSpace(answer)
	if rest, ok := strings.CutPrefix(answer, well); !ok || rest != "" && rest[0] != ':' {
		return "", errors.New(answer)
	}
	return answer, nil
}

func peer(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if e != nil || err != nil {
		return 0, errors.Join(e, err)
	}
	return int(cred.Uid), nil
}
