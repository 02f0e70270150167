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

// TestSlowClients opens more connections than there are places, which send nothing or half a
// request, while others ask. At the end it closes the endpoint beside a scrape that hangs.
func TestSlowClients(t *testing.T) {
	b, address := newBench(t)
	for i := range 4 * maxConns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost:")
		}
	}
	b.expect("GET", "http://"+address+"/healthz", 200, "ok\n")
	b.conns.mu.Lock()
	if n := len(b.conns.open); n > maxConns {
		t.Errorf("%d connections are open, want %d at most", n, maxConns)
	}
	b.conns.mu.Unlock()
	began := make(chan struct{}, maxConns)
	b.scrape = func(ctx context.Context) (func(io.Writer) error, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for n := 0; n < maxConns; {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		select {
		case <-began:
			n++
		case <-closed(c): // it lost its place before its request was read
		case <-time.After(limit):
			t.Fatalf("%d of %d scrapes have begun", n, maxConns)
		}
	}
	c, err := net.Dial("tcp", address) // every place is taken by a complete request
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(limit))
	if _, err := bufio.NewReader(c).ReadByte(); err == nil || errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("got %v, want that the connection is closed", err)
	}
	b.end()
}

// closed returns a channel that is closed when the endpoint has closed the connection.
func closed(c net.Conn) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = c.Read(make([]byte, 1))
	}()
	return over
}
