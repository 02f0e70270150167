package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"tp0/supervisor/api"
)

// acceptTime is the time in which an operation that nobody waits for can still be refused.
const acceptTime = 250 * time.Millisecond

// operationHandler answers a request to act. The answer is a stream of the steps and the result.
func operationHandler(verb api.Verb) func(*Server, http.ResponseWriter, *http.Request) {
	return func(s *Server, w http.ResponseWriter, q *http.Request) {
		c := connOf(q)
		if c.foreign {
			writeError(w, &api.Error{Kind: api.Forbidden, Detail: "your process is in another " +
				"pid namespace: over the abstract socket it can read, and not act. Use the " +
				"socket with a path"})
			return
		}
		op, err := readOperation(w, q, verb)
		if err != nil {
			w.Header().Set("Connection", "close") // the rest of the body is not read
			writeError(w, err)
			return
		}
		s.shares.setBusy(c.seat, true)
		op.By = api.Requester{UID: c.peer.UID, Pid: c.peer.Pid, At: time.Now().UTC()}
		if values := q.URL.Query()["wait"]; len(values) > 0 && !isSet(q.URL.Query(), "wait") {
			s.operateInBackground(w, q, op)
			return
		}
		if !s.shares.startStream(c.seat) {
			writeError(w, &api.Error{Kind: api.TooMany, Detail: tooMany.Detail})
			return
		}
		s.operate(w, q, op)
	}
}

// outcome is the end of an operation.
type outcome struct {
	result api.Result
	err    error
}

// begin starts an operation and returns its steps and its end.
func (s *Server) begin(ctx context.Context, op api.Operation) (*steps, <-chan outcome) {
	all, end := newSteps(), make(chan outcome, 1)
	s.loops.Run(func() {
		result, err := s.opt.Orchestrator().Operate(ctx, op, all.put)
		end <- outcome{result, err}
	})
	return all, end
}

// operate answers with the steps of an operation and its result. A peer that goes away ends the
// wait, and the operation goes on.
func (s *Server) operate(w http.ResponseWriter, q *http.Request, op api.Operation) {
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	out := newStream(w)
	// The body has been read: what limits the connection now is that its peer reads.
	_ = out.control.SetReadDeadline(time.Time{})
	all, end := s.begin(ctx, op)
	for {
		select {
		case <-all.ready:
			if writeSteps(out, all) != nil {
				return
			}
		case o := <-end:
			if writeSteps(out, all) == nil {
				writeResult(out, o)
			}
			return
		case <-q.Context().Done():
			select { // the server ends, and Operate with it
			case o := <-end:
				writeResult(out, o)
			case <-time.After(finishTimeout / 2):
			}
			return
		}
	}
}

func writeSteps(out *stream, all *steps) error {
	queue, dropped := all.take()
	for _, step := range queue {
		if err := out.write(step); err != nil {
			return err
		}
	}
	if dropped > 0 {
		return out.write(api.Progress{
			Message: fmt.Sprintf("%d steps are not shown: the client reads too slowly", dropped),
		})
	}
	return nil
}

// writeResult writes the last line. An operation that was refused before its first step is answered
// with a problem.
func writeResult(out *stream, o outcome) {
	switch {
	case o.err == nil:
		if d := o.result.Difference; d != nil {
			lists := withLists(*d)
			o.result.Difference = &lists
		}
		_ = out.write(o.result)
	case out.started:
		_ = out.write(api.Result{Message: asError(o.err).Detail})
	default:
		_ = out.control.SetWriteDeadline(time.Now().Add(writeTimeout))
		writeError(out.w, o.err)
	}
}

// operateInBackground answers 202 once the operation has its first step, or after acceptTime. An
// operation that is refused before is answered with its error.
func (s *Server) operateInBackground(
	w http.ResponseWriter, q *http.Request, op api.Operation,
) {
	if !s.shares.startBackground() {
		writeError(w, &api.Error{Kind: api.TooMany, Detail: "too many operations are under way " +
			"that nobody waits for. Try again once one has ended"})
		return
	}
	all, end := newSteps(), make(chan outcome, 1)
	s.loops.Run(func() {
		defer s.shares.endBackground()
		result, err := s.opt.Orchestrator().Operate(s.ctx, op, all.put)
		end <- outcome{result, err}
	})
	select {
	case o := <-end:
		if o.err != nil {
			writeError(w, o.err)
			return
		}
		writeJSON(w, http.StatusOK, o.result)
	case <-all.ready:
		accepted(w)
	case <-time.After(acceptTime):
		accepted(w)
	case <-q.Context().Done():
	}
}

func accepted(w http.ResponseWriter) {
	writeJSON(w, http.StatusAccepted, api.Result{OK: true, Message: "accepted"})
}
