package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 10 * time.Second

// fakeLedger has the open descriptors.
type fakeLedger struct {
	mu   sync.Mutex
	open map[int]string
}

func (b *fakeLedger) OpenedInternal(fd int, kind, target string) {
	b.Opened(fd, kind, target)
}

func (b *fakeLedger) Opened(fd int, _, target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[fd] = target
}

func (b *fakeLedger) Close(fd int, close func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, fd)
	return close()
}

// serve serves a configuration and returns its path, which is no file.
func serve(t *testing.T, health func(context.Context) Health) string {
	t.Helper()
	config := fmt.Sprintf("%s-%d", t.Name(), os.Getpid())
	claim(t, Subject{Config: config, Health: health}, nil)
	return config
}

// claim claims a configuration until the end of the test, and answers requests.
func claim(t *testing.T, subject Subject, overlap func([]string) []string) {
	t.Helper()
	if err := tryClaim(t, subject, overlap); err != nil {
		t.Fatal(err)
	}
}

func tryClaim(t *testing.T, subject Subject, overlap func([]string) []string) error {
	t.Helper()
	b := &fakeLedger{open: map[int]string{}}
	s, err := Claim(b, subject, overlap)
	if err != nil {
		return err
	}
	if len(b.open) != 1 {
		t.Errorf("open descriptors: %v, want one", b.open)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(b.open) != 0 {
			t.Errorf("left open descriptors: %v, want none", b.open)
		}
	})
	return nil
}

// answerOf returns the answer, or "not ok: " and the error.
func answerOf(t *testing.T, config string, q Question) string {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	answer, err := Ask(ctx, config, q)
	if err != nil {
		return "not ok: " + err.Error()
	}
	return answer
}

func TestHealth(t *testing.T) {
	var h Health
	name := serve(t, func(context.Context) Health { return h })
	for _, c := range []struct {
		h            Health
		alive, ready string
	}{
		{Health{}, "ok", "ok"},
		{Health{Unready: "c is starting"}, "ok", "not ok: c is starting"},
		{
			Health{Dead: "c is failed", Unready: "b is starting"}, "not ok: c is failed",
			"not ok: c is failed",
		},
		{Health{Note: "look at c"}, "ok: look at c", "ok: look at c"},
		{
			Health{Note: "look at c", Unready: "okay is starting"}, "ok: look at c",
			"not ok: okay is starting",
		},
		{Health{Dead: "okay is failed"}, "not ok: okay is failed", "not ok: okay is failed"},
	} {
		h = c.h
		if got := answerOf(t, name, Alive); got != c.alive {
			t.Errorf("%+v: alive: %q, want %q", c.h, got, c.alive)
		}
		if got := answerOf(t, name, Ready); got != c.ready {
			t.Errorf("%+v: ready: %q, want %q", c.h, got, c.ready)
		}
	}
	if got := answerOf(t, name, "else"); got != "not ok: unknown request" {
		t.Error(got)
	}
}

func TestNoSupervisor(t *testing.T) {
	if got := answerOf(t, "no supervisor", Alive); !strings.Contains(got, "no supervisor runs") {
		t.Errorf("got %s", got)
	}
}

// TestAskIsBounded checks that Ask ends with its context if the supervisor does not answer.
func TestAskIsBounded(t *testing.T) {
	block := make(chan struct{})
	name := serve(t, func(ctx context.Context) Health {
		select {
		case <-ctx.Done():
		case <-block:
		}
		return Health{}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, name, Ready); err == nil {
		t.Error("Ask returned no error")
	}
	close(block)
}

func TestInvalidRequests(t *testing.T) {
	name := serve(t, func(context.Context) Health { return Health{} })
	for _, request := range []string{"\n", "nonsense\n", strings.Repeat("x", 10_000), "alive"} {
		c, err := net.Dial("unix", Name(name))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(request))
		_ = c.(*net.UnixConn).CloseWrite()
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		if strings.TrimSpace(string(buf[:n])) == "ok" {
			t.Errorf("%.20q got the answer ok", request)
		}
		c.Close()
	}
	if got := answerOf(t, name, Alive); got != "ok" {
		t.Errorf("after the invalid requests: %s", got)
	}
}
