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

// Levels are the names that SetLevel takes, the most talkative first: those of Python's logging and
// of the usual Go loggers.
var Levels = []string{"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "CRITICAL"}

// Log writes the lines of the form `action: … | result: … | name: value`. Each is written whole, at
// once, with a UTC time and a level before it. It may be used by many goroutines.
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

// SetLevel drops what is less severe than level, one of Levels; any other name leaves the log as it
// is.
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

// Success tells of an action that was done. fields are names and values by turns; a value is
// printed as fmt.Sprint does, and quoted where it would break the line.
func (l *Log) Success(action string, fields ...any) { l.out.Info(line(action, "success", fields)) }

// Progress tells of an action that has begun and has yet to end.
func (l *Log) Progress(action string, fields ...any) {
	l.out.Info(line(action, "in_progress", fields))
}

// Fail tells of an action that failed for good.
func (l *Log) Fail(action string, fields ...any) { l.out.Error(line(action, "fail", fields)) }

// Close closes what and logs that, with the number of its descriptor if it has one. It returns the
// error of the closing.
func (l *Log) Close(resource string, what io.Closer, fields ...any) error {
	fields = append(append([]any{"resource", resource}, Number(what)...), fields...)
	if err := what.Close(); err != nil {
		l.Fail("close", append(fields, "error", err)...)
		return fmt.Errorf("cannot close the %s: %w", resource, err)
	}
	l.Success("close", fields...)
	return nil
}

// Number is the field with the descriptor of what, if it has one, which has to be asked for while
// it is open.
func Number(what any) (field []any) {
	holder, ok := what.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := holder.SyscallConn()
	if err != nil {
		return nil
	}
	// The error says that it is closed already, and then there is no number.
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

// text is value as it may stand in a line. An ordinary one stands as it is. One that could break
// the line, pass for further fields, do something to a terminal or be taken for a quoted one is
// quoted as Go quotes, so that strconv.Unquote gives the bytes back.
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
