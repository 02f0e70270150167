// Package server answers the requests to the control socket: HTTP/1.1 and JSON over unix sockets.
// docs/openapi.yaml describes it. Every connection has a peer whom the kernel names, a place in the
// share of that peer, an entry in the ledger, and an end before the supervisor's.
package server

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/tally"
)

// Orchestrator answers requests about the instances. Its errors are of the type [*api.Error], or
// that of ctx. Any goroutine may call its methods.
type Orchestrator interface {
	Status(ctx context.Context) (api.Status, error)
	// Operate does an operation. It calls progress for each step; progress never waits.
	Operate(
		ctx context.Context, op api.Operation, progress func(api.Progress),
	) (api.Result, error)
}

// Options are the parts that answer.
type Options struct {
	FDs          fdledger.Registrar
	Identity     api.Identity
	Events       *Events
	Orchestrator func() Orchestrator // a function: the server is older than the orchestrator
	Health       func(context.Context) control.Health
	// Plan returns what the configuration on disk would change. Nothing is applied.
	Plan func(context.Context) (api.Difference, error)
	// Logs calls each for the lines that a query selects. It ends with ctx.
	Logs func(ctx context.Context, query api.LogQuery, each func(api.LogLine) error) error
	// Explain says why instances are in their states, by the names of instances and children.
	Explain func(ctx context.Context, names []string) (api.WhyAnswer, error)
	// ReadFDs returns the open descriptors of instances. It ends with ctx.
	ReadFDs func(context.Context, []api.Instance) (api.FDs, error)
	// Measure adds what the process trees use. It ends with ctx.
	Measure func(context.Context, *api.Status)
	// Answered is called after each answer whose connection stays open. It never waits.
	Answered func()
}

// Server answers requests.
type Server struct {
	opt    Options
	http   *http.Server
	shares shares

	ctx       context.Context // of all requests
	cancel    context.CancelFunc
	ending    context.Context // ends with Close; streams without an end of their own end with it
	setEnding context.CancelFunc
	conns     tally.Tally // connections, of which each has a goroutine of net/http
	loops     tally.Tally // goroutines of listeners and operations

	mu        sync.Mutex
	listeners []*listener
	running   bool
	closed    bool
	path      *control.PathListener // nil: there is none
}

// AddAbstract adds an abstract socket. Only root and our own user may use it.
func (s *Server) AddAbstract(l *net.UnixListener) {
	s.add(&listener{UnixListener: l, address: l.Addr().String(), abstract: true}, control.NoGroup)
}

// SetPath replaces the socket with a path, also while the server runs. nil removes it. The members
// of the group gid may use it too.
func (s *Server) SetPath(l *control.PathListener, gid int) {
	s.mu.Lock()
	before := s.path
	s.path = l
	var old *listener
	for i, o := range s.listeners {
		if before != nil && o.UnixListener == before.UnixListener {
			old = o
			s.listeners = append(s.listeners[:i], s.listeners[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	if old != nil {
		_ = old.Close()
		before.Remove()
	}
	if l != nil {
		s.add(&listener{UnixListener: l.UnixListener, address: l.Path}, gid)
	}
}

// SetGroup changes who may use the socket with a path.
func (s *Server) SetGroup(gid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == nil {
		return nil
	}
	if err := s.path.SetGroup(gid); err != nil {
		return err
	}
	for _, l := range s.listeners {
		if l.UnixListener == s.path.UnixListener {
			l.gid.Store(int64(gid))
		}
	}
	return nil
}

// Go runs a function in a goroutine that Run waits for.
func (s *Server) Go(f func()) { s.loops.Run(f) }

// Path returns the path of the socket; empty: there is none.
func (s *Server) Path() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path == nil {
		return ""
	}
	return s.path.Path
}

func (s *Server) add(l *listener, gid int) {
	l.gid.Store(int64(gid))
	l.fd, l.fds, l.shares = control.FD(l.UnixListener), s.opt.FDs, &s.shares
	l.fds.Opened(l.fd, "socket", "unix "+l.address+" listen")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return
	}
	s.listeners = append(s.listeners, l)
	if s.running {
		s.serve(l)
	}
}

// serve accepts connections until the listener closes.
func (s *Server) serve(l *listener) { s.loops.Run(func() { _ = s.http.Serve(l) }) }

// Run answers requests until Close. It returns when no request is being answered.
func (s *Server) Run() error {
	s.mu.Lock()
	s.running = true
	if !s.closed {
		for _, l := range s.listeners {
			s.serve(l)
		}
	}
	s.mu.Unlock()
	<-s.ending.Done()
	return s.finish()
}

const (
	// finishTimeout is the time that requests get to end when the server closes, twice: by
	// themselves, and after their context has ended.
	finishTimeout = 100 * time.Millisecond
	// closeTimeout is the time for goroutines whose connection is closed.
	closeTimeout = time.Second
)

// finish ends all requests.
func (s *Server) finish() error {
	for _, c := range s.shares.close() {
		_ = c.Close()
	}
	if !s.conns.Wait(finishTimeout) {
		s.cancel()
		s.conns.Wait(finishTimeout)
	}
	s.cancel()
	_ = s.http.Close()
	if !s.conns.Wait(closeTimeout) || !s.loops.Wait(closeTimeout) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Close ends Run. It must be called once. Without Run it only closes the sockets.
func (s *Server) Close() {
	s.http.SetKeepAlivesEnabled(false)
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	if s.path != nil {
		s.path.Remove()
	}
	s.mu.Unlock()
	s.setEnding()
}
