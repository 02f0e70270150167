// Package control answers requests to a running supervisor over an abstract unix socket, and finds
// out whether a supervisor already runs a configuration. Such a socket needs no writable path, and
// the kernel tells the uid of the peer (unix(7), SO_PEERCRED).
package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
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

	askOnly   Question = "only"   // which children the supervisor runs
	askConfig Question = "config" // the path of the configuration
)

// answer returns one line: "ok", "ok: " and the note, or the failure.
func (h Health) answer(q Question) string {
	switch {
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
	maxAnswer      = 128 << 10       // bytes; the list of --only is an argument of execve(2)
	maxClients     = 16              // at the same time
)

// Subject is the supervisor that the answers are about.
type Subject struct {
	Config string   // the absolute path of its configuration
	Only   []string // the children and instances that it runs; empty: all
	// Health is called for each request, by several goroutines at the same time.
	Health func(context.Context) Health
}

// answer returns the line that answers a question.
func (s *Subject) answer(ctx context.Context, q Question) string {
	switch q {
	case Alive, Ready:
		return s.Health(ctx).answer(q)
	case askOnly:
		return Health{Note: strings.Join(s.Only, ",")}.answer(q)
	case askConfig:
		return Health{Note: strconv.Quote(s.Config)}.answer(q)
	}
	return "unknown request"
}

// Server answers requests.
type Server struct {
	subject  Subject
	fds      fdledger.Registrar
	listener *net.UnixListener
	fd       int
	slots    chan struct{}
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// Listen opens the socket. It fails if another supervisor has the name.
func Listen(name string, fds fdledger.Registrar, subject Subject) (*Server, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket: %w", err)
	}
	s := &Server{fds: fds, subject: subject, listener: l, slots: make(chan struct{}, maxClients)}
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
	if peer, err := peerOf(c); err != nil || !trusts(peer) {
		return
	}
	request, err := bufio.NewReader(io.LimitReader(c, maxRequest)).ReadString('\n')
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, s.subject.answer(ctx, Question(strings.TrimSpace(request)))+"\n")
}

// peerOf returns the process at the other end. At the end of a client it is the process that
// listens.
func peerOf(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(e, err)
}

// trusts reports whether a process belongs to root or to our own user.
func trusts(peer *unix.Ucred) bool { return peer.Uid == 0 || int(peer.Uid) == os.Geteuid() }
