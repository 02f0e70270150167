package output

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/output/retain"
)

// settingsOf returns settings for one instance.
func settingsOf(name string, i InstanceSettings) Settings {
	return Settings{RetainTotal: 1 << 20, Instances: map[string]InstanceSettings{name: i}}
}

// retainedLines returns the lines in memory.
func (s *testRelay) retainedLines(q retain.Query) (got []string) {
	s.t.Helper()
	r, err := s.Lines(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for {
		b, err := r.Next(s.t.Context())
		for l := range b.Lines() {
			got = append(got, fmt.Sprintf("%s/%d %v %.20q %d %t", l.Instance, l.Process, l.Stream,
				l.Text, len(l.Text), l.Partial))
		}
		if err == io.EOF {
			return got
		}
	}
}

// TestRetained checks the lines of two processes of an instance: those of both streams, a long line
// in pieces, a line without an end, and bytes that are no text.
func TestRetained(t *testing.T) {
	for _, format := range []string{formatText, formatJSON, formatRaw} {
		s := newTestRelay(t, true)
		s.Configure(settingsOf("a", InstanceSettings{Retain: 512 << 10}))
		out, log := reading(s.out), reading(s.log)
		for _, text := range []string{
			"one\n\x00\xff\x1b[31m\n", strings.Repeat("x", 150_000) + "\n",
			strings.Repeat("12345678\n", 20_000) + "last",
		} {
			r, o, e := s.started(Spec{Instance: "a", Format: format, Stdout: "stdout",
				Stderr: "stderr"})
			if _, err := o.WriteString(text); err != nil {
				t.Fatal(err)
			}
			o.Close()
			e.Close()
			waitDone(t, r)
		}
		got := s.retainedLines(retain.Query{Last: 3})
		want := []string{
			`a/3 stdout "12345678" 8 false`, `a/3 stdout "12345678" 8 false`,
			`a/3 stdout "last" 4 false`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the last lines are %q", format, got)
		}
		if n := len(s.retainedLines(retain.Query{Last: -1, Previous: true})); n != 20_001 {
			t.Errorf("%s: the last process that ended has %d lines", format, n)
		}
		all := s.retainedLines(retain.Query{Last: -1})
		head := []string{`a/1 stdout "one" 3 false`, `a/1 stdout "\x00\xff\x1b[31m" 7 false`}
		if len(all) < 5 || !slices.Equal(all[:2], head) {
			t.Fatalf("%s: the first lines are %q", format, all[:min(len(all), 3)])
		}
		size := 0
		for _, l := range all[2:] {
			var n int
			var partial bool
			if rest, ok := strings.CutPrefix(l, `a/2 stdout "xxxxxxxxxxxxxxxxxxxx" `); ok {
				fmt.Sscan(rest, &n, &partial)
				size += n
				if partial != (size < 150_000) {
					t.Errorf("%s: after %d bytes partial is %t", format, size, partial)
				}
			}
		}
		if size != 150_000 {
			t.Errorf("%s: %d bytes of the long line are kept", format, size)
		}
		s.shut()
		out()
		log()
	}
}

// TestFollowEndsWithTheRelay checks that a reader gets the lines of a running process, and the end.
func TestFollowEndsWithTheRelay(t *testing.T) {
	s := newTestRelay(t, true)
	s.Configure(settingsOf("a", InstanceSettings{Retain: 1 << 10}))
	out, log := reading(s.out), reading(s.log)
	reader, err := s.Lines(retain.Query{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	_, o, _ := s.started(Spec{Instance: "a", Format: "text", Stdout: "stdout", Stderr: "none"})
	fmt.Fprintln(o, "hello")
	b, err := reader.Next(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for l := range b.Lines() {
		if string(l.Text) != "hello" {
			t.Errorf("got %q", l.Text)
		}
	}
	s.shut()
	if _, err := reader.Next(within(t, 10*time.Second)); err != io.EOF {
		t.Errorf("after the relay: got %v", err)
	}
	out()
	log()
}

// TestInheritHasNoLines checks that the memory has no lines that the relay does not read.
func TestInheritHasNoLines(t *testing.T) {
	s := newTestRelay(t, true)
	s.Configure(settingsOf("a", InstanceSettings{Retain: 1 << 10}))
	r := s.prepare(Spec{Instance: "a", Format: "inherit", Stdout: "stdout", Stderr: "stderr"})
	fd, _ := r.ChildFiles()
	f := duplicate(t, fd)
	r.Started()
	fmt.Fprintln(f, "hello")
	f.Close()
	if got := s.retainedLines(retain.Query{Last: -1}); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

// TestTimestampsAtAReload checks that a new configuration applies to a process that runs.
func TestTimestampsAtAReload(t *testing.T) {
	s := newTestRelay(t, true)
	s.Configure(settingsOf("a", InstanceSettings{Timestamps: true}))
	_, o, _ := s.started(Spec{Instance: "a", Format: "text", Stdout: "stdout", Stderr: "none"})
	line := func(text string) string {
		fmt.Fprintln(o, text)
		b := make([]byte, 100)
		n, err := s.out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	at, rest, _ := strings.Cut(line("one"), " ")
	if _, err := time.Parse(textStamp, at); err != nil || rest != "[a] one\n" {
		t.Errorf("got %q %q (%v)", at, rest, err)
	}
	s.Configure(settingsOf("a", InstanceSettings{}))
	if got := line("two"); got != "[a] two\n" {
		t.Errorf("got %q", got)
	}
}

// TestRetainedFlood checks that the lines in memory are the last ones, without a gap, if a process
// prints more than can be kept. With a reader that follows, more than keepBurst is kept.
func TestRetainedFlood(t *testing.T) {
	const n = 16 * keepBurst / lineWidth
	for _, follow := range []bool{false, true} {
		s := newTestRelay(t, true)
		s.Configure(settingsOf("a", InstanceSettings{Retain: 512 << 10}))
		out, log := reading(s.out), reading(s.log)
		if follow {
			r, err := s.Lines(retain.Query{Follow: true})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
		}
		r := s.prepare(Spec{Instance: "a", Format: "raw", Stdout: "stdout", Stderr: "stderr"})
		wait := s.spawn(r, "lines", nil, fmt.Sprint(n), "1", "m")
		if code := wait(); code != 0 {
			t.Fatalf("the child exited with %d", code)
		}
		waitDone(t, r)
		lines := s.retainedLines(retain.Query{Last: -1})
		if least := keepTail / 2 / lineWidth; len(lines) < least {
			t.Errorf("follow %t: %d lines are kept, want %d at least", follow, len(lines), least)
		}
		for i, l := range lines {
			want := fmt.Sprintf("a/1 stdout \"%.20s\"", numbered("m", n-len(lines)+i))
			if !strings.HasPrefix(l, want) {
				t.Fatalf("follow %t: line %d of %d is %s, want %s", follow, i, len(lines), l, want)
			}
		}
		s.shut()
		out()
		log()
	}
}
