package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
)

// NotFoundError says that no supervisor was found.
type NotFoundError struct{ text string }

func (e *NotFoundError) Error() string { return e.text }

// ForeignError says that the process that has a control socket is not believed. Every process can
// open an abstract name.
type ForeignError struct{ reason string }

func (e *ForeignError) Error() string { return e.reason }

// RefusedError says that the supervisor does not answer our user.
type RefusedError struct{ Peer control.Peer }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the supervisor (pid %d) answers only root and its own user (uid %d)",
		e.Peer.Pid, e.Peer.UID)
}

func notSupervisor() error {
	return &ForeignError{"the process that has the control socket is no supervisor of " +
		"this configuration"}
}

// problemIn returns the problem of an answer as an error.
func problemIn(resp *http.Response) error {
	var p api.Problem
	err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&p)
	what, ok := strings.CutPrefix(p.Type, api.ProblemType)
	if err != nil || !ok {
		return fmt.Errorf("the supervisor answered with status %d", resp.StatusCode)
	}
	return &api.Error{Kind: api.ErrorKind(what), Detail: p.Detail}
}

const maxProblem = 64 << 10 // bytes

// isDisconnect reports whether the other end closed the connection.
func isDisconnect(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// refusedBy returns the error for a connection that was closed without an answer.
func refusedBy(p control.Peer, err error) error {
	if uid := os.Geteuid(); uid != 0 && uid != p.UID {
		return &RefusedError{p}
	}
	return fmt.Errorf("no answer from the supervisor (pid %d): it closed the connection: %w",
		p.Pid, err)
}

// WithTimeout returns a context that ends after d. The errors of this package then name d.
func WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, timeoutError(d))
}

// timeoutError is a [context.DeadlineExceeded] with its duration.
type timeoutError time.Duration

func (e timeoutError) Error() string {
	return fmt.Sprintf("the time limit of %v passed", time.Duration(e))
}

// Is implements the interface of [errors.Is].
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }
