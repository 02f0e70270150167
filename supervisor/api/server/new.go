package server

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Timeouts of a connection.
const (
	headerTimeout = 2 * time.Second // from the connection, or the request, to the end of the header
	bodyTimeout   = 5 * time.Second // to the end of the body
	idleTimeout   = 10 * time.Second
	maxHeader     = 4 << 10 // bytes; net/http adds 4 KiB
)

// New returns a server without sockets.
func New(opt Options) *Server {
	s := &Server{opt: opt}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.ending, s.setEnding = context.WithCancel(s.ctx)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler: s.routes(), Protocols: protocols, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		WriteTimeout: bodyTimeout + answerTimeout + writeTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    log.New(io.Discard, "", 0), // a peer must not write to our log
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: s.connState,
	}
	return s
}

// connState counts the goroutines of net/http: one for each connection, from StateNew to
// StateClosed.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add()
	case http.StateIdle:
		s.shares.setBusy(c.(*conn).seat, false)
		s.opt.Answered()
	case http.StateClosed:
		s.conns.Done()
	}
}
