// Package control answers health requests to a running supervisor over an abstract unix socket.
// Such a socket needs no writable path, and the kernel tells the uid of the peer (unix(7),
// SO_PEERCRED).
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

// Health is the state of a supervisor and its children.
type Health struct {
	Dead    string // a failure that is permanent; empty: there is none
	Unready string // a child that is not ready; empty: every child is ready or completed
	Note    string // a warning beside a good state; empty: there is none
}

// Question is a request to a supervisor.
type Question string

// The questions.
const (
	Alive Question = "alive" // whether Health.Dead is empty
	Ready Question = "ready" // whether Health.Dead and Health.Unready are empty
)

// answer returns one line: "ok", "ok: " and the note, or the failure.
func (h Health) answer(q Question) string {
	switch {
	case q != Alive && q != Ready:
		return "unknown request"
	case h.Dead != "":
		return h.Dead
	case q == Ready && h.Unready != "":
		return h.Unready
	case h.Note != "":
		return answerOK + ": " + h.Note
	}
	return answerOK
}

const answerOK = "ok"

const (
	requestTimeout = 2 * time.Second // of one request
	maxRequest     = 64              // bytes
	maxClients     = 16              // at the same time
)

// Name returns the name of the socket of the supervisor that runs the configuration at an
// absolute path. The pid namespace is a part of it, because the containers of a pod share the
// network namespace, and so the abstract names.
func Name(config string) string {
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	sum := sha256.Sum256([]byte(namespace + "\x00" + config))
	return "@supervisor/" + hex.EncodeToString(sum[:8])
}

// Server answers health requests.
type Server struct {
	fds      fdledger.Registrar
	health   func(context.Context) Health
	listener *net.UnixListener
	fd       int
	slots    chan struct{}
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// Listen opens the socket. It fails if another supervisor has the name. health is called for
// each request, by several goroutines at the same time.
func Listen(
	name string, fds fdledger.Registrar, health func(context.Context) Health,
) (*Server, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	s := &Server{fds: fds, health: health, listener: l, slots: make(chan struct{}, maxClients)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	raw, err := l.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	fds.Opened(s.fd, "socket", "unix "+name+" listen")
	return s, nil
}

// Run answers requests until Close. It returns when no request is being answered.
func (s *Server) Run() error {
	defer s.wg.Wait()
	for {
		s.slots <- struct{}{} // waits for requestTimeout at most
		c, err := s.listener.AcceptUnix()
		if err != nil {
			<-s.slots
			if s.ctx.Err() != nil {
				return nil
			}
			select { // most often no descriptor is free
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
	_ = s.fds.Close(s.fd, s.listener.Close)
}

func (s *Server) answer(c *net.UnixConn) {
	defer c.Close()
	ctx, cancel := context.WithTimeout(s.ctx, requestTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	if uid, err := peerUID(c); err != nil || uid != 0 && uid != os.Geteuid() {
		return
	}
	request, err := bufio.NewReader(io.LimitReader(c, maxRequest)).ReadString('\n')
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, s.health(ctx).answer(Question(strings.TrimSpace(request)))+"\n")
}

// Ask sends a question to the supervisor with a name. It returns the answer if that is "ok". The
// error is the failure that the supervisor reports, or why there was no answer before ctx ended.
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
	uid, err := peerUID(c)
	if err != nil {
		return "", fmt.Errorf("cannot read the peer of the control socket: %w", err)
	}
	if me := os.Geteuid(); uid != 0 && uid != me && me != 0 {
		return "", fmt.Errorf("the control socket belongs to another user (uid %d)", uid)
	}
	if _, err := io.WriteString(c, string(q)+"\n"); err != nil {
		return "", fmt.Errorf("cannot ask the supervisor: %w", err)
	}
	answer, err := bufio.NewReader(io.LimitReader(c, 4096)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no answer from the supervisor: %w", err)
	}
	answer = strings.TrimSpace(answer)
	if rest, ok := strings.CutPrefix(answer, answerOK); !ok || rest != "" && rest[0] != ':' {
		return "", errors.New(answer)
	}
	return answer, nil
}

// peerUID returns the effective user of the process at the other end.
func peerUID(c *net.UnixConn) (uid int, err error) {
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
