package api

import (
	"net/http"
	"time"
	"unicode/utf8"
)

// Identity says which supervisor answers. A client compares it with what it looks for, because
// every process can open an abstract socket.
type Identity struct {
	ID      string `json:"id"` // random, of this start: two sockets of one supervisor have the same
	Pid     int    `json:"pid"`
	Version string `json:"version"`
	Config  string `json:"config"` // the absolute path as given
	// ConfigBytes is Config if it is not valid UTF-8, which JSON cannot express.
	ConfigBytes []byte `json:"config_bytes,omitempty"`
	// Only are the children and instances that it runs. It is empty if it runs all.
	Only []string `json:"only,omitempty"`
}

// WithConfig returns the identity with the path of a configuration.
func (i Identity) WithConfig(path string) Identity {
	i.Config, i.ConfigBytes = path, nil
	if !utf8.ValidString(path) {
		i.ConfigBytes = []byte(path)
	}
	return i
}

// ConfigPath returns the path of the configuration byte by byte.
func (i *Identity) ConfigPath() string {
	if len(i.ConfigBytes) > 0 {
		return string(i.ConfigBytes)
	}
	return i.Config
}

// Health is the answer to a health check that succeeds. One that fails is a problem of the kind
// [Unhealthy] with the reason as its detail.
type Health struct {
	OK   bool   `json:"ok"`
	Note string `json:"note,omitempty"` // a warning beside a good state
}

// Event is one fact, as the log has it.
type Event struct {
	Seq     uint64         `json:"seq"` // counts from 1, without gaps
	At      time.Time      `json:"at"`
	Level   string         `json:"level"` // info, warn or error
	Message string         `json:"message"`
	Fields  map[string]any `json:"fields,omitempty"`
	// Missed is the number of events just before this one that the reader did not get, because
	// they are older than the events that are kept.
	Missed uint64 `json:"missed,omitempty"`
}

// Problem is the body of an error: the problem details of RFC 9457.
type Problem struct {
	Type   string `json:"type"` // ProblemType and the kind
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// ProblemType is the prefix of the type of every problem.
const ProblemType = "urn:supervisor:problem:"

// Kinds of errors that concern the request itself, or the health.
const (
	NotFound         ErrorKind = "not-found"          // no such route
	MethodNotAllowed ErrorKind = "method-not-allowed" // the route has other methods
	TooLarge         ErrorKind = "too-large"          // the body or the header
	TooMany          ErrorKind = "too-many"           // the peer has too many connections
	Unhealthy        ErrorKind = "unhealthy"          // the answer to a health check
	Internal         ErrorKind = "internal"           // a fault of the supervisor
)

var statuses = map[ErrorKind]int{
	UnknownName: http.StatusNotFound, BadRequest: http.StatusBadRequest,
	Conflict: http.StatusConflict, Forbidden: http.StatusForbidden,
	Unavailable: http.StatusServiceUnavailable, NotFound: http.StatusNotFound,
	MethodNotAllowed: http.StatusMethodNotAllowed, TooLarge: http.StatusRequestEntityTooLarge,
	TooMany: http.StatusTooManyRequests, Unhealthy: http.StatusServiceUnavailable,
	Internal: http.StatusInternalServerError,
}

// Problem returns the error as the body of an answer.
func (e *Error) Problem() Problem {
	status, ok := statuses[e.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	return Problem{
		Type: ProblemType + string(e.Kind), Title: http.StatusText(status), Status: status,
		Detail: e.Detail,
	}
}
