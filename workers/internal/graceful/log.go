package graceful

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// Levels are the names for SetLevel, from the most to the least verbose: those of Python's logging
// and of common Go loggers.
var Levels = []string{"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL"}

// Log writes lines of the form `action: … | result: … | name: value` after a UTC time and a level.
// Each line is one write. A Log is safe for concurrent use.
type Log struct{ out hclog.Logger }

// NewLog returns a log at level INFO that writes to w.
func NewLog(w io.Writer) *Log {
	return &Log{hclog.New(&hclog.LoggerOptions{
		Output:     w,
		Level:      hclog.Info,
		TimeFormat: "15:04:05.000Z",
		TimeFn:     func() time.Time { return time.Now().UTC() },
	})}
}

// SetLevel drops lines below level, which is one of Levels. It ignores any other name.
func (l *Log) SetLevel(level string) {
	switch i := slices.Index(Levels, level); {
	case i < 0:
	case level == "NOTICE":
		l.out.SetLevel(hclog.Info)
	case level == "CRITICAL":
		l.out.SetLevel(hclog.Error)
	default:
		l.out.SetLevel(hclog.LevelFromString(strings.TrimSuffix(level, "ING")))
	}
}

// Success logs an action that succeeded. fields are alternating names and values. A value is
// printed as by fmt.Sprint, and quoted if it would break the format of the line.
func (l *Log) Success(action string, fields ...any) { l.out.Info(line(action, "success", fields)) }

// Progress logs an action that has started and not ended.
func (l *Log) Progress(action string, fields ...any) {
	l.out.Info(line(action, "in_progress", fields))
}

// Fail logs an action that failed and is not repeated.
func (l *Log) Fail(action string, fields ...any) { l.out.Error(line(action, "fail", fields)) }

// Close closes what and logs the close with the descriptor, if what has one. It returns the error
// of the close.
func (l *Log) Close(resource string, what io.Closer, fields ...any) error {
	fields = append(append([]any{"resource", resource}, Number(what)...), fields...)
	if err := what.Close(); err != nil {
		l.Fail("close", append(fields, "error", err)...)
		return fmt.Errorf("cannot close the %s: %w", resource, err)
	}
	l.Success("close", fields...)
	return nil
}

// Number returns the log field with the descriptor of what, or nil if what has none. Call it while
// what is open.
func Number(what any) (field []any) {
	conn, ok := what.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil
	}
	// An error means that what is closed and has no descriptor.
	_ = raw.Control(func(fd uintptr) { field = []any{"fd", fd} })
	return field
}

func line(action, result string, fields []any) string {
	var b strings.Builder
	b.WriteString("action: " + action + " | result: " + result)
	for pair := range slices.Chunk(fields, 2) {
		fmt.Fprintf(&b, " | %v: %s", pair[0], text(fmt.Sprint(pair[1])))
	}
	return b.String()
}

// text returns value in the form of a log line. It quotes a value that could break the line, add
// fields, control a terminal or be mistaken for a quoted one. strconv.Unquote restores the bytes.
func text(value string) string {
	odd := func(r rune) bool {
		return r == '|' || r == unicode.ReplacementChar ||
			!unicode.IsPrint(r)
	}
	if !strings.ContainsFunc(value, odd) && !strings.HasPrefix(value, `"`) &&
		value == strings.TrimSpace(value) {
		return value
	}
	return strings.ReplaceAll(strconv.Quote(value), "|", `\x7c`)
}
