package probe

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"regexp"
	"testing"
	"time"

	"tp0/supervisor/termtext"
)

// answer is a connection whose peer has sent bytes and then closed.
type answer struct {
	net.Conn // nil: the reader of answers uses no other method
	*bytes.Reader
}

func (a answer) Read(b []byte) (int, error)      { return a.Reader.Read(b) }
func (a answer) SetReadDeadline(time.Time) error { return nil }

// FuzzHTTPAnswer reads an answer of any bytes. A probe succeeds only if a status from 200 to 399 is
// in the answer, and it reads a bounded number of bytes.
func FuzzHTTPAnswer(f *testing.F) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"HTTP/1.0 503 \x1b[2J\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\nLocation: http://[::1\n\n", "\x00"} {
		f.Add([]byte(text))
	}
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
	if err != nil {
		f.Fatal(err)
	}
	good := regexp.MustCompile(`HTTP/[0-9]+\.[0-9]+ +[23][0-9][0-9]`)
	f.Fuzz(func(t *testing.T, sent []byte) {
		a := answer{Reader: bytes.NewReader(sent)}
		err := readAnswer(context.Background(), a, request)
		if err == nil && !good.Match(sent) {
			t.Errorf("success with the answer %.200q", sent)
		}
		if read := len(sent) - a.Len(); read > maxHeaders+maxBody {
			t.Errorf("read %d bytes, want %d at most", read, maxHeaders+maxBody)
		}
	})
}

// FuzzLines matches any output with any expression. The result does not depend on how the output is
// cut into blocks of lines, and a match at the beginning of a line is always found.
func FuzzLines(f *testing.F) {
	f.Add("ready", []byte("starting\r\nready\n"))
	f.Add("^listening on [0-9]+$", []byte("\x1b[1mlistening on 80\x1b[0m\n"))
	f.Add("^100%", []byte("10%\r50%\r100%\r"))
	f.Add("(?i)x{1,9}$", bytes.Repeat([]byte("x\xff"), maxLine))
	f.Fuzz(func(t *testing.T, pattern string, block []byte) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern) > 64 || len(block) > 4*maxLine {
			return
		}
		whole, lines := NewLineMatcher(re), NewLineMatcher(re)
		whole.Match(block)
		found := false
		for line := range bytes.Lines(block) {
			lines.Match(line)
			text := termtext.Plain(bytes.TrimRight(line, "\r\n"))
			found = found || re.Match(text[:min(len(text), maxLine)])
		}
		if whole.Matched() != lines.Matched() {
			t.Errorf("matched is %v, and %v line by line", whole.Matched(), lines.Matched())
		}
		if found && !lines.Matched() {
			t.Errorf("%q did not match, although a line of %.200q does", pattern, block)
		}
		if whole.Pending() == whole.Matched() {
			t.Error("a line is waited for although one has matched, or the other way round")
		}
	})
}
