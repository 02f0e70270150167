package server

import (
	"encoding/json"
	"net/http"
	"time"
)

// writeTimeout is the time for one write. A peer that reads nothing for so long is disconnected.
const writeTimeout = 2 * time.Second

// stream writes an answer of JSON values, one a line.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	started bool
}

// newStream returns a stream. The answer starts with the first value, so that a request which fails
// at once can still be answered with a problem.
func newStream(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w)}
}

// start sends the header.
func (s *stream) start() error {
	if s.started {
		return nil
	}
	s.started = true
	s.w.Header().Set("Content-Type", streamType)
	s.w.WriteHeader(http.StatusOK)
	return s.flush()
}

// write sends a value. The error says that the peer does not read any more.
func (s *stream) write(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write(append(b, '\n')); err != nil {
		return err
	}
	return s.flush()
}

func (s *stream) flush() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return s.control.Flush()
}
