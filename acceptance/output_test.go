package acceptance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// ownStreams are the paths that lead to standard output and standard error.
var ownStreams = [2][]string{
	{"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "LINK", "FILE"},
	{"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"},
}

// TestPathOfOwnStream checks that a path to a standard stream of the supervisor is that stream: the
// lines of other children and of the log are in the same file, and none overwrites another.
func TestPathOfOwnStream(t *testing.T) {
	for stream, paths := range ownStreams {
		for _, path := range paths {
			for _, flags := range []int{0, unix.O_APPEND} {
				t.Run(fmt.Sprintf("%s,%#x", strings.ReplaceAll(path, "/", " "), flags),
					func(t *testing.T) { checkOwnStream(t, stream, path, flags) })
			}
		}
	}
}

func checkOwnStream(t *testing.T, stream int, path string, flags int) {
	const count = 200
	dir := t.TempDir()
	file, link := filepath.Join(dir, "out"), filepath.Join(dir, "link")
	if err := os.Symlink("/dev/stdout", link); err != nil {
		t.Fatal(err)
	}
	path = strings.NewReplacer("LINK", link, "FILE", file).Replace(path)
	dest := []string{"stdout", "stderr"}[stream]
	print := func(name string) string {
		return fmt.Sprintf("child %q {\n command = \"sh\"\n args = [\"-c\", \"i=0; "+
			"while [ $i -lt %d ]; do i=$((i+1)); echo %s; done\"]\n",
			name, count, strings.Repeat(name, 50))
	}
	s := prepare(t, print("a")+fmt.Sprintf("logs {\n format = \"raw\"\n stdout = %q\n}\n}\n", path)+
		print("b")+fmt.Sprintf("logs {\n format = \"raw\"\n stdout = %q\n}\n}\n", dest))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = f, f // the log of the supervisor is in it too
	s.launch()
	if code := s.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, `{"@`) && strings.HasSuffix(line, "}\n") {
			line = "log"
		}
		found[strings.TrimSuffix(line, "\n")]++
	}
	if found[strings.Repeat("a", 50)] != count || found[strings.Repeat("b", 50)] != count ||
		len(found) != 3 || !strings.Contains(string(text), "shutdown complete") {
		t.Errorf("the file has %.2000v", found)
	}
}

// TestPathOfOwnSocket checks that a path to a standard stream is that stream if it is a socket,
// which cannot be opened.
func TestPathOfOwnSocket(t *testing.T) {
	s := prepare(t, "child \"a\" {\n command = \"echo\"\n args = [\"hello\"]\n"+
		"logs { stdout = \"/dev/stdout\" }\n}\n")
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout = os.NewFile(uintptr(pair[0]), "stdout")
	r := os.NewFile(uintptr(pair[1]), "reader")
	defer r.Close()
	s.launch()
	text, err := io.ReadAll(r)
	if string(text) != "[a] hello\n" {
		t.Errorf("got %q and error %v", text, err)
	}
	s.expectStop(0, "graceful")
}

// TestLogFileRenamed renames a log file of two instances, as logrotate does, and deletes it. One
// descriptor is open for it all the time.
func TestLogFileRenamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.log")
	s := start(t, fmt.Sprintf("child \"web\" {\n count = 2\n command = \"sh\"\n args = [\"-c\", "+
		"\"trap 'echo trapped' USR2; echo up; while :; do sleep 0.05; done\"]\n"+
		"logs { stdout = %q }\n}\n", file))
	s.awaitEntry("all children ready")
	awaitFile(t, file, "[web1] up", "[web2] up")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	s.signal(unix.SIGUSR1)
	s.awaitEntry("log file reopened", "path", file, "@level", "info")
	_, next := s.awaitEntryFrom(0, "child spawned", "child", "web1")
	first := s.awaitEntry("child spawned", "child", "web1")
	if err := unix.Kill(first.int("pid"), unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	awaitFile(t, file, "[web1] trapped")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(first.int("pid"), unix.SIGKILL); err != nil { // a new process looks
		t.Fatal(err)
	}
	s.awaitEntryFrom(next, "child ready", "child", "web1")
	awaitFile(t, file, "[web1] up")
	s.awaitEntry("log file reopened", "path", file, "@level", "warn")
	if n := s.count("fd opened", "target", file) - s.count("fd closed", "target", file); n != 1 {
		t.Errorf("%d descriptors are open for the file", n)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

// awaitFile waits until a file has all lines.
func awaitFile(t *testing.T, path string, lines ...string) {
	t.Helper()
	await(t, fmt.Sprintf("%s has the lines %q", path, lines), func() bool {
		text, _ := os.ReadFile(path)
		for _, line := range lines {
			if !strings.Contains(string(text), line+"\n") {
				return false
			}
		}
		return true
	})
}

// TestStreamsAreOpenedByPath checks that a process of another user can open its own streams by
// their paths, in every format: nginx and others log to /dev/stderr. So can one that changes its
// user itself, if the supervisor reads its output.
func TestStreamsAreOpenedByPath(t *testing.T) {
	needs.Check(t, "root")
	const script = "echo alpha > /dev/stdout && echo beta > /dev/stderr"
	for _, format := range []string{"text", "json", "raw", "inherit"} {
		logs := fmt.Sprintf("logs {\n format = %q\n stderr = \"stdout\"\n}\n}\n", format)
		hcl := fmt.Sprintf("child \"a\" {\n command = \"sh\"\n args = [\"-c\", %q]\n"+
			"user = \"nobody\"\n", script) + logs
		if format != "inherit" {
			hcl += fmt.Sprintf("child \"b\" {\n command = \"setpriv\"\n args = [\"--reuid\", "+
				"\"65534\", \"sh\", \"-c\", %q]\n", script) + logs
		}
		s := start(t, hcl)
		s.expectStop(0, "graceful")
		want := strings.Count(hcl, "child ")
		for _, word := range []string{"alpha", "beta"} {
			if n := strings.Count(s.output.text(), word); n != want {
				t.Errorf("%s: %d lines with %q, want %d", format, n, word, want)
			}
		}
	}
}

// TestEveryLostLineIsCounted closes the reader of standard output after some lines, or stops it.
// All other lines are reported as lost: also those in the pipe when its reader ends, and those that
// still wait at the end.
func TestEveryLostLineIsCounted(t *testing.T) {
	for _, closes := range []bool{true, false} {
		const count = 300_000
		s := prepare(t, fmt.Sprintf("child \"a\" {\n command = \"seq\"\n args = [\"%d\"]\n"+
			"logs { format = \"raw\" }\n}\n", count))
		r := s.pipeOutput()
		s.launch()
		in := bufio.NewReaderSize(r, 16) // it takes few lines more than it returns
		read := 0
		for range 5 {
			if _, err := in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			read++
		}
		rest, _ := in.Peek(in.Buffered())
		read += strings.Count(string(rest), "\n")
		if closes {
			r.Close()
		}
		e := s.expectStop(0, "graceful")
		if !closes { // what the pipe has can be read
			rest, _ := io.ReadAll(r)
			read += strings.Count(string(rest), "\n")
		}
		sum := 0
		for _, e := range s.log.entries(0, s.log.count()) {
			if e.matches("lines dropped") {
				sum += e.int("lines")
			}
		}
		if got := e.int("lines_dropped"); got+read != count || got != sum {
			t.Errorf("closed %t: %d lines were read, %d are reported as lost, %d in the last line",
				closes, read, sum, got)
		}
	}
}

// TestColorsOnTerminal checks what reaches a terminal: colors of a child and of its prefix, unless
// the environment or the configuration says otherwise, and no other escape sequence.
func TestColorsOnTerminal(t *testing.T) {
	const (
		kept       = " \x1b[31mred\x1b[0m"
		cleared    = `\x1b[2J`
		cyan, gold = "\x1b[36m[a]\x1b[0m", "\x1b[33m[b]\x1b[0m"
	)
	for _, tt := range []struct {
		name, env, logs string
		want            []string
		colored         bool
	}{
		{
			"colors", "TERM=xterm", "",
			[]string{cyan + kept + "\r", cyan + " " + cleared, gold}, true,
		},
		{"strip", "TERM=xterm", `logs { colors = "strip" }`, []string{cyan + " red", gold}, true},
		{"json", "TERM=xterm", `logs { format = "json" }`, []string{`"\u001b[31mred"`}, true},
		{"NO_COLOR", "NO_COLOR=1", "", []string{"[a] red", "[a] " + cleared, "[b] "}, false},
		{"dumb", "TERM=dumb", "", []string{"[a] red", "[b] "}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := filepath.Join(t.TempDir(), "supervisor.hcl")
			child := "child %q {\n command = \"printf\"\n args = [\"" +
				`\\033[31mred\\n\\033[2J\\n` + "\"]\n%s\n%s\n}\n"
			second := `depends_on = [{ child = "a", until = "started" }]`
			hcl := fmt.Sprintf(child, "a", tt.logs, "") + fmt.Sprintf(child, "b", tt.logs, second)
			if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
				t.Fatal(err)
			}
			s := atTerminal(t, "supervisor", "run", "--config", config)
			s.cmd.Env = append(s.cmd.Env, "NO_COLOR=", tt.env)
			s.launch()
			s.expectExit(0)
			got := s.output.text()
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("there is no %q", want)
				}
			}
			if strings.Contains(got, "\x1b[2J") || strings.Contains(got, "\x1b") != tt.colored {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestReadyLine checks lines that a person reads and that are other bytes in the pipe: with colors,
// after a progress display, and a prompt that has no newline.
func TestReadyLine(t *testing.T) {
	for name, tt := range map[string]struct{ prints, pattern string }{
		"colors":   {`\\033[32mlistening\\033[0m on 80\\n`, `^listening on [0-9]+$`},
		"progress": {`10%%\\r50%%\\r\\033[Klistening\\r\\n`, `^listening$`},
		"prompt":   {`loading\\n\\033[1mdb> \\033[0m`, `^db> $`},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fmt.Sprintf("child \"a\" {\n command = \"sh\"\n args = [\"-c\", "+
				"\"printf '%s'; exec sleep 1000\"]\n ready {\n log = %q\n }\n}\n",
				tt.prints, tt.pattern))
			s.awaitEntry("child ready", "child", "a")
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
		})
	}
}
