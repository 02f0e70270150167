package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tp0/supervisor/api"
	"tp0/supervisor/api/server"
	"tp0/supervisor/control"
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

// subject is a supervisor in this process.
type subject struct {
	config string
	only   []string
	health func(context.Context) control.Health
	orchestrator
}

// orchestrator is a fake: it answers with its fields.
type orchestrator struct {
	status  api.Status
	operate func(context.Context, api.Operation, func(api.Progress)) (api.Result, error)
}

func (o *orchestrator) Status(context.Context) (api.Status, error) { return o.status, nil }

func (o *orchestrator) Operate(
	ctx context.Context, op api.Operation, progress func(api.Progress),
) (api.Result, error) {
	return o.operate(ctx, op, progress)
}

// serve serves a configuration and returns its path, which is no file.
func serve(t *testing.T, health func(context.Context) control.Health) string {
	t.Helper()
	config := fmt.Sprintf("%s-%d", t.Name(), os.Getpid())
	claim(t, subject{config: config, health: health}, nil)
	return config
}

// claim claims a configuration until the end of the test, and answers requests.
func claim(t *testing.T, s subject, overlap func([]string) []string) {
	t.Helper()
	if err := tryClaim(t, s, overlap); err != nil {
		t.Fatal(err)
	}
}

func tryClaim(t *testing.T, of subject, overlap func([]string) []string) error {
	t.Helper()
	l, err := control.Claim(control.Claimant{
		Config: of.config, Overlap: overlap, Ask: Identify,
	})
	if err != nil {
		return err
	}
	b := &fakeLedger{open: map[int]string{}}
	s := server.New(server.Options{
		FDs: b, Events: &server.Events{}, Health: of.health,
		Identity: api.Identity{
			ID: rand.Text(), Pid: os.Getpid(), Only: of.only,
		}.WithConfig(of.config),
		Orchestrator: func() server.Orchestrator { return &of.orchestrator },
		Measure:      func(context.Context, *api.Status) {},
		Answered:     func() {},
	})
	s.AddAbstract(l)
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
func answerOf(t *testing.T, config string, q control.Question) string {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	note, err := AskHealth(ctx, Options{Config: config}, q)
	switch {
	case err != nil:
		return "not ok: " + err.Error()
	case note != "":
		return "ok: " + note
	}
	return "ok"
}

func TestHealth(t *testing.T) {
	var h control.Health
	name := serve(t, func(context.Context) control.Health { return h })
	for _, c := range []struct {
		h            control.Health
		alive, ready string
	}{
		{control.Health{}, "ok", "ok"},
		{control.Health{Unready: "c is starting"}, "ok", "not ok: c is starting"},
		{
			control.Health{Dead: "c is failed", Unready: "b is starting"}, "not ok: c is failed",
			"not ok: c is failed",
		},
		{control.Health{Note: "look at c"}, "ok: look at c", "ok: look at c"},
		{
			control.Health{Note: "look at c", Unready: "okay is starting"}, "ok: look at c",
			"not ok: okay is starting",
		},
		{
			control.Health{Dead: "okay is failed"}, "not ok: okay is failed",
			"not ok: okay is failed",
		},
	} {
		h = c.h
		if got := answerOf(t, name, control.Alive); got != c.alive {
			t.Errorf("%+v: alive: %q, want %q", c.h, got, c.alive)
		}
		if got := answerOf(t, name, control.Ready); got != c.ready {
			t.Errorf("%+v: ready: %q, want %q", c.h, got, c.ready)
		}
	}
}

func TestNoSupervisor(t *testing.T) {
	got := answerOf(t, "no supervisor", control.Alive)
	if !strings.Contains(got, "no supervisor runs") {
		t.Errorf("got %s", got)
	}
}

// TestHealthIsBounded checks that Health ends with its context if the supervisor does not answer,
// and names the limit.
func TestHealthIsBounded(t *testing.T) {
	block := make(chan struct{})
	name := serve(t, func(ctx context.Context) control.Health {
		select {
		case <-ctx.Done():
		case <-block:
		}
		return control.Health{}
	})
	ctx, cancel := WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	const want = "no answer from the supervisor (pid %d): the time limit of 20ms passed"
	_, err := AskHealth(ctx, Options{Config: name}, control.Ready)
	if err == nil || err.Error() != fmt.Sprintf(want, os.Getpid()) {
		t.Errorf("got error %v, want %s", err, want)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is not %v", err, context.DeadlineExceeded)
	}
	close(block)
}
