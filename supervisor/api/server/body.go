package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tp0/supervisor/api"
)

const (
	maxBody  = 64 << 10 // bytes
	maxNames = 1000     // of an operation
	maxName  = 256      // bytes
)

func badRequest(format string, args ...any) error {
	return &api.Error{Kind: api.BadRequest, Detail: fmt.Sprintf(format, args...)}
}

// readOperation reads the body of a request. An empty body is an operation without fields.
func readOperation(w http.ResponseWriter, r *http.Request, verb api.Verb) (api.Operation, error) {
	var op api.Operation
	if r.ContentLength > maxBody {
		return op, &http.MaxBytesError{Limit: maxBody}
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(&op)
	if err == nil {
		if _, err = d.Token(); err == nil {
			return op, badRequest("the body has more than one JSON value")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, io.EOF):
	case errors.As(err, &large):
		return op, err
	default:
		return op, badRequest("the body is not an operation: %v", err)
	}
	op.Verb = verb
	op.Names = append(op.Names, r.URL.Query()["name"]...)
	return op, checkOperation(&op)
}

// checkOperation checks the fields that need no knowledge of the instances.
func checkOperation(op *api.Operation) error {
	if err := checkNames(op.Names); err != nil {
		return err
	}
	all := op.Verb == api.Reload || op.Verb == api.Shutdown
	switch {
	case all && len(op.Names) > 0:
		return badRequest("%s takes no names", op.Verb)
	case !all && op.Verb != api.Wait && len(op.Names) == 0:
		return badRequest("%s needs at least one name of a child or an instance", op.Verb)
	case (op.Verb == api.Signal) != (op.Signal != ""):
		return badRequest("the field signal is required for signal, such as SIGHUP, and for no " +
			"other verb")
	case (op.Verb == api.Wait) != (op.For != ""):
		return badRequest("the field for is required for wait, ready or stopped, and for no " +
			"other verb")
	case op.Verb == api.Wait && op.For != "ready" && op.For != "stopped":
		return badRequest("the field for is %.40q: it must be ready or stopped", op.For)
	case op.Verb != api.Shutdown && op.Deadline != 0:
		return badRequest("only shutdown has a deadline")
	case op.Deadline < 0 || op.Deadline > api.Duration(maxDeadline):
		return badRequest("the deadline is %v: it must be between 0s and %v",
			time.Duration(op.Deadline), maxDeadline)
	}
	return nil
}

const maxDeadline = 24 * time.Hour

func checkNames(names []string) error {
	if len(names) > maxNames {
		return badRequest("the request has %d names, at most %d are allowed", len(names), maxNames)
	}
	for _, name := range names {
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, isControl) {
			return badRequest("%.40q is not a name of a child or an instance", name)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
