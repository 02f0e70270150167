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
	mostAnswer  = 64 << 10 // bytes of it that are read, headers included
	mostInterim = 5        // answers before the answer (RFC 9110, 15.2)
)

// HTTP looks whether a GET of address is answered with a status from 200 to
// 399. A redirect is not followed, the certificate of https is verified, and no
// proxy of the environment is asked.
//
// It is one connection and one exchange: the pool of http.Transport, and its
// goroutines, would outlive the look and leave the books.
func HTTP(address string) Probe {
	return func(ctx context.Context) error {
		err := exchange(ctx, address)
		if ctx.Err() != nil && err != nil {
			return fmt.Errorf("no answer in time: %w", err)
		}
		return err
	}
}

func exchange(ctx context.Context, address string) error {
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
	defer hangUp(c)
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if err := request.Write(c); err != nil {
		return err
	}
	answer := bufio.NewReader(io.LimitReader(c, mostAnswer))
	for range mostInterim {
		r, err := http.ReadResponse(answer, request)
		if err != nil {
			return fmt.Errorf("cannot read the answer: %w", err)
		}
		switch {
		case r.StatusCode < 200 && r.StatusCode != http.StatusSwitchingProtocols:
			continue
		case r.StatusCode >= 200 && r.StatusCode < 400:
			return nil
		}
		return fmt.Errorf("the answer is %d %s", r.StatusCode, http.StatusText(r.StatusCode))
	}
	return errors.New("there are too many interim answers")
}

// connect connects, one address after the other: what loses a race would be
// closed some time later.
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

// hangUp closes a connection without a word: TLS would say goodbye, and grant a
// peer that does not read five seconds for it.
func hangUp(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	_ = c.Close()
}
