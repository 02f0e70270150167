package graceful

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tp0/workers/internal/trial"
)

func TestText(t *testing.T) {
	for value, want := range map[string]string{
		"[CLIENT 1] Message N°1": "[CLIENT 1] Message N°1",
		"":                       "",
		"a: b = 'c' \"d\" \\e":   "a: b = 'c' \"d\" \\e",
		"日本":                     "日本",
		"a|b":                    `"a\x7cb"`,
		"a\nb":                   `"a\nb"`,
		"a\r":                    `"a\r"`,
		"a\tb":                   `"a\tb"`,
		"\x1b[2J":                `"\x1b[2J"`,
		"\xff":                   `"\xff"`,
		"\u202egnp":              `"\u202egnp"`,
		"\u2028":                 `"\u2028"`,
		" a":                     `" a"`,
		"a ":                     `"a "`,
		`"a"`:                    `"\"a\""`,
	} {
		got := text(value)
		if got != want {
			t.Errorf("%q is written as %s, want %s", value, got, want)
		}
		if back, err := strconv.Unquote(got); strings.HasPrefix(got, `"`) &&
			(err != nil || back != value) {
			t.Errorf("%s gives back %q and %v", got, back, err)
		}
	}
}

// FuzzLine looks for a value that breaks a line, or does not come back from it.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{"a | result: fail", "\n", "\"", "\xff|", "°"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var out bytes.Buffer
		NewLog(&out).Success("receive_message", "ip", "127.0.0.1", "msg", value)
		line, ok := strings.CutSuffix(out.String(), "\n")
		if !ok || strings.ContainsAny(line, "\n\r\x1b\x00") {
			t.Errorf("%q makes %q", value, line)
		}
		if err := trial.Check(line); err != nil {
			t.Errorf("%q makes %q: %v", value, line, err)
		}
		_, got, _ := strings.Cut(line, " | msg: ")
		if strings.HasPrefix(got, `"`) {
			unquoted, err := strconv.Unquote(got)
			if err != nil {
				t.Error(err)
			}
			got = unquoted
		}
		if got != value {
			t.Errorf("%q comes back as %q", value, got)
		}
	})
}

func TestLevels(t *testing.T) {
	for level, want := range map[string]string{
		"TRACE": "success in_progress fail", "INFO": "success in_progress fail",
		"NOTICE":  "success in_progress fail",
		"WARNING": "fail", "ERROR": "fail", "CRITICAL": "fail", "": "success in_progress fail",
	} {
		var out bytes.Buffer
		log := NewLog(&out)
		log.SetLevel(level)
		log.Success("a")
		log.Progress("a")
		log.Fail("a")
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, strings.TrimSpace(line[strings.LastIndex(line, ": ")+2:]))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("at %q there is %q, want %q", level, got, want)
		}
	}
}

// TestLinesAreWrittenWhole counts the writes: one a line, however many write at once.
func TestLinesAreWrittenWhole(t *testing.T) {
	var out writes
	log := NewLog(&out)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { log.Success("a", "b", strings.Repeat("c", 10_000)) })
	}
	all.Wait()
	if len(out) != 10 {
		t.Errorf("%d writes, want 10", len(out))
	}
	for _, write := range out {
		if strings.Count(write, "\n") != 1 || !strings.HasSuffix(write, "c\n") {
			t.Errorf("not a line: %q", write)
		}
	}
}

type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p)) // the log writes one at a time
	return len(p), nil
}

func TestClose(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := NewLog(&out)
	fd := file.Fd()
	for _, err := range []error{
		log.Close("config file", file, "path", os.DevNull),
		log.Close("listener", listener, "address", listener.Addr()),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := log.Close("config file", file); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		fmt.Sprintf("action: close | result: success | resource: config file | fd: %d | path: "+
			"/dev/null", fd),
		"action: close | result: success | resource: listener | fd: ",
		"action: close | result: fail | resource: config file | error: close /dev/null: file " +
			"already closed",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("%q, want %q", lines[i], want)
		}
	}
}
