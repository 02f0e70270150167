package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// document is the part of a report that a script reads.
type document struct {
	Schema   int
	Signal   string
	Deadline float64 `json:"deadline_ms"`
	Elapsed  float64 `json:"elapsed_ms"`
	Code     int     `json:"exit_code"`
	Verdict  string
	Balance  map[string]int
	Budget   []struct {
		Who   string
		Share float64
	}
	Children []struct {
		Child        string
		Pid          int
		Steps        []struct{ Signal string }
		Exit         *struct{ Signal string }
		Closed, Left []struct{ Target, Uncounted string }
		FDsClosed    int `json:"fds_closed"`
		FDsLeft      int `json:"fds_left"`
	}
	Orphans  []struct{ Command string }
	Own      []struct{ Target string }
	Warnings []struct{ What string }
}

// messyConfig is a configuration whose stop has leaked descriptors, a kill and an orphan.
var messyConfig = "log_level = \"debug\"\n" + fixture("leaky", "leaky", "") +
	fixture("ignores", "ignore-term", "kill_timeout = \"200ms\"\n  depends_on = [\"leaky\"]") +
	fixture("d", "daemon sleep stay", "")

func startMessy(t *testing.T, args ...string) *supervisor {
	t.Helper()
	s := start(t, messyConfig, args...)
	for _, line := range []string{"[leaky] ready", "[ignores] ready", "[d] daemon "} {
		s.awaitLine(line)
	}
	return s
}

// TestReport compares the report with the log.
func TestReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stop.json")
	s := startMessy(t, "--report", path)
	s.signal(unix.SIGTERM)
	e := s.expectStop(124, "forced")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.Schema != 1 || d.Signal != "SIGTERM" || d.Code != 124 || d.Verdict != "forced" ||
		int(d.Deadline) != e.int("deadline_ms") || int(d.Elapsed) > e.int("elapsed_ms") {
		t.Errorf("the report differs from %v: %.600s", e, b)
	}
	for key, n := range d.Balance {
		if n != e.int(key) {
			t.Errorf("%s: got %d, want %d as in the log", key, n, e.int(key))
		}
	}
	if len(d.Balance) != 11 || len(d.Children) != 3 || len(d.Orphans) != 1 ||
		d.Orphans[0].Command != "fixture" {
		t.Errorf("got %.600s, want 11 totals, 3 children and the orphan fixture", b)
	}
	s.expectReportedChildren(d)
	_, begin := s.awaitEntryFrom(0, "signal received")
	inStop := 0
	for _, line := range strings.Split(s.log.text(), "\n")[begin:] {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil &&
			e.matches("fd closed", "owner", "supervisor") {
			inStop++
		}
	}
	// The descriptors of the report and of its directory are closed after it is written.
	if n := inStop - 2; len(d.Own) != n {
		t.Errorf("%d descriptors of the supervisor, want %d", len(d.Own), n)
	}
	spender, most := "", 0.0
	for _, x := range d.Budget {
		if x.Share > most {
			spender, most = x.Who, x.Share
		}
	}
	if spender != "ignores" {
		t.Errorf("%q took the most time, want child ignores: %+v", spender, d.Budget)
	}
	s.awaitEntry("fd opened", "owner", "supervisor", "target", path)
	s.awaitEntry("fd closed", "owner", "supervisor", "target", path)
}

// expectReportedChildren compares the children of a report with the log.
func (s *supervisor) expectReportedChildren(d document) {
	s.t.Helper()
	t := s.t
	for _, c := range d.Children {
		if n := s.count("fd closed", "owner", c.Child, "by", "child"); n != len(c.Closed) {
			t.Errorf("%s closed %d descriptors, want %d as in the log", c.Child, len(c.Closed), n)
		}
		if n := s.count("fd closed", "owner", c.Child, "by", "kernel"); n != len(c.Left) {
			t.Errorf("%s leaked %d descriptors, want %d as in the log", c.Child, len(c.Left), n)
		}
		if n := s.count("signal sent", "child", c.Child, "process", nil); n != len(c.Steps) {
			t.Errorf("%s got %d signals, want %d as in the log", c.Child, len(c.Steps), n)
		}
		s.awaitEntry("child reaped", "child", c.Child, "pid", c.Pid, "fds_closed", c.FDsClosed,
			"fds_left", c.FDsLeft)
	}
}

// TestReportPage checks that the HTML report has no external resource, runs no script, and can
// be read by supervisor report.
func TestReportPage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stop.html")
	hcl := fmt.Sprintf("shutdown { report = %q }\n", path) + fixture("leaky", "leaky", "") +
		fixture("ignores", "ignore-term", `kill_timeout = "200ms"`)
	s := start(t, hcl)
	s.awaitLine("[leaky] ready")
	s.awaitLine("[ignores] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(124, "forced")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	if strings.Contains(page, "http://") || strings.Contains(page, "https://") ||
		strings.Count(page, "<script") != 1 ||
		!strings.Contains(page, `<script type="application/json"`) ||
		!strings.Contains(page, "default-src 'none'") {
		t.Errorf("the page has a URL or a script: %.2000s", page)
	}
	text, code := runReport(t, path)
	for _, want := range []string{"forced: exit code 124", "LEFT OPEN, NO FINDING", "ignores",
		"TERM KILL", "3 left open", "ignores ignores SIGTERM: SIGKILL ended it after"} {
		if code != 0 || !strings.Contains(text, want) {
			t.Errorf("exit code %d, want 0 and %q in\n%s", code, want, text)
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("got the files %v, want the report only", all)
	}
}

func runReport(t *testing.T, path string) (string, int) {
	t.Helper()
	c := exec.Command(filepath.Join(bin, "supervisor"), "report", path)
	c.WaitDelay = limit
	late := time.AfterFunc(limit, func() { _ = c.Process.Kill() })
	defer late.Stop()
	out, _ := c.CombinedOutput()
	return string(out), c.ProcessState.ExitCode()
}

// TestReportThatCannotBeWritten checks that such a report causes one warning and nothing else.
func TestReportThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, reason := range map[string]string{
		filepath.Join(dir, "none", "stop.json"): "no such file or directory",
		dir:                                     "is a directory",
		fifo:                                    "no such device or address",
		"/dev/full":                             "no space left on device",
	} {
		s := start(t, fixture("c", "sleep", ""), "--report", path)
		s.awaitLine("ready")
		s.signal(unix.SIGTERM)
		s.expectStop(0, "graceful")
		if w := s.awaitEntry("report not written", "@level",
			"warn"); !strings.Contains(fmt.Sprint(w["reason"]), reason) {
			t.Errorf("%s: got %v, want the reason %q", path, w, reason)
		}
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("got the files %v, want the fifo only", all)
	}
}

// TestReportToStandardOutput checks that the report follows the output of the children.
func TestReportToStandardOutput(t *testing.T) {
	s := start(t, fixture("c", "sleep", ""), "--report", "/dev/stdout")
	s.awaitLine("ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	_, text, _ := strings.Cut(s.output.text(), "\n")
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.Verdict != "graceful" {
		t.Errorf("%v in %q", err, s.output.text())
	}
}

// TestReportAfterReload checks that the path of the report is a global: a reload changes it
// without a restart. The report has the processes that ended before the stop too.
func TestReportAfterReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stop.json")
	children := fixture("c", "sleep", "") + fixture("once", "exit 0", "")
	s := start(t, children)
	s.awaitLine("ready")
	s.awaitEntry("child completed", "child", "once")
	s.write(fmt.Sprintf("shutdown { report = %q }\n", path) + children)
	s.signal(unix.SIGHUP)
	s.awaitEntry("config reloaded")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful")
	if e.int("spawned") != 2 {
		t.Errorf("got %v, want spawned=2: a reload of the report restarts nothing", e)
	}
	if text, _ := runReport(t, path); !strings.Contains(text, "ENDED BEFORE") ||
		!strings.Contains(text, "once") {
		t.Error(text)
	}
}

func TestReportRejectsOtherFiles(t *testing.T) {
	dir := t.TempDir()
	fifo, other, newer := filepath.Join(dir, "fifo"), filepath.Join(dir, "other"),
		filepath.Join(dir, "newer")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{other: "hello", newer: `{"schema": 99}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		fifo: "not a regular file", dir: "not a regular file", "/dev/zero": "not a regular file",
		other: "no report of a stop",
		newer: "written by a newer supervisor", filepath.Join(dir, "none"): "no such file",
	} {
		if text, code := runReport(t, path); code != 1 || !strings.Contains(text, want) ||
			strings.Count(text, "\n") != 1 {
			t.Errorf("%s: got %d, %q, want 1 and %q", path, code, text, want)
		}
	}
}
