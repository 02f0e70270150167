package output

import (
	"sync/atomic"
	"testing"
)

// TestPrompt checks that the beginning of a line is observed once after a silence while a line is
// awaited, with the whole line later, and that a close during a silence ends the stream.
func TestPrompt(t *testing.T) {
	s := newTestRelay(t, false)
	seen := make(chan string, 10)
	var awaited atomic.Bool
	awaited.Store(true)
	spec := text("a")
	spec.Lines = func(b []byte) { seen <- string(b) }
	spec.Awaited = awaited.Load
	got := reading(s.out)
	r, out, _ := s.started(spec)
	for _, step := range []struct{ write, want string }{
		{"one\nlogin:", "one\n"},
		{"", "login:"}, // after the silence
		{" ", "login: "},
		{"root\n", "login: root\n"},
		{"$", "$"},
	} {
		out.WriteString(step.write)
		if line := <-seen; line != step.want {
			t.Errorf("observed %q, want %q", line, step.want)
		}
	}
	awaited.Store(false)
	out.WriteString(" more")
	out.WriteString(" and more\n") // a line that is not awaited has no beginning
	if line := <-seen; line != "$ more and more\n" {
		t.Errorf("observed %q", line)
	}
	awaited.Store(true)
	out.WriteString("last")
	r.Close() // the silence may have begun
	waitDone(t, r)
	s.shut()
	if text := got(); text != "[a] one\n[a] login: root\n[a] $ more and more\n[a] last\n" {
		t.Errorf("got %q", text)
	}
}
