// Package endpoint serves metrics and two health checks over HTTP, on a TCP address that a reload
// can change. Each connection has an entry in the fd ledger, a limit of time, and an end before the
// supervisor's.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/tally"
)

// Endpoint serves on one address at a time, or on none.
type Endpoint struct {
	opt    Options
	http   *http.Server
	ctx    context.Context // of all requests
	cancel context.CancelFunc
	conns  conns
	served tally.Tally // goroutines of connections and listeners

	mu       sync.Mutex
	inForce  *listener // nil: none
	prepared *listener // of a configuration that is not in force yet; nil: none
	running  bool
	closed   bool
	ended    chan struct{} // closed by Close
}

// New returns an endpoint without an address.
func New(opt Options) *Endpoint {
	e := &Endpoint{opt: opt, ended: make(chan struct{})}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	e.http = &http.Server{
		Handler: routes(opt, &e.conns), Protocols: protocols,
		DisableGeneralOptionsHandler: true,

		ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, IdleTimeout: idleTimeout,
		WriteTimeout: headerTimeout + answerTimeout + writeTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    log.New(io.Discard, "", 0), // a peer must not write to our log
		BaseContext: func(net.Listener) context.Context { return e.ctx },
		ConnState:   e.connState,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	return e
}

// connState counts the goroutines of net/http: one for each connection, from StateNew to
// StateClosed.
func (e *Endpoint) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		e.served.Add()
	case http.StateIdle:
		e.conns.set(c.(*conn), waiting)
		e.closeIdle() // the address can have changed during the request
		e.opt.Answered()
	case http.StateClosed:
		e.served.Done()
	}
}

// Prepare opens an address that Apply will put into force. Requests to it have no answer until
// then. The error gives the reason why the address cannot be opened. An empty address needs no
// preparation.
func (e *Endpoint) Prepare(address string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.prepared != nil && e.prepared.address != address {
		_ = e.prepared.Close()
		e.prepared = nil
	}
	if e.closed || address == "" || e.prepared != nil || e.inForce.has(address) {
		return nil
	}
	l, err := e.listen(address)
	if e.inForce.blocks(address) && errors.Is(err, unix.EADDRINUSE) {
		return nil // Apply closes the old address before it opens this one
	}
	e.prepared = l
	return err
}

// Discard closes the address that was prepared, if Apply has not put it into force.
func (e *Endpoint) Discard() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.prepared != nil {
		_ = e.prepared.Close()
		e.prepared = nil
	}
}

// Apply puts an address into force and closes the old address. An empty address only closes the old
// address.
func (e *Endpoint) Apply(address string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.inForce.has(address) || address == "" && e.inForce == nil {
		return
	}
	if e.inForce != nil {
		_ = e.inForce.Close()
		e.inForce = nil
		e.closeIdle()
	}
	l := e.prepared
	e.prepared = nil
	if l != nil && l.address != address {
		_ = l.Close()
		l = nil
	}
	if l == nil && address != "" {
		var err error
		if l, err = e.listen(address); err != nil {
			e.opt.Warn(err)
		}
	}
	if e.inForce = l; l != nil && e.running {
		e.serve(l)
	}
}

// closeIdle closes the connections that wait for a request to an address that is not in force.
func (e *Endpoint) closeIdle() {
	for _, c := range e.conns.idle() {
		_ = c.Close()
	}
}

func (e *Endpoint) listen(address string) (*listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, unix.EADDRINUSE) {
		err = fmt.Errorf("%w: another process or a listen block of a child uses the address", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the address of metrics.listen: %w", err)
	}
	return newListener(l.(*net.TCPListener), address, &e.conns, e.opt.FDs), nil
}

// serve accepts connections until the listener closes.
func (e *Endpoint) serve(l *listener) { e.served.Run(func() { _ = e.http.Serve(l) }) }

// Run answers requests until Close. It returns when no request is being answered.
func (e *Endpoint) Run() error {
	e.mu.Lock()
	e.running = true
	if e.inForce != nil {
		e.serve(e.inForce)
	}
	e.mu.Unlock()
	<-e.ended
	if !e.served.Wait(finishTimeout) {
		e.cancel()
		_ = e.http.Close()
	}
	if !e.served.Wait(closeTimeout) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Close ends Run. It must be called once. Without Run it only closes the sockets.
func (e *Endpoint) Close() {
	e.http.SetKeepAlivesEnabled(false)
	e.mu.Lock()
	e.closed = true
	for _, l := range []*listener{e.inForce, e.prepared} {
		if l != nil {
			_ = l.Close()
		}
	}
	e.mu.Unlock()
	e.conns.refuse()
	e.closeIdle()
	close(e.ended)
}
