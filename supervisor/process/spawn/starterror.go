package spawn

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// startError says why the start verb could not execute a command. The child sends it to the
// supervisor through the barrier.
type startError struct {
	step  string     // what failed, after "cannot": "change to group 7"
	errno unix.Errno // 0 if the cause is not a system call
	why   string     // the cause in a sentence, where errno does not say it; else empty
}

func (e *startError) Error() string {
	if e.why != "" {
		return "cannot " + e.step + ": " + strings.TrimSuffix(e.why, ".")
	}
	if e.errno == 0 {
		return "cannot " + e.step
	}
	return fmt.Sprintf("cannot %s: %v", e.step, e.errno)
}

// Unwrap lets errors.Is find the errno.
func (e *startError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// stepError returns the startError for the error of a step, nil for a nil error.
func stepError(err error, step string, args ...any) error {
	if err == nil {
		return nil
	}
	e := &startError{step: fmt.Sprintf(step, args...)}
	if !errors.As(err, &e.errno) {
		e.step += ": " + err.Error()
	}
	return e
}

// maxStartError is the size in bytes to which an encoded startError is truncated.
const maxStartError = 2048

// encode returns the error as "errno step", a NUL byte and why.
func (e *startError) encode() []byte {
	text := fmt.Sprintf("%d %s\x00%s", int(e.errno), e.step, e.why)
	return []byte(text[:min(len(text), maxStartError)])
}

// decodeStartError is the inverse of encode.
func decodeStartError(text []byte) *startError {
	number, rest, _ := strings.Cut(string(text), " ")
	step, why, _ := strings.Cut(rest, "\x00")
	errno, _ := strconv.Atoi(number)
	return &startError{step, unix.Errno(errno), why}
}

// executing is the byte that the start verb writes just before it executes the command. If the
// socket ends without this byte, the start verb has died.
const executing = 0

// ErrNotExecuted is the error of a start verb that died before it executed the command.
var ErrNotExecuted = errors.New("the start verb ended before it executed the command")

// receiveStartError waits for the end of the start verb. It returns the error that the start verb
// wrote, or nil if the command was executed.
func receiveStartError(socket io.Reader) error {
	b, _ := io.ReadAll(io.LimitReader(socket, 1+maxStartError))
	switch {
	case len(b) == 0:
		return ErrNotExecuted
	case b[0] != executing:
	case len(b) == 1:
		return nil
	default:
		b = b[1:]
	}
	return decodeStartError(b)
}

// FromStartVerb reports whether the error comes from the start verb: the process was forked, and an
// attribute could not be set or the command could not be executed.
func FromStartVerb(err error) bool {
	var e *startError
	return errors.As(err, &e)
}

// readRetry is read(2), repeated when a signal interrupts it.
func readRetry(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
