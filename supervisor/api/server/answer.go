package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
)

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
	streamType  = "application/x-ndjson"
)

// answerTimeout is the time for the answer to a request that is no stream.
const answerTimeout = 5 * time.Second

// problem is an error as the body of an answer.
type problem struct{ api.Problem }

// JSON returns the body.
func (p problem) JSON() []byte {
	b, err := json.Marshal(p.Problem)
	if err != nil {
		return []byte("{}") // cannot happen: the fields are strings and a number
	}
	return append(b, '\n')
}

var tooMany = problem{(&api.Error{Kind: api.TooMany, Detail: "your user or process has too many " +
	"connections to the control socket. Close some of them, and try again"}).Problem()}

// sendOnce writes to a socket without waiting.
func sendOnce(fd int, b []byte) { _ = unix.Send(fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) }

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// writeError answers with an error as a problem.
func writeError(w http.ResponseWriter, err error) {
	p := problem{asError(err).Problem()}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.JSON())
}

// asError returns the error of the API that an error is.
func asError(err error) *api.Error {
	var e *api.Error
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &large):
		return &api.Error{Kind: api.TooLarge, Detail: "the body is larger than 64 KiB"}
	case errors.Is(err, context.DeadlineExceeded):
		return &api.Error{
			Kind: api.Unavailable, Detail: "the supervisor does not answer in time",
		}
	case errors.Is(err, context.Canceled):
		return &api.Error{Kind: api.Unavailable, Detail: "the supervisor ends"}
	}
	return &api.Error{Kind: api.Internal, Detail: err.Error()}
}

// withLists returns a difference without nil slices, for which JSON has null.
func withLists(d api.Difference) api.Difference {
	for _, names := range []*[]string{&d.Added, &d.Removed, &d.Changed, &d.Kept} {
		if *names == nil {
			*names = []string{}
		}
	}
	return d
}

// isSet reports whether a parameter is there and not false.
func isSet(query map[string][]string, name string) bool {
	values, ok := query[name]
	return ok && !slices.Contains([]string{"false", "0"}, strings.ToLower(values[0]))
}
