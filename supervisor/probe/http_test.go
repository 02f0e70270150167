package probe

import (
	"bytes"
	"context"
	"fmt"
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
		w.Header().Set("X", strings.Repeat("x", maxResponse))
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
