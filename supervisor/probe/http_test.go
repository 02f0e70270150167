package probe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHTTP(t *testing.T) {
	elsewhere := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, strings.Repeat("much ", 1<<20))
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere++ })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", maxHeaders))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	for path, want := range map[string]string{"/ok": "", "/moved": "", "/bad": "503",
		"/none": "404", "/long": "cannot read the answer"} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := HTTP(s.URL + path)(ctx)
		cancel()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
}

func TestHTTPSIsVerified(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(&bytes.Buffer{}, "", 0) // the server logs the disconnect
	s.StartTLS()
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := HTTP(s.URL)(ctx); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("error %v, want one of package x509", err)
	}
}

// TestHTTPTimeout checks that the context bounds the wait for a server that does not respond.
func TestHTTPTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"http", "https"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := HTTP(scheme + "://" + l.Addr().String())(ctx)
		if err == nil || !strings.Contains(err.Error(), "no answer in time") || ctx.Err() == nil {
			t.Errorf("%s: error %v, want no answer in time", scheme, err)
		}
		cancel()
	}
}

// TestHTTPReadsBody checks that a server can write its whole body, and sees no reset. The bodies
// come in pieces, so that a probe that closes after the headers would reset the connection.
func TestHTTPReadsBody(t *testing.T) {
	const head, piece = "HTTP/1.1 200 OK\r\n", "0123456789abcdef"
	for _, tt := range []struct{ name, head, piece, end string }{
		{"length", head + "Content-Length: 160\r\n\r\n", piece, ""},
		{
			"chunked", head + "Transfer-Encoding: chunked\r\n\r\n",
			"10\r\n" + piece + "\r\n", "0\r\n\r\n",
		},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", piece, ""},
		{"error", "HTTP/1.1 503 No\r\nContent-Length: 160\r\n\r\n", piece, ""},
		{"redirect", "HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 160\r\n\r\n", piece, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pieces := []string{tt.head}
			for range 10 {
				pieces = append(pieces, tt.piece)
			}
			address, served := serveOnce(t, append(pieces, tt.end))
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := HTTP("http://" + address)(ctx)
			if (err != nil) != (tt.name == "error") {
				t.Errorf("unexpected result: %v", err)
			}
			if err := <-served; err != nil {
				t.Errorf("the server got %v", err)
			}
		})
	}
}

// serveOnce answers one request with pieces, and then waits for the client to close. The channel
// gets the error that the server sees.
func serveOnce(t *testing.T, pieces []string) (address string, served chan error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	served = make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		request := bufio.NewReader(c)
		for line := ""; line != "\r\n" && err == nil; {
			line, err = request.ReadString('\n')
		}
		for _, p := range pieces {
			if err == nil {
				_, err = c.Write([]byte(p))
				time.Sleep(time.Millisecond) // a reset arrives before the next write
			}
		}
		if err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		if err == nil {
			_, err = io.Copy(io.Discard, request) // ECONNRESET, or EOF: nil
		}
		served <- err
	}()
	return l.Addr().String(), served
}

// TestHTTPEndlessBody checks that a body without an end is cut, and does not fail the probe.
func TestHTTPEndlessBody(t *testing.T) {
	for name, piece := range map[string]string{
		"slow": "", "large": strings.Repeat("x", 4096),
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			for r.Context().Err() == nil && piece != "" {
				_, _ = io.WriteString(w, piece)
			}
			<-r.Context().Done()
		}))
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		if err := HTTP(s.URL)(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		s.Close()
	}
}
