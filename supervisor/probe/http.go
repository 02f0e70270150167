package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxHeaders = 64 << 10 // bytes of the headers of all responses
	maxBody    = 1 << 20  // bytes that are read of the body
	maxInterim = 5        // interim responses (1xx) before the final one (RFC 9110, 15.2)

	// bodyTimeout is the time for the body after the headers: a body may have no end.
	bodyTimeout = time.Second
)

// HTTP returns a probe that sends GET to address and succeeds if the status of the response is
// from 200 to 399. It does not follow redirects, verifies the certificate of an https address
// and ignores proxies of the environment.
//
// The probe reads the body before it closes the connection: a server that still writes would get
// ECONNRESET or EPIPE. The body does not change the result. The probe reads 1 MiB of it at most,
// for one second at most.
//
// Each attempt opens and closes one connection. The pool of http.Transport and its goroutines
// would outlive the attempt, and its sockets would be missing in the fd ledger.
func HTTP(address string) Probe {
	return func(ctx context.Context) error {
		err := get(ctx, address)
		if ctx.Err() != nil && err != nil {
			return fmt.Errorf("no answer in time: %w", err)
		}
		return err
	}
}

func get(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "supervisor")
	request.Close = true
	c, err := connect(ctx, u)
	if err != nil {
		return err
	}
	defer disconnect(c)
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if err := request.Write(c); err != nil {
		return err
	}
	return readAnswer(ctx, c, request)
}

// readAnswer reads the response and returns nil if its status is from 200 to 399.
func readAnswer(ctx context.Context, c net.Conn, request *http.Request) error {
	limited := &io.LimitedReader{R: c, N: maxHeaders}
	reader := bufio.NewReader(limited)
	for range maxInterim {
		r, err := http.ReadResponse(reader, request)
		if err != nil {
			return fmt.Errorf("cannot read the answer: %w", err)
		}
		switch {
		case r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols:
			continue
		case r.StatusCode >= 200:
			limited.N = maxBody
			skipBody(ctx, c, r.Body)
		}
		if r.StatusCode >= 200 && r.StatusCode < 400 {
			return nil
		}
		return fmt.Errorf("the answer is %d %s", r.StatusCode, http.StatusText(r.StatusCode))
	}
	return fmt.Errorf("the answer has more than %d interim responses", maxInterim)
}

// skipBody reads a body. Its error does not matter, because the status is known.
func skipBody(ctx context.Context, c net.Conn, body io.Reader) {
	ctx, cancel := context.WithTimeout(ctx, bodyTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })()
	_, _ = io.Copy(io.Discard, body)
}

// connect tries the addresses of the host one after the other. In parallel attempts (RFC 6555)
// the connection that loses would be closed only after the attempt has ended.
func connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = u.Scheme
	}
	var s sockets
	defer s.close()
	d := net.Dialer{FallbackDelay: -1, Resolver: s.resolver()}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil || u.Scheme != "https" {
		return c, err
	}
	t := tls.Client(c, &tls.Config{ServerName: u.Hostname()})
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return t, nil
}

// disconnect closes the TCP connection without a TLS close_notify, which can block for five
// seconds if the peer does not read.
func disconnect(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close()
}
