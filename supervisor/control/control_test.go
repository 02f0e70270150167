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

// books counts what is open.
type books struct {
	mu   sync.Mutex
	open map[int]string
}

func (b *books) Opened(fd int, _, target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[fd] = target
}

func (b *books) Close(fd int, close func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, fd)
	return close()
}

func serve(t *testing.T, health Health) string {
	t.Helper()
	b := &books{open: map[int]string{}}
	name := Name(fmt.Sprintf("%s-%d", t.Name(), os.Getpid()))
	s, err := Listen(name, b, health)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.open) != 1 {
		t.Errorf("in the books: %v", b.open)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(b.open) != 0 {
			t.Errorf("left in the books: %v", b.open)
		}
	})
	return name
}

func ask(t *testing.T, name string) error {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return Ask(ctx, name)
}

func TestHealth(t *testing.T) {
	answer := ""
	name := serve(t, func(context.Context) string { return answer })
	if err := ask(t, name); err != nil {
		t.Error(err)
	}
	answer = "client1 is starting"
	if err := ask(t, name); err == nil || err.Error() != answer {
		t.Errorf("got %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	if err := ask(t, Name("nobody")); err == nil || !strings.Contains(err.Error(), "no supervisor runs") {
		t.Errorf("got %v", err)
	}
}

func TestNameIsTaken(t *testing.T) {
	name := serve(t, func(context.Context) string { return "" })
	if s, err := Listen(name, &books{open: map[int]string{}}, nil); err == nil {
		s.Close()
		t.Error("a second one got the name")
	}
}

// A supervisor that is stuck must not hang whoever asks.
func TestAskIsBounded(t *testing.T) {
	block := make(chan struct{})
	name := serve(t, func(ctx context.Context) string {
		select {
		case <-ctx.Done():
		case <-block:
		}
		return "busy"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := Ask(ctx, name); err == nil {
		t.Error("an answer out of nothing")
	}
	close(block)
}

func TestRubbishIsNoAnswer(t *testing.T) {
	name := serve(t, func(context.Context) string { return "" })
	for _, request := range []string{"\n", "nonsense\n", strings.Repeat("x", 10_000), "health"} {
		c, err := net.Dial("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(request))
		_ = c.(*net.UnixConn).CloseWrite()
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		if strings.TrimSpace(string(buf[:n])) == "ok" {
			t.Errorf("%.20q is answered with ok", request)
		}
		c.Close()
	}
	if err := ask(t, name); err != nil {
		t.Errorf("after it: %v", err)
	}
}
