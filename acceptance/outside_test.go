package acceptance

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// flood is a child that prints without end.
const flood = "child \"flood\" {\n  command = \"/bin/sh\"\n" +
	"  args = [\"-c\", \"trap 'exit 0' TERM; " +
	"while :; do echo 0123456789012345678901234567890123456789; done\"]\n}\n"

// TestOutputReaderCloses closes the reader of standard output, as `supervisor run | head`
// does. The children continue, and the log reports the dropped lines.
func TestOutputReaderCloses(t *testing.T) {
	s := prepare(t, flood+fixture("good", "sleep", ""))
	r := s.pipeOutput()
	s.launch()
	if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	r.Close()
	s.awaitEntry("lines dropped", "dest", "stdout")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// TestOutputReaderStalls checks that a reader of standard output that stops reading blocks
// neither the children nor the stop.
func TestOutputReaderStalls(t *testing.T) {
	s := prepare(t, `shutdown { deadline = "3s" }`+"\n"+flood)
	s.pipeOutput() // is not read
	s.launch()
	s.awaitEntry("lines dropped", "dest", "stdout", "reason", "stalled")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("elapsed_ms") > e.int("deadline_ms") {
		t.Errorf("got %v, want elapsed_ms within deadline_ms", e)
	}
}

// TestLogIsNotRead checks that the stop is complete if the reader of the log closes or stops
// reading.
func TestLogIsNotRead(t *testing.T) {
	for _, closed := range []bool{true, false} {
		s := prepare(t, fixture("c", "print 1", "count = 3"))
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
			t.Fatal(err)
		}
		if closed {
			r.Close()
		} else {
			defer r.Close()
			if _, err := w.Write(make([]byte, 4096)); err != nil { // full
				t.Fatal(err)
			}
		}
		s.cmd.Stderr = w
		s.launch()
		for i := range 3 {
			s.awaitLine(fmt.Sprintf("[c%d] line 0", i+1))
		}
		s.signal(unix.SIGTERM)
		if code := s.exitCode(); code != 0 {
			t.Errorf("closed %v: exit code %d", closed, code)
		}
		s.awaitLine("[c3] last words")
	}
}

// TestEveryLineArrives checks that no line is lost, and that the last line needs no newline.
func TestEveryLineArrives(t *testing.T) {
	const n, children = 20_000, 4
	s := start(t, fixture("p", fmt.Sprint("print ", n), fmt.Sprint("count = ", children)))
	for i := range children {
		s.awaitLine(fmt.Sprintf("[p%d] line %d", i+1, n-1))
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	next := map[string]int{}
	last := 0
	for line := range strings.SplitSeq(s.output.text(), "\n") {
		prefix, text, _ := strings.Cut(line, " ")
		if text == "last words" {
			last++
			continue
		}
		if text != fmt.Sprint("line ", next[prefix]) {
			t.Fatalf("after line %d of %s: got %q, want the next line", next[prefix]-1, prefix,
				line)
		}
		next[prefix]++
	}
	if last != children {
		t.Errorf("%d lines \"last words\", want %d", last, children)
	}
}

func TestTerminalEscapesAreEscaped(t *testing.T) {
	s := start(t, "child \"c\" {\n  command = \"/bin/sh\"\n"+
		"  args = [\"-c\", \"printf '\\\\033[2J\\\\007evil\\\\n'; "+
		"printf '\\\\033[31mdying' >&2; exit 3\"]\n  restart { on = \"never\" }\n}\n")
	s.expectStop(1, "graceful")
	if text := s.output.text() + s.log.text(); strings.ContainsAny(text, "\x1b\x07") ||
		!strings.Contains(text, `\x1b[2J`) {
		t.Errorf("got %q, want escaped control characters", text)
	}
}

func TestOutputToFile(t *testing.T) {
	dir := t.TempDir()
	s := start(t, fmt.Sprintf("child \"c\" {\n  command = \"/bin/sh\"\n"+
		"  args = [\"-c\", \"echo out; echo err >&2\"]\n  logs {\n    format = \"raw\"\n"+
		"    stdout = \"%s/out\"\n    stderr = \"none\"\n  }\n}\n", dir))
	s.expectStop(0, "graceful")
	if b, err := os.ReadFile(dir + "/out"); err != nil || string(b) != "out\n" {
		t.Errorf("the log file has %q, %v, want out", b, err)
	}
	if s.output.text() != "" {
		t.Error(s.output.text())
	}
	s.awaitEntry("fd closed", "owner", "supervisor", "kind", "file", "target", dir+"/out")
}

// TestTerminalHangsUp checks that the close of the terminal stops the supervisor gracefully, also
// if its standard output is that terminal.
func TestTerminalHangsUp(t *testing.T) {
	control, terminal := openTerminal(t)
	s := prepare(t, fixture("c", "sleep", ""))
	s.cmd.Stdin, s.cmd.Stdout = terminal, terminal
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.launch()
	s.awaitEntry("child ready")
	control.Close()
	s.awaitEntry("signal received", "meaning", "stop; the terminal is closed")
	s.expectStop(0, "graceful")
}

// openTerminal opens a pseudo-terminal and its control end.
func openTerminal(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		needs.Skip(t, "devpts", err)
	}
	if err := unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return control, terminal
}
