package verb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"tp0/supervisor/entrypoint"
	"tp0/supervisor/exitcode"
)

// Output is the standard output of a verb. It keeps its first error, because a verb that loses
// output must not end with exit code 0. Its methods must be called by one goroutine.
type Output struct {
	w   io.Writer
	err error
}

// NewOutput returns an output that writes to w.
func NewOutput(w io.Writer) *Output {
	if w == io.Writer(os.Stdout) && entrypoint.OutputClosed() {
		w = closedOutput{} // os.Stdout is /dev/null, which Go's runtime opened
	}
	return &Output{w: w}
}

// Write writes to the output. It drops p after an error, and returns no error: the verb continues,
// and Finish reports the error. A verb that repeats its output asks Err.
func (o *Output) Write(p []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
	return len(p), nil
}

// Err returns the first error of the output.
func (o *Output) Err() error { return o.err }

// Finish returns the exit code of a verb that ended with code: if output is lost, never 0. It
// prints the error to stderr. If the reader of a pipe has ended, SIGPIPE ended the process before.
func (o *Output) Finish(code int, stderr io.Writer) int {
	if o.err == nil {
		return code
	}
	err := o.err
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	fmt.Fprintf(stderr, "supervisor: cannot write to standard output: %v\n", err)
	if code != exitcode.OK {
		return code
	}
	return exitcode.Failed
}

// closedOutput is a descriptor that is not open.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) { return 0, unix.EBADF }

// AddOutput adds the flag --output.
func AddOutput(f *pflag.FlagSet, output *string) {
	f.StringVarP(output, "output", "o", "text", "print `text` or json")
}

// CheckOutput checks the value of the flag --output.
func CheckOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output is %q: it must be text or json", output)
	}
	return nil
}

// WriteJSON writes a value as one JSON document, indented.
func WriteJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
