package endpoint

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 20 * time.Second

// ledger has the open descriptors.
type ledger struct {
	mu   sync.Mutex
	open map[int]string
}

func (b *ledger) OpenedInternal(fd int, kind, target string) { b.Opened(fd, kind, target) }

func (b *ledger) Opened(fd int, _, target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before, ok := b.open[fd]; ok {
		panic(fmt.Sprintf("descriptor %d is %s and %s", fd, before, target))
	}
	b.open[fd] = target
}

func (b *ledger) Close(fd int, close func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.open[fd]; !ok {
		panic(fmt.Sprintf("descriptor %d is not open", fd))
	}
	delete(b.open, fd)
	return close()
}

// bench is an endpoint under test.
type bench struct {
	*Endpoint
	t        *testing.T
	fds      *ledger
	missing  []string
	alive    error
	scrape   func(context.Context) (func(io.Writer) error, error)
	warnings []string
	ended    chan error
	client   *http.Client
}

// newBench starts an endpoint on a free port of 127.0.0.1.
func newBench(t *testing.T) (b *bench, address string) {
	t.Helper()
	b = &bench{
		t: t, fds: &ledger{open: map[int]string{}}, ended: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: limit},
	}
	b.scrape = func(context.Context) (func(io.Writer) error, error) {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, "supervisor_x 1\n")
			return err
		}, nil
	}
	b.Endpoint = New(Options{
		FDs: b.fds, Alive: func(context.Context) error { return b.alive },
		Scrape: func(ctx context.Context) (func(io.Writer) error, error) {
			return b.scrape(ctx)
		},
		NotReady: func(context.Context) ([]string, error) { return b.missing, nil },
		Answered: func() {},
		Warn:     func(err error) { b.warnings = append(b.warnings, err.Error()) },
	})
	address = freeAddress(t)
	if err := b.Prepare(address); err != nil {
		t.Fatal(err)
	}
	b.Apply(address)
	go func() { b.ended <- b.Run() }()
	t.Cleanup(b.end)
	return b, address
}

// end closes the endpoint and checks that it has ended and closed everything.
func (b *bench) end() {
	if b.ended == nil {
		return
	}
	b.Close()
	select {
	case err := <-b.ended:
		if err != nil {
			b.t.Errorf("Run returned %v", err)
		}
	case <-time.After(limit):
		b.t.Error("Run does not end")
	}
	b.ended = nil
	if len(b.fds.open) > 0 {
		b.t.Errorf("descriptors are open: %v", b.fds.open)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// expect sends a request and compares the answer.
func (b *bench) expect(method, url string, status int, body string) {
	b.t.Helper()
	q, err := http.NewRequest(method, url, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	a, err := b.client.Do(q)
	if err != nil {
		b.t.Errorf("%s %s: %v", method, url, err)
		return
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != status || string(text) != body {
		b.t.Errorf("%s %s: got %d %q (%v), want %d %q", method, url, a.StatusCode, text, err,
			status, body)
	}
}

// keepAlive sends a request, and returns the connection once the answer is read.
func (b *bench) keepAlive(address string) *bufio.Reader {
	b.t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(limit))
	_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(c)
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer a.Body.Close()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		b.t.Fatal(err)
	}
	return r
}

// TestAnswers checks the answer of each path.
func TestAnswers(t *testing.T) {
	b, address := newBench(t)
	at := "http://" + address
	b.expect("GET", at+"/metrics", 200, "supervisor_x 1\n")
	b.expect("HEAD", at+"/metrics", 200, "")
	b.expect("GET", at+"/healthz", 200, "ok\n")
	b.expect("GET", at+"/readyz", 200, "ok\n")
	b.expect("POST", at+"/readyz", 405, "the method is \"POST\": it must be GET\n")
	b.expect("GET", at+"/", 404, "the paths are /metrics, /healthz and /readyz\n")
	b.missing = []string{"web1 is starting", "a\x1b[31m is failed"}
	b.expect("GET", at+"/readyz", 503, "web1 is starting\na\\x1b[31m is failed\n")
	b.alive = errors.New("busy")
	b.expect("GET", at+"/healthz", 503, "busy\n")
	b.scrape = func(context.Context) (func(io.Writer) error, error) { return nil, b.alive }
	b.expect("GET", at+"/metrics", 503, "busy\n")
}

// TestAddressChanges moves the endpoint from one address to another.
func TestAddressChanges(t *testing.T) {
	b, first := newBench(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := b.Prepare(taken.Addr().String()); !errors.Is(err, unix.EADDRINUSE) ||
		!strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("got %v for an address in use", err)
	}
	b.expect("GET", "http://"+first+"/healthz", 200, "ok\n")
	second := freeAddress(t)
	prepare := func(address string) {
		t.Helper()
		if err := b.Prepare(address); err != nil {
			t.Fatal(err)
		}
	}
	prepare(second)
	b.Discard() // the configuration was rejected
	prepare(second)
	prepare(first) // another configuration came first
	prepare(second)
	b.expect("GET", "http://"+first+"/healthz", 200, "ok\n")
	b.Apply(second)
	b.expect("GET", "http://"+second+"/healthz", 200, "ok\n")
	if _, err := b.client.Get("http://" + first + "/healthz"); err == nil {
		t.Error("the first address still answers")
	}
	_, port, _ := net.SplitHostPort(second)
	all := net.JoinHostPort("0.0.0.0", port) // cannot be opened beside the address in force
	prepare(all)
	b.Apply(all)
	b.expect("GET", "http://"+second+"/healthz", 200, "ok\n")
	b.Apply(taken.Addr().String()) // not prepared: a rollback
	if len(b.warnings) != 1 || !strings.Contains(b.warnings[0], "address already in use") {
		t.Errorf("got the warnings %q, want one", b.warnings)
	}
	b.Apply(first)
	b.expect("GET", "http://"+first+"/healthz", 200, "ok\n")
	kept := b.keepAlive(first)
	b.Apply("")
	if _, err := kept.ReadByte(); err != io.EOF {
		t.Errorf("got %v from a connection to an address that is not in force, want its end", err)
	}
	if _, err := b.client.Get("http://" + first + "/healthz"); err == nil {
		t.Error("the address still answers without a block")
	}
}

// slow opens a connection that sends a request, or a part of it, and reads nothing.
func slow(t *testing.T, address, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_, _ = io.WriteString(c, request) // the connection can be closed already
	return c
}

const scrapeRequest = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"

// TestSlowClients opens more connections than there are places, which send nothing, half a request
// or a body that does not end, or which do not read a large answer. Others ask meanwhile.
func TestSlowClients(t *testing.T) {
	b, address := newBench(t)
	large := make([]byte, 16<<20) // more than the buffers of a connection
	b.scrape = func(context.Context) (func(io.Writer) error, error) {
		return func(w io.Writer) error {
			_, err := w.Write(large)
			return err
		}, nil
	}
	for name, request := range map[string]string{
		"nothing": "", "half a request": "GET /metrics HTTP/1.1\r\nHost:",
		"no read": scrapeRequest,
		"a body":  "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
	} {
		for range 2 * maxConns {
			slow(t, address, request)
		}
		b.expect("GET", "http://"+address+"/healthz", 200, "ok\n")
		b.conns.mu.Lock()
		if n := len(b.conns.open); n > maxConns {
			t.Errorf("%s: %d connections are open, want %d at most", name, n, maxConns)
		}
		b.conns.mu.Unlock()
	}
}

// TestManyScrapes has as many scrapes as are permitted, which hang. Health checks have an answer,
// also when every place has a request, and the endpoint closes.
func TestManyScrapes(t *testing.T) {
	b, address := newBench(t)
	began := make(chan struct{}, maxConns)
	b.scrape = func(ctx context.Context) (func(io.Writer) error, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for n := range maxScrapes {
		slow(t, address, scrapeRequest)
		select {
		case <-began:
		case <-time.After(limit):
			t.Fatalf("%d of %d scrapes have begun", n, maxScrapes)
		}
	}
	for range 2 * maxConns {
		b.expect("GET", "http://"+address+"/metrics", 503, "too many scrapes at a time\n")
	}
	b.expect("GET", "http://"+address+"/healthz", 200, "ok\n")
	b.end()
}

// TestPlaces gives a connection the place of another one: of the one that has waited or sent for
// longest, and only then of one whose answer is being prepared.
func TestPlaces(t *testing.T) {
	var s conns
	var all []*conn
	for range maxConns {
		c := &conn{}
		all = append(all, c)
		if evicted, ok := s.add(c); !ok || evicted != nil {
			t.Fatalf("connection %d: got %v, %v", len(all), evicted, ok)
		}
	}
	s.set(all[0], answering)
	s.set(all[1], sending)
	for i := 2; i < maxConns; i++ {
		if evicted, ok := s.add(&conn{state: answering}); !ok || evicted != all[i] {
			t.Fatalf("got %p, %v, want connection %d", evicted, ok, i)
		}
	}
	for i, want := range []*conn{all[1], all[0]} {
		if evicted, ok := s.add(&conn{state: answering}); !ok || evicted != want {
			t.Errorf("%d: got %p, %v, want %p", i, evicted, ok, want)
		}
	}
	s.set(all[1], waiting) // it was removed
	if n := len(s.open); n != maxConns {
		t.Errorf("%d connections, want %d", n, maxConns)
	}
}
