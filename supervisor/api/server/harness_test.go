package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 20 * time.Second

// ledger has the open descriptors, and how many were open at once.
type ledger struct {
	mu   sync.Mutex
	open map[int]string
	most int
}

func (b *ledger) OpenedInternal(fd int, kind, target string) { b.Opened(fd, kind, target) }

func (b *ledger) Opened(fd int, _, target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if before, ok := b.open[fd]; ok {
		panic(fmt.Sprintf("descriptor %d is %s and %s", fd, before, target))
	}
	b.open[fd] = target
	b.most = max(b.most, len(b.open))
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

// fake answers for the orchestrator.
type fake struct {
	status  api.Status
	operate func(context.Context, api.Operation, func(api.Progress)) (api.Result, error)
}

func (f *fake) Status(context.Context) (api.Status, error) { return f.status, nil }

func (f *fake) Operate(
	ctx context.Context, op api.Operation, progress func(api.Progress),
) (api.Result, error) {
	return f.operate(ctx, op, progress)
}

// harness is a server with a socket that has a path.
type harness struct {
	t *testing.T
	*Server
	path   string
	ledger *ledger
	fake   fake
	ended  chan error

	answered chan struct{} // full after an answer whose connection stays open
}

func start(t *testing.T) *harness {
	t.Helper()
	h := &harness{
		t: t, path: filepath.Join(t.TempDir(), "s.sock"), ledger: &ledger{open: map[int]string{}},
		ended: make(chan error, 1), answered: make(chan struct{}, 1),
	}
	h.fake.operate = func(
		_ context.Context, op api.Operation, progress func(api.Progress),
	) (api.Result, error) {
		progress(api.Progress{Instance: "a", State: "stopping", Message: "a is stopping"})
		return api.Result{OK: true, Message: string(op.Verb) + " " + op.Names[0]}, nil
	}
	h.Server = New(Options{
		FDs: h.ledger, Events: &Events{}, Identity: api.Identity{ID: "x", Pid: os.Getpid()},
		Orchestrator: func() Orchestrator { return &h.fake },
		Health:       func(context.Context) control.Health { return control.Health{} },
		Plan: func(context.Context) (api.Difference, error) {
			return api.Difference{Added: []string{"new"}}, nil
		},
		Logs: func(
			_ context.Context, q api.LogQuery, each func(api.LogLine) error,
		) error {
			return each(api.LogLine{Instance: q.Names[0], Stream: q.Stream, Text: "line"})
		},
		Measure: func(context.Context, *api.Status) {},
		Answered: func() {
			select {
			case h.answered <- struct{}{}:
			default:
			}
		},
		Explain: func(_ context.Context, names []string) (api.WhyAnswer, error) {
			return api.WhyAnswer{Instances: []api.Why{{Answer: strings.Join(names, " ")}}}, nil
		},
		ReadFDs: func(_ context.Context, all []api.Instance) (found api.FDs, err error) {
			for _, i := range all {
				found.Instances = append(found.Instances, api.InstanceFDs{Name: i.Name})
			}
			return found, nil
		},
	})
	l, err := control.ListenPath(h.path, control.NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	h.SetPath(l, control.NoGroup)
	go func() { h.ended <- h.Run() }()
	t.Cleanup(func() { h.stop() })
	return h
}

// stop closes the server and checks that nothing is left.
func (h *harness) stop() {
	h.t.Helper()
	if h.ended == nil {
		return
	}
	h.Close()
	select {
	case err := <-h.ended:
		if err != nil {
			h.t.Error(err)
		}
	case <-time.After(limit):
		h.t.Fatal("Run does not end")
	}
	h.ended = nil
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	if len(h.ledger.open) > 0 {
		h.t.Errorf("still open: %v", h.ledger.open)
	}
	if _, err := os.Lstat(h.path); err == nil {
		h.t.Error("the file of the socket is still there")
	}
}

// connect returns a connection that ends with the test.
func (h *harness) connect() net.Conn {
	h.t.Helper()
	c, err := net.Dial("unix", h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(limit))
	h.t.Cleanup(func() { c.Close() })
	return c
}

// send sends bytes as they are, and returns the status and the body of the answer. The status is 0
// without an answer.
func (h *harness) send(raw string) (int, string) {
	h.t.Helper()
	return answer(h.t, h.connect(), raw)
}

func answer(t *testing.T, c net.Conn, raw string) (int, string) {
	t.Helper()
	defer c.Close()
	go func() { _, _ = io.Copy(c, strings.NewReader(raw)) }()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, unix.ECONNRESET) { // the server did not read all of raw
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

func get(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d"+
		"\r\n\r\n%s", path, len(body), body)
}
