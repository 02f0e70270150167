package output

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func text(instance string) Spec {
	return Spec{Instance: instance, Format: formatText, Stdout: "stdout", Stderr: "stdout"}
}

func TestFormatsEndToEnd(t *testing.T) {
	for _, c := range []struct {
		format, want string
	}{
		{"text", "[a] one\n[a] \\x1b[1mtwo\r\n[a] rest\n"},
		{"raw", "one\n\x1b[1mtwo\r\nrest"},
		{"json", `{"@module":"a","stream":"stdout","@message":"one"}
{"@module":"a","stream":"stdout","@message":"\u001b[1mtwo\r"}
{"@module":"a","stream":"stdout","@message":"rest"}
`},
	} {
		for _, blocking := range []bool{true, false} {
			t.Run(fmt.Sprint(c.format, " blocking=", blocking), func(t *testing.T) {
				s := newTestRelay(t, blocking)
				got := reading(s.out)
				before := time.Now().Truncate(time.Microsecond)
				r, out, log := s.started(Spec{Instance: "a", Format: c.format, Stdout: "stdout",
					Stderr: "none"})
				out.WriteString("one\n\x1b[1mt")
				out.WriteString("wo\r\nrest")
				out.Close()
				log.WriteString("for noLedger\n")
				log.Close()
				waitDone(t, r)
				if tail := fmt.Sprintf("%q", r.Tail()); tail != `["one" "\x1b[1mtwo" "rest"]` {
					t.Errorf("tail: %s", tail)
				}
				s.shut()
				text := got()
				if c.format == "json" {
					text = withoutStamps(t, text, before)
				}
				if text != c.want {
					t.Errorf("got  %q\nwant %q", text, c.want)
				}
			})
		}
	}
}

// withoutStamps checks the times and removes them.
func withoutStamps(t *testing.T, text string, before time.Time) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		var object struct {
			Stamp string `json:"@timestamp"`
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		stamp, err := time.Parse(time.RFC3339Nano, object.Stamp)
		if err != nil || len(object.Stamp) != len("2006-01-02T15:04:05.000000Z") ||
			stamp.Before(before) || stamp.After(time.Now()) {
			t.Errorf("time %q: %v", object.Stamp, err)
		}
		out.WriteString(strings.Replace(line, `"@timestamp":"`+object.Stamp+`",`, "", 1))
	}
	return out.String()
}

// checker finds numbered lines that are missing, duplicated, split or out of order.
type checker struct {
	prefix func(mark string) string
	next   map[string]int
	lines  int
	gaps   int // missing lines
	bad    []string
}

func (c *checker) line(line []byte) {
	c.lines++
	_, body, _ := bytes.Cut(line, []byte("] "))
	mark, _, _ := bytes.Cut(body, []byte(" "))
	var i int
	if _, err := fmt.Sscanf(string(body), string(mark)+" %d", &i); err != nil ||
		string(line) != c.prefix(string(mark))+string(numbered(string(mark), i)) ||
		i < c.next[string(mark)] {
		c.bad = append(c.bad, string(line))
		return
	}
	c.gaps += i - c.next[string(mark)]
	c.next[string(mark)] = i + 1
}

// countLines counts the lines of one mark, which must be complete. It is fast enough for a million.
func countLines(t *testing.T, f io.Reader, prefix, mark string) int {
	r := bufio.NewReaderSize(f, 1<<20)
	want := append([]byte(prefix), numbered(mark, 0)...)
	digits := want[len(prefix)+len(mark)+1:]
	n := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if len(line) > 0 {
				t.Errorf("the last line is incomplete: %q", line)
			}
			return n
		}
		if !bytes.Equal(line, want) {
			t.Errorf("line %d is %q", n, line)
			return n
		}
		n++
		increment(digits)
	}
}

func TestMillionLines(t *testing.T) {
	const million = 1_000_000
	s := newTestRelay(t, true)
	count := make(chan int)
	go func() { count <- countLines(t, s.out, "[a] ", "m") }()
	r := s.prepare(text("a"))
	start := time.Now()
	code := s.spawn(r, "lines", nil, fmt.Sprint(million), "1", "m")()
	<-r.Done() // bounded by the timeout of the test
	s.shut()
	if n := <-count; n != million || code != 0 {
		t.Errorf("got %d of %d lines and exit code %d", n, million, code)
	}
	t.Logf("%d lines in %v", million, time.Since(start))
	if lines, _ := s.drops.sum(); lines != 0 {
		t.Errorf("got %d dropped lines, want none", lines)
	}
}

func TestEightStreams(t *testing.T) {
	const each = 10_000
	s := newTestRelay(t, false)
	c := &checker{next: map[string]int{}, prefix: func(mark string) string {
		return "[i" + mark[:1] + "] "
	}}
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		lines := bufio.NewReader(s.out)
		for {
			line, err := lines.ReadBytes('\n')
			if len(line) > 0 {
				c.line(line)
			}
			if err != nil {
				return
			}
		}
	}()
	var writers sync.WaitGroup
	for i := range 4 {
		r, out, log := s.started(text(fmt.Sprint("i", i)))
		for name, f := range map[string]*os.File{"o": out, "e": log} {
			writers.Go(func() {
				defer f.Close()
				var block []byte
				for n := range each {
					block = append(block, numbered(fmt.Sprint(i, name), n)...)
					if len(block) > n%9000 { // writes end within a line
						f.Write(block[:len(block)*2/3])
						block = block[:copy(block, block[len(block)*2/3:])]
					}
				}
				f.Write(block)
			})
		}
		defer waitDone(t, r)
	}
	writers.Wait()
	waitAll(t, s)
	s.shut()
	<-checked
	if c.lines != 8*each || c.gaps != 0 || len(c.bad) != 0 || len(c.next) != 8 {
		t.Errorf("%d lines of %d, %d missing, %d bad: %.300q", c.lines, 8*each, c.gaps, len(c.bad),
			c.bad)
	}
}

func waitAll(t *testing.T, s *testRelay) {
	t.Helper()
	s.mu.Lock()
	var runs []*ChildOutput
	for r := range s.children {
		runs = append(runs, r)
	}
	s.mu.Unlock()
	for _, r := range runs {
		waitDone(t, r)
	}
}

// TestBlockedReader checks that a reader that does not read does not block a child, that the lost
// lines are counted, and that whole lines are delivered once it reads again.
func TestBlockedReader(t *testing.T) {
	const n = 60_000 // 6 MB: more than the pipes and the queue can hold
	for _, blocking := range []bool{true, false} {
		t.Run(fmt.Sprint("blocking=", blocking), func(t *testing.T) {
			s := newTestRelay(t, blocking)
			r := s.prepare(text("a"))
			if code := s.spawn(r, "lines", nil, fmt.Sprint(n), "1", "m")(); code != 0 {
				t.Errorf("got exit code %d, want 0", code)
			}
			waitDone(t, r)
			if first := s.drops.list()[0]; first.reason != "stalled" || first.dest != "stdout" ||
				first.lines == 0 {
				t.Errorf("got the first report %+v", first)
			}
			got := reading(s.out)
			if err := s.Flush(within(t, 10*time.Second)); err != nil {
				t.Error(err)
			}
			after, out, _ := s.started(Spec{Instance: "b", Format: "text", Stdout: "stdout",
				Stderr: "none"})
			out.WriteString("resumed\n")
			out.Close()
			waitDone(t, after)
			s.shut()

			c := &checker{next: map[string]int{}, prefix: func(string) string { return "[a] " }}
			text, ok := strings.CutSuffix(got(), "[b] resumed\n")
			if !ok {
				t.Error("delivery did not resume")
			}
			for line := range strings.Lines(text) {
				c.line([]byte(line))
			}
			lines, size := s.drops.sum()
			if len(c.bad) != 0 || c.lines+int(lines) != n || size != lines*(lineWidth+4) {
				t.Errorf("%d lines were relayed, %d (%d bytes) dropped, of %d; bad: %.300q",
					c.lines, lines, size, n, c.bad)
			}
		})
	}
}

// TestReaderGone checks that a reader that is gone is reported once at once, and again at the end
// with the later losses.
func TestReaderGone(t *testing.T) {
	const n = 20_000
	s := newTestRelay(t, true)
	s.out.Close()
	r, out, _ := s.started(Spec{Instance: "a", Format: "text", Stdout: "stdout", Stderr: "none"})
	out.WriteString("first\n")
	<-s.drops.first
	for i := range n {
		out.Write(numbered("m", i))
	}
	out.Close()
	waitDone(t, r)
	if err := s.Flush(within(t, time.Second)); err != nil {
		t.Errorf("flush of a broken sink returned %v", err)
	}
	if got := s.drops.list(); len(got) != 1 || got[0] != (drop{"stdout", 1, 10, "broken pipe"}) {
		t.Errorf("got the reports %+v before the close", got)
	}
	s.shut()
	if got := s.drops.list(); len(got) != 2 ||
		got[1] != (drop{"stdout", n, n * (lineWidth + 4), "broken pipe"}) {
		t.Errorf("got the reports %+v", got)
	}
}

// TestBrokenPipe checks that broken pipes as 1 and 2 do not kill the process, whether signal.Notify
// is called for SIGPIPE or not.
func TestBrokenPipe(t *testing.T) {
	for _, mode := range []string{"notify", "plain"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command("/proc/self/exe", mode)
		cmd.Env = environ("relay")
		cmd.Stdout = w
		r2, w2, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r2.Close()
		cmd.Stderr = w2
		err = cmd.Run()
		w.Close()
		w2.Close()
		if code := cmd.ProcessState.ExitCode(); code != 7 {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestLongLine(t *testing.T) {
	const size = 3 << 20 // more than a queue can hold
	line := strings.Repeat("0123456789日", size/13)
	for _, format := range []string{"text", "json", "raw"} {
		t.Run(format, func(t *testing.T) {
			s := newTestRelay(t, true)
			got := reading(s.out)
			r, out, _ := s.started(Spec{Instance: "a", Format: format, Stdout: "stdout",
				Stderr: "none"})
			out.WriteString(line + "\nshort\n")
			out.Close()
			waitDone(t, r)
			s.shut()
			text := got()
			if format == "raw" {
				if text != line+"\nshort\n" {
					t.Errorf("got %d bytes, want %d", len(text), len(line)+7)
				}
				return
			}
			whole, pieces := joined(t, format, text)
			if whole != line+"\nshort\n" {
				t.Errorf("got %d bytes, want %d", len(whole), len(line)+7)
			}
			if pieces < size/maxLine || pieces > size/maxLine+3 {
				t.Errorf("got %d pieces", pieces)
			}
		})
	}
}

// joined removes the format and joins the pieces of split lines.
func joined(t *testing.T, format, text string) (whole string, pieces int) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if format == "text" {
			line = strings.TrimPrefix(line, "[a] ")
			if part, ok := strings.CutSuffix(line, "…\n"); ok {
				line = part
				pieces++
			}
			b.WriteString(line)
			continue
		}
		var object struct {
			Message string `json:"@message"`
			Partial bool
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		b.WriteString(object.Message)
		if object.Partial {
			pieces++
		} else {
			b.WriteByte('\n')
		}
	}
	return b.String(), pieces + 1
}

// TestLineInTwoReads checks that a stream keeps the beginning of a line while it waits.
func TestLineInTwoReads(t *testing.T) {
	s := newTestRelay(t, true)
	got := bufio.NewReader(s.out)
	r, out, _ := s.started(Spec{Instance: "a", Format: "text", Stdout: "stdout", Stderr: "none"})
	for _, size := range []int{1, 100, maxIdleLine, maxIdleLine + 1, maxLine - 3, 5} {
		begin := strings.Repeat("x", size)
		out.WriteString(begin)
		waitQuiet(t, r)
		out.WriteString("end\n")
		if line, err := got.ReadString('\n'); err != nil || line != "[a] "+begin+"end\n" {
			t.Errorf("%d bytes and a newline: got %.20q… of %d bytes, %v", size, line,
				len(line), err)
		}
	}
}

// TestCloseQuiet checks that a close ends streams that have no goroutine, and relays what was
// written just before it.
func TestCloseQuiet(t *testing.T) {
	s := newTestRelay(t, true)
	got := reading(s.out)
	unused, _, _ := s.started(text("a"))
	used, out, _ := s.started(text("b"))
	out.WriteString("line\n")
	waitQuiet(t, unused)
	waitQuiet(t, used)
	out.WriteString("rest\n")
	for _, r := range []*ChildOutput{unused, used} {
		r.Close()
		waitDone(t, r)
	}
	s.shut()
	if text := got(); text != "[b] line\n[b] rest\n" {
		t.Errorf("got %q", text)
	}
}

// TestCloseWithOpenPipe checks that Close ends the streams and relays what is in the pipes,
// although a descendant has the other ends open.
func TestCloseWithOpenPipe(t *testing.T) {
	s := newTestRelay(t, true)
	got := reading(s.out)
	r := s.prepare(text("a"))
	held, let, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	wait := s.spawn(r, "parent", held)
	held.Close()
	if code := wait(); code != 0 {
		t.Errorf("got exit code %d of the parent, want 0", code)
	}
	// Wait until the line of the parent was read. The timeout of the test bounds the loop.
	for len(r.Tail()) == 0 {
		runtime.Gosched()
	}
	select {
	case <-r.Done():
		t.Error("the output ended although a process has the pipe open")
	default:
	}
	r.Close()
	r.Close()
	waitDone(t, r)
	s.shut()
	let.Close() // ends keep-stdout
	text := got()
	if want := "[a] the parent is done\n"; !strings.HasPrefix(text, want) {
		t.Errorf("got %q", text)
	}
}

// TestCloseDrains checks that Close relays what is in the pipe, also if it is called before
// Started.
func TestCloseDrains(t *testing.T) {
	s := newTestRelay(t, true)
	got := reading(s.out)
	r := s.prepare(text("a"))
	fd, _ := r.ChildFiles()
	out := duplicate(t, fd)
	s.ours = append(s.ours, out)
	// a child may change the size
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, 256<<10); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for i := range 2000 {
		out.Write(numbered("m", i))
		want.WriteString("[a] " + string(numbered("m", i)))
	}
	out.WriteString("rest")
	want.WriteString("[a] rest\n")
	r.Close()
	r.Started()
	waitDone(t, r)
	if _, err := out.WriteString("too late\n"); !errors.Is(err, unix.EPIPE) {
		t.Errorf("a write after the close returned %v", err)
	}
	s.shut()
	if text := got(); text != want.String() {
		t.Errorf("got %d bytes, want %d", len(text), want.Len())
	}
}

// TestCloseDuringFlood closes an output whose process writes without pause, and whose sink is
// blocked.
func TestCloseDuringFlood(t *testing.T) {
	s := newTestRelay(t, true)
	r, out, _ := s.started(text("a"))
	flooding := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		lines := []byte(strings.Repeat("x\n", 32<<10)) // faster to write than to relay
		for i := 0; ; i++ {
			if _, err := out.Write(lines); err != nil {
				return
			}
			if i == 5 { // the pipe and a part of the queue are full
				close(flooding)
			}
		}
	}()
	<-flooding
	r.Close()
	waitDone(t, r)
	<-stopped
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s.closed = true
	err := s.Close(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "bytes left") {
		t.Errorf("Close returned %v while the reader does not read, want a deadline error", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("Close took %v", d)
	}
	for _, snk := range s.std {
		<-snk.gone // its poll(2) was interrupted
	}
	if got := s.drops.list(); len(got) == 0 || got[len(got)-1].reason != reasonEnded {
		t.Errorf("got the reports %+v", got)
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("the second Close returned %v", err)
	}
	for _, dest := range []string{"stdout", filepath.Join(t.TempDir(), "log")} {
		if _, err := s.Prepare(Spec{Instance: "b", Format: "text", Stdout: dest,
			Stderr: dest}); !errors.Is(err, errClosed) {
			t.Errorf("Prepare after Close returned %v", err)
		}
		if _, err := os.Stat(dest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Prepare after Close created a file")
		}
	}
}

// TestStuckWriter checks that endWriters does not wait for a write that does not return.
func TestStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		h := &Relay{sinkSet: &sinkSet{}}
		lost := drops{first: make(chan struct{})}
		ok := newSink("stderr", nil, nil)
		ok.to = &fakeTarget{take: gated(nil, ok.quit)}
		bad := newSink("stdout", &fakeTarget{take: gated(nil, stuck)}, lost.add)
		h.std, h.sinks = [2]*sink{bad, ok}, []*sink{bad, ok}
		for _, s := range h.sinks {
			go s.write()
		}
		h.Writer("stdout").Write([]byte("stuck\n"))
		h.Writer("stderr").Write([]byte("not\n"))
		synctest.Wait()
		start := time.Now()
		err := endWriters(t.Context(), h.sinks)
		if err == nil || strings.Contains(err.Error(), "stderr") ||
			!strings.Contains(err.Error(), "writer of stdout") {
			t.Errorf("the error is %v", err)
		}
		if d := time.Since(start); d != writerTimeout {
			t.Errorf("Close took %v", d)
		}
		want := drop{"stdout", 1, 6, reasonEnded}
		if got := lost.list(); len(got) != 1 || got[0] != want {
			t.Errorf("the losses are %v, want %v", got, want)
		}
		close(stuck)
		<-bad.gone
		if got := lost.list(); len(got) != 1 {
			t.Errorf("the loss is reported twice: %v", got)
		}
	})
}

// TestUnscheduledWriter checks that endWriters waits for a writer that is in no write and has not
// been scheduled: all of its lines are written.
func TestUnscheduledWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late = 10 * writerTimeout
		s := newSink("stdout", &fakeTarget{}, nil)
		s.retire = func() bool {
			time.Sleep(late) // in place of a scheduler that runs other threads
			return false
		}
		go s.write()
		synctest.Wait()
		start := time.Now()
		err := endWriters(t.Context(), []*sink{s})
		if err != nil || time.Since(start) != late {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		s = newSink("stdout", &fakeTarget{}, nil)
		go s.write()
		if endWriters(over, []*sink{s}) != nil {
			t.Error("a writer without work got no time to end")
		}
	})
}

// TestRelayCloseEndsOutputs checks that the close of a relay closes the open outputs.
func TestRelayCloseEndsOutputs(t *testing.T) {
	s := newTestRelay(t, false)
	got := reading(s.out)
	r, out, _ := s.started(text("a"))
	out.WriteString("last line")
	s.shut()
	waitDone(t, r)
	if text := got(); text != "[a] last line\n" {
		t.Errorf("got %q", text)
	}
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := newTestRelay(t, false)
	spec := Spec{Instance: "a", Format: "text", Stdout: path, Stderr: path}
	a, aOut, aLog := s.started(spec)
	spec.Instance, spec.Stderr = "b", "none"
	b, bOut, _ := s.started(spec)
	if n := len(s.allSinks()); n != 3 {
		t.Errorf("got %d sinks, want 3: both outputs share one file", n)
	}
	aOut.WriteString("1\n")
	aOut.Close()
	aLog.WriteString("2\n")
	aLog.Close()
	waitDone(t, a)
	if !s.ledger.has("file " + path) {
		t.Error("the file was closed although an output uses it")
	}
	bOut.WriteString("3")
	bOut.Close()
	waitDone(t, b)
	for s.ledger.has("file "+path) || len(s.allSinks()) > 2 { // the writer ends after the last byte
		runtime.Gosched()
	}
	checkFile(t, path, "[a] 1\n", "[a] 2\n", "[b] 3\n")

	c, cOut, _ := s.started(spec)
	cOut.WriteString("4\n")
	cOut.Close()
	waitDone(t, c)
	s.shut()
	checkFile(t, path, "[a] 1\n", "[a] 2\n", "[b] 3\n", "[b] 4\n")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm()&^0o640 != 0 {
		t.Errorf("got the file mode %v and error %v", st.Mode(), err)
	}
}

// checkFile checks the lines of a file. The first two are of two streams and in any order.
func checkFile(t *testing.T, path string, lines ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(lines, "")
	lines[0], lines[1] = lines[1], lines[0]
	if string(text) != want && string(text) != strings.Join(lines, "") {
		t.Errorf("got %q in the file, want %q", text, want)
	}
}

func TestFullDisk(t *testing.T) {
	s := newTestRelay(t, false)
	r, out, _ := s.started(Spec{Instance: "a", Format: "text", Stdout: "/dev/full", Stderr: "none"})
	out.WriteString("no room\n")
	<-s.drops.first
	if got := s.drops.list()[0]; got != (drop{"/dev/full", 0, 0, "no space left on device"}) {
		t.Errorf("got the reports %+v", got)
	}
	out.Close()
	waitDone(t, r)
	s.closed = true
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); err == nil || !strings.Contains(err.Error(),
		"cannot flush /dev/full, 12 bytes left") {
		t.Errorf("Close returned %v", err)
	}
	if got := s.drops.list(); len(got) != 2 || got[1] != (drop{"/dev/full", 1, 12, reasonEnded}) {
		t.Errorf("got the reports %+v", got)
	}
}

func TestPrepareErrors(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "good")
	for _, c := range []struct {
		spec Spec
		want error // or its text
		text string
	}{
		{Spec{Format: "xml", Stdout: "stdout", Stderr: "stdout"}, nil, `unknown format "xml"`},
		{Spec{Format: "text", Stdout: "stdout"}, nil, "no destination for stderr"},
		{Spec{Format: "text", Stdout: good, Stderr: filepath.Join(dir, "no", "such")},
			fs.ErrNotExist, ""},
		{Spec{Format: "text", Stdout: "stdout", Stderr: fifo}, unix.ENXIO, ""},
		{Spec{Format: "inherit", Stdout: "none", Stderr: dir}, unix.EISDIR, ""},
	} {
		s := newTestRelay(t, false)
		c.spec.Instance = "a"
		_, err := s.Prepare(c.spec)
		if err == nil || c.want != nil && !errors.Is(err, c.want) ||
			!strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.spec, err)
		}
		s.shut()
		if n := len(s.ledger.open); n != 0 {
			t.Errorf("%+v leaks %v", c.spec, s.ledger.open)
		}
	}
}

// TestPrepareWithoutDescriptors checks that Prepare fails without free descriptors, and closes
// those that it opened.
func TestPrepareWithoutDescriptors(t *testing.T) {
	s := newTestRelay(t, false)
	if err := s.poller.open(); err != nil { // it needs a descriptor and stays open
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	lowest := duplicate(t, 0)
	top := int(lowest.Fd())
	lowest.Close()
	before := descriptors(t)
	failed := 0
	for room := range 6 {
		limit := old
		limit.Cur = uint64(top + room)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		r, err := s.Prepare(Spec{Instance: "a", Format: "text", Stdout: path, Stderr: "stdout"})
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			if !errors.Is(err, unix.EMFILE) {
				t.Error(err)
			}
			failed++
		} else {
			r.Started()
			waitDone(t, r)
		}
		for s.ledger.has("file " + path) {
			runtime.Gosched()
		}
		if after := descriptors(t); after != before {
			t.Errorf("with %d free descriptors, before and after:\n%s\n%s", room, before, after)
		}
	}
	if failed != 5 {
		t.Errorf("%d of 6 calls failed, want 5: a file and two pipes need 5 descriptors", failed)
	}
}

func TestInherit(t *testing.T) {
	s := newTestRelay(t, true)
	got, gotLog := reading(s.out), reading(s.log)
	path := filepath.Join(t.TempDir(), "log")
	r := s.prepare(Spec{Instance: "a", Format: "inherit", Stdout: "stderr", Stderr: "stdout"})
	if a, b := r.ChildFiles(); a != number(s.opt.Stderr) || b != number(s.opt.Stdout) {
		t.Errorf("got the descriptors %d and %d for the child", a, b)
	}
	if code := s.spawn(r, "lines", nil, "1", "1", "m")(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	waitDone(t, r)

	r = s.prepare(Spec{Instance: "b", Format: "inherit", Stdout: path, Stderr: "none"})
	a, b := r.ChildFiles()
	for _, fd := range []int{a, b} {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("got flags %#[2]o of descriptor %[1]d, error %[3]v", fd, flags, err)
		}
	}
	unix.Write(a, []byte("itself\n"))
	r.Started()
	waitDone(t, r)
	if text, err := os.ReadFile(path); string(text) != "itself\n" {
		t.Errorf("got %q in the file, error %v", text, err)
	}
	s.shut()
	if a, b := got(), gotLog(); a != "" || b != string(numbered("m", 0)) {
		t.Errorf("got %q on stdout and %q on stderr", a, b)
	}
}

// TestOnlyOurEndIsNonBlocking checks the flags of both ends of a pipe.
func TestOnlyOurEndIsNonBlocking(t *testing.T) {
	s := newTestRelay(t, false)
	r := s.prepare(text("a"))
	out, _ := r.ChildFiles()
	for fd, want := range map[int]int{out: 0, r.streams[0].fd: unix.O_NONBLOCK} {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != want {
			t.Errorf("got flags %#[2]o of descriptor %[1]d, error %[3]v", fd, flags, err)
		}
		flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec: %v", fd, err)
		}
	}
	if !s.ledger.has("pipe a stdout") || !s.ledger.has("pipe a stderr") {
		t.Errorf("got the ledger %v", s.ledger.open)
	}
	r.Started()
	waitDone(t, r)
}

// TestInheritedFlags checks that the flags of inherited descriptors, which are shared, are
// unchanged.
func TestInheritedFlags(t *testing.T) {
	for _, blocking := range []bool{true, false} {
		s := newTestRelay(t, blocking)
		got := reading(s.out)
		r, out, _ := s.started(text("a"))
		out.WriteString("x\n")
		out.Close()
		s.ours[len(s.ours)-1].Close()
		waitDone(t, r)
		if err := s.Flush(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		flags, err := unix.FcntlInt(uintptr(number(s.opt.Stdout)), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 == blocking {
			t.Errorf("blocking=%t: flags %#o, %v", blocking, flags, err)
		}
		s.shut()
		got()
	}
}

// TestOwnLines checks that lines of the supervisor do not wait behind blocked streams, and stay
// whole between the lines of children.
func TestOwnLines(t *testing.T) {
	s := newTestRelay(t, true)
	w := s.Writer("stdout")
	r, out, _ := s.started(Spec{Instance: "a", Format: "raw", Stdout: "stdout", Stderr: "none"})
	out.WriteString("a line\nrest")
	out.Close()
	waitDone(t, r)
	big := strings.Repeat("y", 3000) + "\n"
	for range 1000 { // 3 MB: above the limit of the streams
		if n, err := io.WriteString(w, big); n != len(big) || err != nil {
			t.Fatal(n, err)
		}
	}
	if n, err := s.Writer("stderr").Write([]byte("log\n")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	w.Write(nil)
	got, gotLog := reading(s.out), reading(s.log)
	s.shut()
	if n, err := w.Write([]byte("too late\n")); n != 9 || err != nil {
		t.Error(n, err)
	}
	if text := got(); text != "a line\nrest\n"+strings.Repeat(big, 1000) {
		t.Errorf("got %d bytes: %.100q", len(text), text)
	}
	if text := gotLog(); text != "log\n" {
		t.Errorf("got %q", text)
	}
}

// TestSameFileTwice checks that two standard streams that are the same file share one sink: partial
// writes of two sinks would split lines.
func TestSameFileTwice(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	again := duplicate(t, number(w))
	h := NewRelay(Options{Stdout: w, Stderr: again, FDs: newLedger(t)})
	var logging sync.WaitGroup
	for _, dest := range []string{"stdout", "stderr"} {
		logging.Go(func() {
			for i := range 2000 {
				h.Writer(dest).Write(numbered(dest, i))
			}
		})
	}
	logging.Wait()
	got := reading(r) // a full pipe causes partial writes
	if err := h.Close(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	w.Close()
	again.Close()
	c := &checker{next: map[string]int{}, prefix: func(string) string { return "[] " }}
	for line := range strings.Lines(got()) {
		c.line([]byte("[] " + line))
	}
	if c.lines != 4000 || c.gaps != 0 || len(c.bad) != 0 {
		t.Errorf("got %d lines, %d missing; damaged lines: %.300q", c.lines, c.gaps, c.bad)
	}
}

// TestIdleMemory checks that a quiet stream has neither a large buffer nor a goroutine.
func TestIdleMemory(t *testing.T) {
	const n = 200
	s := newTestRelay(t, true)
	var outputs []*ChildOutput
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got := bufio.NewReader(s.out)
	for i := range n {
		r, out, log := s.started(text(fmt.Sprint("i", i)))
		outputs = append(outputs, r)
		for _, f := range []*os.File{out, log} {
			f.WriteString("line\nprompt> ")
			if _, err := got.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range outputs {
		waitQuiet(t, r)
	}
	runtime.GC()
	runtime.GC() // a pool keeps its buffers until the second collection
	runtime.ReadMemStats(&after)
	each := (int(after.HeapAlloc+after.StackInuse) - int(before.HeapAlloc+before.StackInuse)) / n
	t.Logf("%d bytes for an output of two streams", each)
	if each > 10<<10 {
		t.Errorf("an idle output uses %d bytes", each)
	}
}

// TestRelayAllocates checks that a line costs no allocation of its own.
func TestRelayAllocates(t *testing.T) {
	const n = 100_000
	s := newTestRelay(t, true)
	_, out, _ := s.started(text("a"))
	block := bytes.Repeat(numbered("m", 0), 100)
	relayed := len(block) + 100*len("[a] ")
	buf := make([]byte, relayed)
	relay := func(blocks int) {
		for range blocks {
			if _, err := out.Write(block); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(s.out, buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	relay(10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	relay(n / 100)
	runtime.ReadMemStats(&after)
	if each := float64(after.Mallocs-before.Mallocs) / n; each > 0.05 {
		t.Errorf("got %.3f allocations for each line", each)
	}
}

// TestWaitDrained checks that WaitDrained returns when the pipe is empty, and gives up on a reader
// that does not read.
func TestWaitDrained(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	h := &Relay{sinkSet: &sinkSet{opt: Options{Stdout: w, Stderr: w}}}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if !unread(number(w)) {
		t.Error("a pipe with a byte is reported as empty")
	}
	h.WaitDrained() // the timeout expires
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if unread(number(w)) {
		t.Error("an empty pipe is reported as not empty")
	}
}

// TestGoroutines checks that quiet outputs have one goroutine together, and none at the end.
func TestGoroutines(t *testing.T) {
	s := newTestRelay(t, true)
	before := runtime.NumGoroutine()
	const n = 20
	for range n {
		s.started(text("a"))
	}
	if more := runtime.NumGoroutine() - before; more > 1 {
		t.Errorf("got %d more goroutines for %d outputs, want 1", more, n)
	}
}

// TestEndWithoutGoroutine checks that a quiet pipe which comes to its end needs no goroutine, and
// that one with the beginning of a line is relayed to its end all the same.
func TestEndWithoutGoroutine(t *testing.T) {
	const n = 100
	s := newTestRelay(t, true)
	var outputs []*ChildOutput
	var ends []*os.File
	for range n {
		r, out, log := s.started(text("a"))
		outputs, ends = append(outputs, r), append(ends, out, log)
	}
	last, out, log := s.started(text("b"))
	if _, err := out.WriteString("a prompt"); err != nil {
		t.Fatal(err)
	}
	waitQuiet(t, last)
	before := goroutinesCreated()
	for _, f := range append(ends, out, log) {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range append(outputs, last) {
		<-r.Done()
	}
	if got := goroutinesCreated() - before; got > n/2 {
		t.Errorf("the ends of %d pipes created %d goroutines", 2*n, got)
	}
	got, err := bufio.NewReader(s.out).ReadString('\n')
	if want := "[b] a prompt\n"; got != want || err != nil {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
}

// TestFinishWithBytes checks that a stream which is told of its end relays the bytes that came in
// the meantime.
func TestFinishWithBytes(t *testing.T) {
	s := newTestRelay(t, true)
	r, out, log := s.started(text("a"))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	st := r.streams[0]
	st.poller.remove(st.fd) // the test takes the place of the poller
	_, err := out.WriteString("a line\n")
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	st.finish()
	<-r.Done()
	if got := r.Tail(); !slices.Equal(got, []string{"a line"}) {
		t.Errorf("got the lines %q", got)
	}
}

// TestFinishOfAnotherPipe checks that a stream goes on after the report of the end of an earlier
// pipe with the same descriptor.
func TestFinishOfAnotherPipe(t *testing.T) {
	s := newTestRelay(t, true)
	r, out, log := s.started(text("a"))
	waitQuiet(t, r)
	r.streams[0].finish()
	_, err := out.WriteString("a line\n")
	if err := errors.Join(err, out.Close(), log.Close()); err != nil {
		t.Fatal(err)
	}
	<-r.Done()
	if got := r.Tail(); !slices.Equal(got, []string{"a line"}) {
		t.Errorf("got the lines %q", got)
	}
}

func goroutinesCreated() uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
