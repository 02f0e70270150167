package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
)

// why returns the first line of the answer about an instance, and the other lines.
func (s *supervisor) why(name string) (answer, facts string) {
	s.t.Helper()
	code, out, errs := s.ctl("why", "--output", "json", name)
	var all api.WhyAnswer
	err := json.Unmarshal([]byte(out), &all)
	if err != nil || code != 0 || len(all.Instances) != 1 {
		s.t.Fatalf("why %s: code %d, %v, errors %q, output %q", name, code, err, errs, out)
	}
	w := all.Instances[0]
	return w.Answer, strings.Join(append(w.Evidence, w.Next...), "\n")
}

// expectWhy compares the answer with a pattern, and looks for a fact.
func (s *supervisor) expectWhy(name, pattern, fact string) {
	s.t.Helper()
	answer, facts := s.why(name)
	if !regexp.MustCompile("^"+pattern+"$").MatchString(answer) ||
		!strings.Contains(facts, fact) {
		s.t.Errorf("why %s: got %s\n%s\nwant %s\n%s", name, answer, facts, pattern, fact)
	}
}

// replaceProgram copies the fixture to a file. It replaces a file that is there, also while that
// runs.
func replaceProgram(t *testing.T, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(bin, "fixture"))
	if err == nil {
		err = os.WriteFile(to+".new", b, 0o755)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// whyChildren are children in the situations of TestWhy, with files in a directory.
func whyChildren(dir string) string {
	program := func(name, more string) string {
		return fmt.Sprintf("child %q {\n  command = %q\n  args = [\"sleep\"]\n%s}\n", name,
			filepath.Join(dir, name), more)
	}
	const ignore = "  on_failure = \"ignore\"\n"
	return "shutdown {\n  deadline = \"2m\"\n}\n" +
		fixture("db", "sleep", "  ready {\n    log = \"never\"\n    timeout = \"20m\"\n  }\n") +
		fixture("web", "sleep", "  depends_on = [\"db\"]\n") +
		fixture("crash", "exit 3", ignore+"  restart {\n    delay = \"20m\"\n"+
			"    max_delay = \"20m\"\n  }\n") +
		fixture("bad", "exit 7", ignore+"  restart {\n    on = \"never\"\n  }\n") +
		program("gone", ignore+"  restart {\n    attempts = 1\n    delay = \"1ms\"\n  }\n") +
		fixture("deaf", "ignore-term", "  kill_timeout = \"1m\"\n") +
		fixture("held", "sleep", "") +
		program("prog", "") +
		fixture("conf", "sleep --config="+filepath.Join(dir, "my.conf"), "") +
		fixture("sick", "sleep", "  check \"alive\" {\n    exec = [\"/bin/false\"]\n"+
			"    interval = \"20s\"\n    grace = \"0s\"\n    limit = 1000\n  }\n")
}

// TestWhy provokes the situations that why explains.
func TestWhy(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"gone", "prog", "my.conf"} {
		replaceProgram(t, file(name))
	}
	children := whyChildren(dir)
	s := start(t, children+fixture("roll", "sleep", "  count = 2\n"))
	for _, name := range []string{"gone", "deaf", "held", "prog", "conf", "sick", "roll2"} {
		s.awaitEntry("child ready", "child", name)
	}
	s.awaitLine("[deaf] ready")
	s.awaitEntry("child restarting", "child", "crash")
	s.awaitEntry("child failed", "child", "bad")
	s.awaitEntry("check failed", "child", "sick")
	s.expectWhy("web", "web waits for db to be ready: db is starting.", "matches never")
	s.expectWhy("db", "db is not ready yet: its ready block waits for a line of output .*",
		"Thread ")
	s.expectWhy("crash", `crash is restarted in \d+m\d+s: its last process exited with `+
		`code 3\.`, "This is restart 1 of 5")
	s.expectWhy("bad", `bad has failed, and is not restarted: its last process exited with `+
		`code 7; its restart policy is never\.`, "supervisor start bad")
	s.expectWhy("sick", `sick is ready, but its check "alive" fails: the command exited with `+
		`code 1\.`, "in a row. After 1000 the instance is restarted.")
	s.expectWhy("held", "held is ready, and nothing is known to be wrong.", "Its process (pid ")
	s.expectCtl("stop held", 0, "held stopped", "")
	s.expectWhy("held", `held is stopped: uid \d+ \(pid \d+\) stopped it .* ago\.`,
		"supervisor start held")
	s.expectCtl("stop --no-wait deaf", 0, "", "")
	s.awaitEntry("signal sent", "child", "deaf")
	s.expectWhy("deaf", `deaf has been stopping for .*: it ignores SIGTERM\.`,
		"Step 1 of 2: SIGTERM. SIGKILL follows in ")
	s.expectCtl("signal KILL deaf", 0, "", "")
	replaceProgram(t, file("prog"))
	s.expectWhy("prog", "prog needs a restart: "+file("prog")+" was replaced on disk .*",
		"supervisor restart prog")
	replaceProgram(t, file("my.conf"))
	s.expectWhy("conf", "conf may need a restart: files of its command line changed .*",
		file("my.conf"))
	if err := os.Remove(file("gone")); err != nil {
		t.Fatal(err)
	}
	s.expectCtl("signal KILL gone", 0, "", "")
	s.awaitEntry("child failed", "child", "gone")
	s.expectWhy("gone", "gone has failed, and is not restarted: it could not be spawned: .*",
		"The configuration on disk cannot be read: ")
	replaceProgram(t, file("gone")) // without it the configuration is rejected
	s.expectWhyOfUpdate(children)
	s.signal(unix.SIGTERM)
	s.exitCode()
}

// expectWhyOfUpdate reloads a configuration whose new process is not ready in time: the other
// instance waits for its update slot, and then its update is halted.
func (s *supervisor) expectWhyOfUpdate(children string) {
	s.t.Helper()
	s.write(children + fixture("roll", "sleep", "  count = 2\n  on_failure = \"ignore\"\n"+
		"  restart {\n    on = \"never\"\n  }\n"+
		"  ready {\n    log = \"never\"\n    timeout = \"3s\"\n  }\n"))
	s.expectWhy("roll1", "roll1 needs a restart: its configuration on disk differs in .*",
		"a reload replaces the process")
	from := s.log.count()
	s.signal(unix.SIGHUP)
	s.awaitEntryFrom(from, "child spawned", "child", "roll1")
	s.expectWhy("roll2", "roll2 waits for an update slot, which is used by roll1.",
		`At most 1 of its instances`)
	s.awaitEntryFrom(from, "reload halted", "child", "roll")
	s.expectWhy("roll2", "roll2 keeps its process, because its update is halted: the new roll1 .*",
		"supervisor reload")
}

// TestWhyInReport explains a stop that is over, from its report.
func TestWhyInReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	s := start(t, "shutdown {\n  deadline = \"9s\"\n}\n"+
		fixture("deaf", "ignore-term", "  kill_timeout = \"1500ms\"\n")+
		fixture("quick", "sleep", "  count = 2\n"), "--report", file)
	s.awaitLine("[deaf] ready")
	s.awaitLine("[quick2] ready")
	s.signal(unix.SIGTERM)
	s.exitCode()
	s.expectCtl("why --report "+file+" deaf", 0, "deaf ignores SIGTERM: SIGKILL ended it after", "")
	s.expectCtl("why --report "+file+" quick", 0, "quick1 ended gracefully, ", "")
	s.expectCtl("why --report "+file+" quick2", 0, "supervisor report "+file, "")
	s.expectCtl("why --report "+file+" def", 5, "", `named "def". Did you mean deaf?`)
	s.expectCtl("why --report /nonexistent deaf", 1, "", "/nonexistent")
	s.expectCtl("why deaf", 4, "", "no supervisor")
}
