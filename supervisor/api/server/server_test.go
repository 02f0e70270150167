package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/event"
)

// TestRequests checks the answers to valid and invalid requests.
func TestRequests(t *testing.T) {
	h := start(t)
	h.fake.status = api.Status{Instances: []api.Instance{
		{Name: "a1", Child: "a"}, {Name: "a2", Child: "a"}, {Name: "b", Child: "b"},
	}}
	names := func(n int) string {
		b, _ := json.Marshal(api.Operation{Names: make([]string, n)})
		return strings.ReplaceAll(string(b), `""`, `"a"`)
	}
	for _, c := range []struct {
		name, raw string
		status    int
		want      string // a part of the body
	}{
		{"identity", get("/v1/supervisor"), 200, `"id":"x"`},
		{"status", get("/v1/status"), 200, `"name":"b"`},
		{"status of a child", get("/v1/status?name=a"), 200, `"name":"a2"`},
		{"status of nobody", get("/v1/status?name=z"), 404, "unknown-name"},
		{"similar name", get("/v1/status?name=a3"), 404, "Did you mean a?"},
		{"alive", get("/v1/health/alive"), 200, `"ok":true`},
		{"plan", get("/v1/plan"), 200, "added"},
		{"no route", get("/v2/status"), 404, "not-found"},
		{"root", get("/"), 404, "not-found"},
		{"method", post("/v1/status", ""), 405, "must be GET"},
		{"method of an operation", get("/v1/stop"), 405, "must be POST"},
		{"unknown method", "BREW /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 405, "BREW"},
		{"stop", post("/v1/stop", `{"names":["a"]}`), 200, `"ok":true,"message":"stop a"`},
		{"no names", post("/v1/stop", ""), 400, "at least one name"},
		{"names of reload", post("/v1/reload", `{"names":["a"]}`), 400, "takes no names"},
		{"no signal", post("/v1/signal", `{"names":["a"]}`), 400, "the field signal"},
		{"wait for nothing", post("/v1/wait", `{"for":"rain"}`), 400, "ready or stopped"},
		{"deadline", post("/v1/shutdown", `{"deadline":"-1s"}`), 400, "between"},
		{"no duration", post("/v1/shutdown", `{"deadline":"soon"}`), 400, "write it as 1.5s"},
		{"unknown field", post("/v1/stop", `{"name":"a"}`), 400, "unknown field"},
		{"two values", post("/v1/stop", `{"names":["a"]}{}`), 400, "more than one"},
		{"no JSON", post("/v1/stop", "a=b"), 400, "not an operation"},
		{"deep", post("/v1/stop", strings.Repeat("[", 60_000)), 400, "not an operation"},
		{"NUL in a name", post("/v1/stop", "{\"names\":[\"a\\u0000\"]}"), 400, "not a name"},
		{"NUL in the body", post("/v1/stop", "{\"names\":[\"a\x00\"]}"), 400, "not an operation"},
		{"NUL in the header", "GET /v1/status HTTP/1.1\r\nHost: \x00\r\n\r\n", 400, ""},
		{"empty name", post("/v1/stop", `{"names":[""]}`), 400, "not a name"},
		{"1,000 names", post("/v1/stop", names(1000)), 200, `"ok":true`},
		{"1,001 names", post("/v1/stop", names(1001)), 400, "1001 names"},
		{"large body", post("/v1/stop", names(30_000)), 413, "larger than 64 KiB"},
		{"long header", get("/v1/status?name=" + strings.Repeat("x", 20_000)), 431, ""},
		{"no HTTP", "alive\n", 400, ""},
		{"logs", get("/v1/logs?name=a&stream=stderr"), 200, `"text":"line"`},
		{"logs of nobody", get("/v1/logs?name=a&name=a3"), 404, "Did you mean a?"},
		{"stream of logs", get("/v1/logs?stream=x"), 400, "stdout or stderr"},
		{"time of logs", get("/v1/logs?since=now"), 400, "RFC 3339"},
		{"after", get("/v1/events?after=x"), 400, "must be the seq"},
		{"old HTTP", "GET /v1/health/ready HTTP/1.0\r\n\r\n", 200, `"ok":true`},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""},
	} {
		status, body := h.send(c.raw)
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %s, want %d with %q", c.name, status, body, c.status, c.want)
		}
	}
}

// blanks is an endless text.
type blanks struct{}

func (blanks) Read(b []byte) (int, error) {
	copy(b, strings.Repeat(" ", len(b)))
	return len(b), nil
}

// TestLargeBody checks that a body of 1 GB is refused before it is read.
func TestLargeBody(t *testing.T) {
	h := start(t)
	c := h.connect()
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<30)
	sent := make(chan int64)
	go func() {
		n, _ := io.Copy(c, io.LimitReader(blanks{}, 1<<30))
		sent <- n
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v, %v, want 413", resp, err)
	}
	if n := <-sent; n > 1<<20 {
		t.Errorf("the server read %d bytes", n)
	}
}

// TestHangingClients checks that 1,000 clients that say nothing, or begin a request and do not end
// it, prevent no answer, and that their number is limited.
func TestHangingClients(t *testing.T) {
	h := start(t)
	for i := range 1000 {
		c, err := net.Dial("unix", h.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, []string{
			"", "GET /v1/sta", "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{",
		}[i%3])
		if i%100 == 99 {
			if status, body := h.send(get("/v1/health/ready")); status != 200 {
				t.Fatalf("after %d clients: got %d %s", i+1, status, body)
			}
		}
	}
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	// The listener, and for a moment a connection beside the one that was evicted for it.
	if most := h.ledger.most; most > maxOfProcess+3 {
		t.Errorf("%d descriptors were open at once, want %d at most", most, maxOfProcess+3)
	}
}

// TestDeadReaders checks that readers of streams that read nothing neither delay an event nor take
// all connections, and that Close ends them.
func TestDeadReaders(t *testing.T) {
	h := start(t)
	for range maxOfProcess - 1 {
		c := h.connect()
		_, _ = io.WriteString(c, get("/v1/events?follow"))
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	for range 10_000 {
		h.opt.Events.Emit(event.Warning{What: "a", Reason: strings.Repeat("b", 1000)})
	}
	if status, body := h.send(get("/v1/health/ready")); status != 200 {
		t.Errorf("got %d %s", status, body)
	}
	h.stop()
}

// TestEvents checks that a reader gets the kept events, is told what it missed, and gets the events
// to come.
func TestEvents(t *testing.T) {
	h := start(t)
	emit := func(n int) {
		for range n {
			h.opt.Events.Emit(event.Warning{What: "a", Reason: "b"})
			h.opt.Events.Emit(event.FDOpened{FD: 1}) // is not kept
		}
	}
	const more = 10
	emit(keptEvents + more)
	c := h.connect()
	_, _ = io.WriteString(c, get("/v1/events?follow&after=3"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(resp.Body)
	for want := uint64(more + 1); want <= keptEvents+more+1; want++ {
		var e api.Event
		if err := lines.Decode(&e); err != nil {
			t.Fatal(err)
		}
		missed := uint64(0)
		if want == more+1 {
			missed = more - 3
		}
		if e.Seq != want || e.Missed != missed || e.Level != "warn" || e.Message != "a" {
			t.Fatalf("got %+v, want the seq %d with %d missed", e, want, missed)
		}
		if want == keptEvents+more {
			emit(1)
		}
	}
	if !h.opt.Events.IsFollowed() {
		t.Error("not followed, with a reader that waits for the events to come")
	}
	h.stop()
	if err := lines.Decode(new(api.Event)); err != io.EOF {
		t.Errorf("after the end of the server: %v, want EOF", err)
	}
	if h.opt.Events.IsFollowed() {
		t.Error("followed, without a reader")
	}
}

// operationCase is an operation and its answer.
type operationCase struct {
	name, query string
	operate     func(ctx context.Context, progress func(api.Progress)) (api.Result, error)
	status      int
	want        string
}

// operationCases returns the operations of TestOperations. The one that nobody waits for closes
// background when it ends.
func operationCases(background chan struct{}) []operationCase {
	refusal := &api.Error{Kind: api.Conflict, Detail: "it is stopping"}
	return []operationCase{
		{
			"refused", "", func(context.Context, func(api.Progress)) (api.Result, error) {
				return api.Result{}, refusal
			}, 409, `"detail":"it is stopping"`,
		},
		{
			"refused after a step", "",
			func(_ context.Context, progress func(api.Progress)) (api.Result, error) {
				progress(api.Progress{Message: "one"})
				time.Sleep(50 * time.Millisecond) // the step arrives before the end
				return api.Result{}, refusal
			}, 200, `{"message":"one"}` + "\n" + `{"ok":false,"message":"it is stopping"}` + "\n",
		},
		{
			"many steps", "",
			func(_ context.Context, progress func(api.Progress)) (api.Result, error) {
				for range 100_000 {
					progress(api.Progress{Message: "one"})
				}
				return api.Result{OK: true, Message: "done"}, nil
			}, 200, `{"ok":true,"message":"done"}`,
		},
		{
			"not waited for", "?wait=false",
			func(ctx context.Context, progress func(api.Progress)) (api.Result, error) {
				progress(api.Progress{Message: "one"})
				<-ctx.Done() // the end of the server, not of the request
				close(background)
				return api.Result{}, ctx.Err()
			}, 202, "accepted",
		},
		{
			"not waited for and refused", "?wait=false",
			func(context.Context, func(api.Progress)) (api.Result, error) {
				return api.Result{}, refusal
			}, 409, "it is stopping",
		},
	}
}

// TestOperations checks the steps and the end of operations.
func TestOperations(t *testing.T) {
	h := start(t)
	background := make(chan struct{})
	for _, c := range operationCases(background) {
		h.fake.operate = func(
			ctx context.Context, op api.Operation, progress func(api.Progress),
		) (api.Result, error) {
			if op.By.UID < 0 || op.By.Pid == 0 || op.Names[0] != "a" {
				t.Errorf("%s: got %+v", c.name, op)
			}
			return c.operate(ctx, progress)
		}
		status, body := h.send(post("/v1/start"+c.query, `{"names":["a"]}`))
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %s, want %d %s", c.name, status, body, c.status, c.want)
		}
	}
	select {
	case <-background:
		t.Error("the operation ended with its request")
	default:
	}
	h.stop()
	<-background
}

// TestGoneClient checks that an operation gets the end of its client.
func TestGoneClient(t *testing.T) {
	h := start(t)
	began, gone := make(chan struct{}), make(chan struct{})
	h.fake.operate = func(
		ctx context.Context, _ api.Operation, _ func(api.Progress),
	) (api.Result, error) {
		close(began)
		<-ctx.Done()
		close(gone)
		return api.Result{}, ctx.Err()
	}
	c := h.connect()
	_, _ = io.WriteString(c, post("/v1/wait", `{"for":"ready"}`))
	<-began
	c.Close()
	select {
	case <-gone:
	case <-time.After(limit):
		t.Fatal("the operation does not learn that its client has gone")
	}
}

// TestAnswered checks that the server reports each answer of a connection that stays open.
func TestAnswered(t *testing.T) {
	h := start(t)
	c := h.connect()
	r := bufio.NewReader(c)
	for range 2 {
		_, _ = io.WriteString(c, "GET /v1/supervisor HTTP/1.1\r\nHost: x\r\n\r\n")
		a, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		select {
		case <-h.answered:
		case <-time.After(limit):
			t.Fatal("the answer is not reported")
		}
	}
}
