// Package client asks running supervisors over their control sockets.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
)

// Supervisor is a running supervisor. Any goroutine may call its methods.
type Supervisor struct {
	Identity api.Identity
	Peer     control.Peer // the process that listens
	Address  string       // the path, or the abstract name with a leading @
	http     *http.Client
}

func newSupervisor(id api.Identity, peer control.Peer, address string) *Supervisor {
	s := &Supervisor{Identity: id, Peer: peer, Address: address}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Client{Transport: &http.Transport{
		Proxy: nil, Protocols: protocols, DisableCompression: true, IdleConnTimeout: time.Second,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return s.dial() },
	}}
	return s
}

// dial connects to the process that was found before, and to no other one.
func (s *Supervisor) dial() (net.Conn, error) {
	c, err := control.Dial(s.Address)
	if err != nil {
		return nil, err
	}
	peer, err := control.PeerOf(c)
	if err == nil && (peer.Pid != s.Peer.Pid || peer.UID != s.Peer.UID) {
		err = &ForeignError{"another process took over the control socket"}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the idle connections.
func (s *Supervisor) Close() { s.http.CloseIdleConnections() }

// Health asks a question. It returns the note of a good answer. An error of the kind
// [api.Unhealthy] is a bad answer.
func (s *Supervisor) Health(ctx context.Context, q control.Question) (note string, err error) {
	var h api.Health
	err = s.get(ctx, "/v1/health/"+string(q), &h)
	return h.Note, err
}

// Status returns the state of instances: of all without a name.
func (s *Supervisor) Status(ctx context.Context, names ...string) (status api.Status, err error) {
	query := url.Values{"name": names}
	err = s.get(ctx, "/v1/status?"+query.Encode(), &status)
	return status, err
}

// Plan returns what the configuration on disk would change.
func (s *Supervisor) Plan(ctx context.Context) (d api.Difference, err error) {
	err = s.get(ctx, "/v1/plan", &d)
	return d, err
}

// FDs returns the open descriptors of instances. Their targets are untrusted.
func (s *Supervisor) FDs(ctx context.Context, names ...string) (found api.FDs, err error) {
	err = s.get(ctx, "/v1/fds?"+url.Values{"name": names}.Encode(), &found)
	return found, err
}

// Why returns why instances are in their states. The texts are untrusted.
func (s *Supervisor) Why(ctx context.Context, names ...string) (answer api.WhyAnswer, err error) {
	err = s.get(ctx, "/v1/why?"+url.Values{"name": names}.Encode(), &answer)
	return answer, err
}

// Events calls each for the kept events with a number above after. With follow it goes on with new
// events until ctx ends, each returns an error, or the supervisor ends.
func (s *Supervisor) Events(
	ctx context.Context, after uint64, follow bool, each func(api.Event) error,
) error {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}}
	if follow {
		query.Set("follow", "true")
	}
	return s.stream(ctx, http.MethodGet, "/v1/events?"+query.Encode(), nil,
		func(line []byte) error {
			var e api.Event
			if err := json.Unmarshal(line, &e); err != nil {
				return err
			}
			return each(e)
		})
}

// Logs calls each for the lines of output that a query selects. With q.Follow it goes on until ctx
// ends, each returns an error, or the supervisor ends. The text is untrusted.
func (s *Supervisor) Logs(
	ctx context.Context, q api.LogQuery, each func(api.LogLine) error,
) error {
	query := url.Values{"name": q.Names, "last": {strconv.Itoa(q.Last)}}
	if q.Stream != "" {
		query.Set("stream", q.Stream)
	}
	if !q.Since.IsZero() {
		query.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	for name, set := range map[string]bool{"previous": q.Previous, "follow": q.Follow} {
		if set {
			query.Set(name, "true")
		}
	}
	return s.stream(ctx, http.MethodGet, "/v1/logs?"+query.Encode(), nil,
		func(line []byte) error {
			var l api.LogLine
			if err := json.Unmarshal(line, &l); err != nil {
				return err
			}
			return each(l)
		})
}

// Operate does an operation and waits for its end. It calls progress for each step. The error is an
// [*api.Error] if the operation was refused.
func (s *Supervisor) Operate(
	ctx context.Context, op api.Operation, progress func(api.Progress),
) (result api.Result, err error) {
	body, err := json.Marshal(op)
	if err != nil {
		return result, err
	}
	ended := false
	err = s.stream(ctx, http.MethodPost, "/v1/"+string(op.Verb), body, func(line []byte) error {
		var last struct {
			OK *bool `json:"ok"` // only a result has it
		}
		if err := json.Unmarshal(line, &last); err != nil {
			return err
		}
		if last.OK != nil {
			ended = true
			return json.Unmarshal(line, &result)
		}
		var step api.Progress
		if err := json.Unmarshal(line, &step); err != nil {
			return err
		}
		if progress != nil {
			progress(step)
		}
		return nil
	})
	if err == nil && !ended {
		err = errors.New("the connection ended before the result")
	}
	return result, err
}

// Begin starts an operation and does not wait for its end.
func (s *Supervisor) Begin(ctx context.Context, op api.Operation) error {
	body, err := json.Marshal(op)
	if err != nil {
		return err
	}
	resp, err := s.request(ctx, http.MethodPost, "/v1/"+string(op.Verb)+"?wait=false", body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (s *Supervisor) get(ctx context.Context, path string, answer any) error {
	resp, err := s.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer); err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

const maxAnswer = 64 << 20 // bytes; 10,000 instances take about 10 MiB

// request sends a request. An answer that is a problem is an error.
func (s *Supervisor) request(
	ctx context.Context, method, path string, body []byte,
) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, method, "http://supervisor"+path,
		bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(q)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, problemIn(resp)
}

// explain returns why there was no answer.
func (s *Supervisor) explain(ctx context.Context, err error) error {
	var foreign *ForeignError
	switch {
	case errors.As(err, &foreign):
		return foreign
	case ctx.Err() != nil:
		return fmt.Errorf("no answer from the supervisor (pid %d): %w", s.Peer.Pid,
			context.Cause(ctx))
	case errors.Is(err, control.ErrNoSupervisor):
		return fmt.Errorf("the supervisor (pid %d) has ended", s.Peer.Pid)
	case isDisconnect(err):
		return refusedBy(s.Peer, err)
	}
	return fmt.Errorf("cannot ask the supervisor (pid %d): %w", s.Peer.Pid, err)
}

// stream sends a request and calls each for every line of the answer.
func (s *Supervisor) stream(
	ctx context.Context, method, path string, body []byte, each func(line []byte) error,
) error {
	resp, err := s.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var line json.RawMessage
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.explain(ctx, err)
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
