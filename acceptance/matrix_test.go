package acceptance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// Tests that compare the logged descriptors of a child with those that the child itself
// prints: every kind of exit, in three languages, 100 processes at a time. See
// supervisor/fixture/truth.go.

// ending is a kind of exit, and what must be logged of it.
type ending struct {
	name   string
	code   int
	signal string
	forced bool // it makes the stop a forced one, or is none
}

var endings = []ending{
	{name: "return"},
	{name: "exit:7", code: 7},
	{name: "thread-exit", code: 5},
	{name: "main-gone", code: 6},
	{name: "threads", code: 7},
	{name: "exec", code: 8},
	{name: "exec-thread", code: 8},
	{name: "fork"},
	{name: "fork-late"},
	{name: "signal", signal: "SIGTERM"},
	{name: "abort", signal: "SIGABRT"},
	{name: "killme", signal: "SIGKILL", forced: true},
	{name: "crash", code: 3, forced: true},
}

// languages maps a language to the command of its fixture.
var languages = map[string][]string{
	"C":      {"truth"},
	"Go":     {"fixture", "truth"},
	"Python": {"python3", "-ISE", "truth.py"},
}

// matrix is a set of children in one language, with the kind of exit of each.
type matrix struct {
	program []string
	more    string // of each child block
	seed    int
	counts  map[string]int // by way
	proof   string         // empty: exact
	// what is forked in the stop and executes a program may end unseen: it could be set-user-ID
	mayMissExec bool
}

// spread distributes size children over the kinds of exit.
func spread(size int, rough bool) map[string]int {
	var mine []string
	for _, w := range endings {
		if rough || !w.forced {
			mine = append(mine, w.name)
		}
	}
	counts := map[string]int{}
	for i := range size {
		counts[mine[i%len(mine)]]++
	}
	return counts
}

// child returns the name of the child block.
func (w ending) child() string { return strings.ReplaceAll(w.name, ":", "-") + "-" }

func (m matrix) config() string {
	hcl := fmt.Sprintf("shutdown {\n  findings = \"all\"\n  proof = %q\n}\n",
		cmp.Or(m.proof, "exact"))
	for i, w := range endings {
		if m.counts[w.name] == 0 {
			continue
		}
		args := fmt.Sprintf(`"${index + %d}", %q`, m.seed+1000*i, w.name)
		for _, a := range slices.Backward(m.program[1:]) {
			args = fmt.Sprintf("%q, ", a) + args
		}
		hcl += fmt.Sprintf("child %q {\n  command = %q\n  args = [%s]\n  count = %d\n"+
			"  on_failure = \"ignore\"\n  restart {\n    on = \"never\"\n"+
			"    max_parallel = 100\n  }\n%s\n",
			w.child(), m.program[0], args, m.counts[w.name], m.more)
		if w.name == "killme" {
			hcl += "kill_timeout = \"300ms\"\n"
		}
		hcl += "}\n"
	}
	return hcl
}

// readyLines returns the expected number of lines "ready".
func (m matrix) readyLines() (n int) {
	for end, count := range m.counts {
		n += count
		switch end {
		case "crash":
			n -= count
		case "fork-late": // and its twin
			n += count
		}
	}
	return n
}

// verdict returns the expected exit code and verdict of the stop.
func (m matrix) verdict() (code int, verdict string) {
	if m.counts["killme"] > 0 {
		return 124, "forced"
	}
	return 0, "leaky"
}

// fdCounts counts the statements about the descriptors of one process, such as "closed fd 7
// socket" and "kept fd 8 pipe".
type fdCounts map[string]int

// printedFDs returns what the fixtures print about their descriptors, by pid.
func printedFDs(output string) map[int]fdCounts {
	all := map[int]fdCounts{}
	for line := range strings.SplitSeq(output, "\n") {
		_, text, _ := strings.Cut(line, "] ")
		what, of, ok := strings.Cut(text, " of ")
		pid, err := strconv.Atoi(of)
		if !ok || err != nil || !strings.HasPrefix(what, "closed fd ") &&
			!strings.HasPrefix(what, "kept fd ") {
			continue
		}
		if all[pid] == nil {
			all[pid] = fdCounts{}
		}
		all[pid][what]++
	}
	return all
}

// loggedFDs returns what the log says about counted descriptors, by pid. An entry with another
// proof than the wanted one is a different statement.
func loggedFDs(log []entry, proof string) map[int]fdCounts {
	all := map[int]fdCounts{}
	for _, e := range log {
		if !e.matches("fd closed") || e["owner"] == "supervisor" || e["uncounted"] != nil {
			continue
		}
		what := map[any]string{"child": "closed", "kernel": "kept"}[e["by"]]
		what = fmt.Sprintf("%s fd %d %s", what, e.int("fd"), e["kind"])
		if e["proof"] != proof {
			what += fmt.Sprint(", ", e["proof"])
		}
		if all[e.int("pid")] == nil {
			all[e.int("pid")] = fdCounts{}
		}
		all[e.int("pid")][what]++
	}
	return all
}

func (b fdCounts) difference(truth fdCounts) (diff []string) {
	for what, n := range truth {
		for range n - b[what] {
			diff = append(diff, "not logged: "+what)
		}
	}
	for what, n := range b {
		for range n - truth[what] {
			diff = append(diff, "logged, not printed: "+what)
		}
	}
	slices.Sort(diff)
	return diff
}

func (b fdCounts) count(verb string) (n int) {
	for what, times := range b {
		if strings.HasPrefix(what, verb+" ") {
			n += times
		}
	}
	return n
}

// result compares the log with the output of the fixtures.
type result struct {
	stops      int
	mismatches []string // a text for each process whose log differs from its output
	unproven   []string // a text for each process whose proof had no time
}

// judgement compares the log with the output of the fixtures.
type judgement struct {
	proof      string // the wanted proof
	printed    map[int]fdCounts
	unproven   map[int]string   // reasons, by pid
	mismatches map[int][]string // mismatches, by pid
	ended      map[int]string   // kinds of exit, by pid
	instances  map[string]int   // reaped instances, by kind of exit
	result     result
}

func (j *judgement) add(pid int, format string, args ...any) {
	j.mismatches[pid] = append(j.mismatches[pid], fmt.Sprintf(format, args...))
}

// check compares one value of an entry.
func (j *judgement) check(e entry, key string, want any) {
	if fmt.Sprint(e[key]) != fmt.Sprint(want) {
		j.add(e.int("pid"), "%s: %s is %v, want %v", e["@message"], key, e[key], want)
	}
}

// end judges the entry on the end of a process.
func (j *judgement) end(e entry, what string, code int, signal string) {
	pid := e.int("pid")
	if j.ended[pid] != "" {
		j.add(pid, "ended twice")
	}
	j.ended[pid] = what
	if signal != "" {
		j.check(e, "signal", signal)
	} else {
		j.check(e, "code", code)
	}
	if reason := j.unproven[pid]; reason != "" {
		j.result.unproven = append(j.result.unproven,
			fmt.Sprintf("%s, pid %d: %s", what, pid, reason))
		return
	}
	j.check(e, "fds_closed", j.printed[pid].count("closed"))
	j.check(e, "fds_left", j.printed[pid].count("kept"))
	if what == "crash" {
		j.check(e, "proof", "none")
	} else {
		j.check(e, "proof", j.proof)
	}
}

// ends judges all entries on the end of a process.
func (j *judgement) ends(log []entry, mayMissExec bool) {
	for _, e := range log {
		switch w := endingOf(fmt.Sprint(e["child"])); {
		case e.matches("child reaped"):
			j.instances[w.name]++
			j.end(e, w.name, w.code, w.signal)
			if w.name != "crash" {
				j.result.stops++
			}
		case e.matches("process ended", "end", "unseen") && w.name == "fork" && mayMissExec:
			j.ended[e.int("pid")] = "fork, its helper"
			j.check(e, "proof", "none")
			delete(j.printed, e.int("pid"))
		case e.matches("process ended") && w.name == "fork":
			j.end(e, "fork, its helper", 33, "")
			j.check(e, "in_stop", true)
		case e.matches("process ended"):
			j.end(e, "fork-late, its twin", 0, "")
			j.check(e, "in_stop", false)
		}
	}
}

// judge compares the log with the output of the fixtures. proof is the wanted proof.
func (m matrix) judge(log []entry, output, proof string) result {
	logged := loggedFDs(log, proof)
	j := judgement{
		proof: proof, printed: printedFDs(output), unproven: proofTimeouts(log),
		mismatches: map[int][]string{}, ended: map[int]string{}, instances: map[string]int{},
	}
	j.ends(log, m.mayMissExec)
	for pid, printed := range j.printed {
		if j.unproven[pid] == "" {
			for _, d := range logged[pid].difference(printed) {
				j.add(pid, "%s", d)
			}
		}
		if j.ended[pid] == "" {
			j.add(pid, "its end is not logged")
		}
	}
	for pid, counts := range logged {
		if j.printed[pid] == nil {
			j.add(pid, "it printed nothing, and the log has %v", slices.Sorted(maps.Keys(counts)))
		}
	}
	for kind, n := range m.counts {
		if got := j.instances[kind]; got != n {
			j.add(0, "%s: %d instances were reaped, want %d", kind, got, n)
		}
	}
	for pid, all := range j.mismatches {
		j.result.mismatches = append(j.result.mismatches, fmt.Sprintf("%s, pid %d: %s",
			cmp.Or(j.ended[pid], "?"), pid, strings.Join(all, "; ")))
	}
	slices.Sort(j.result.mismatches)
	return j.result
}

// proofTimeouts returns, by pid, the reasons of proofs that had no time: on a busy machine the
// fd scans are bounded. Such a log is correct, but proves nothing.
func proofTimeouts(log []entry) map[int]string {
	all := map[int]string{}
	for _, e := range log {
		reason := fmt.Sprint(e["reason"])
		late := strings.Contains(reason, "took more than") ||
			strings.Contains(reason, "were still there")
		if (e.matches("proof unavailable") || e.matches("process ended")) && late {
			all[e.int("pid")] = reason
		}
	}
	return all
}

func endingOf(instance string) ending {
	for _, w := range endings {
		if _, err := strconv.Atoi(strings.TrimPrefix(instance, w.child())); err == nil {
			return w
		}
	}
	return ending{name: instance}
}

// entries returns the log entries in a text. It ignores other lines.
func entries(text string) (all []entry) {
	for line := range strings.SplitSeq(text, "\n") {
		var e entry
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// stop starts the matrix, waits until all children are ready, and sends SIGTERM.
func (m matrix) stop(t *testing.T) (s *supervisor) {
	t.Helper()
	s = start(t, m.config())
	m.awaitReady(t, s.output, s.log)
	s.signal(unix.SIGTERM)
	return s
}

// awaitReady waits until all children are ready, and those that crash are reaped.
func (m matrix) awaitReady(t *testing.T, output, log *lines) {
	t.Helper()
	m.awaitReadyAnd(t, 0, output, log)
}

// awaitReadyAnd does the same with others more children that print "ready".
func (m matrix) awaitReadyAnd(t *testing.T, others int, output, log *lines) {
	t.Helper()
	await := func(in *lines, what string, n int, is func(string) bool) {
		t.Helper()
		seen := 0
		if _, _, err := in.find(0, func(line string) bool {
			if is(line) {
				seen++
			}
			return seen >= n
		}); err != nil {
			t.Fatalf("%d of %d are %s: %v", seen, n, what, err)
		}
	}
	await(output, "ready", m.readyLines()+others, func(line string) bool {
		return line == "ready" || strings.HasSuffix(line, "] ready")
	})
	if n := m.counts["crash"]; n > 0 {
		await(log, "reaped", n, func(line string) bool {
			return strings.Contains(line, `"child reaped"`)
		})
	}
}

// needPython returns the path of Python 3.10 or later, and skips t without one. The supervisor
// under test has a PATH of system directories only.
func needPython(t *testing.T) (path string) {
	t.Helper()
	needs.Check(t, "python")
	path = "/usr/bin/python3"
	out, err := exec.Command(path, "-c", "import os, ctypes; os.eventfd").CombinedOutput()
	if err != nil {
		needs.Skip(t, "python", fmt.Sprintf("not 3.10 or later: %v: %s", err, out))
	}
	return path
}

// programOf returns the command of the fixture in a language on this machine. It skips t where
// the language is missing.
func programOf(t *testing.T, language string) []string {
	t.Helper()
	switch language {
	case "C":
		needs.Check(t, "gcc")
	case "Python":
		script, err := filepath.Abs("../supervisor/fixture/truth.py")
		if err != nil {
			t.Fatal(err)
		}
		return []string{needPython(t), "-ISE", script}
	}
	return languages[language]
}

// TestMatrix runs 570 stops, or as many as SUPERVISOR_MATRIX says. It repeats a round in which
// a proof had no time.
func TestMatrix(t *testing.T) {
	least, _ := strconv.Atoi(os.Getenv("SUPERVISOR_MATRIX"))
	var sum result
	began := time.Now()
	for round := 0; !t.Failed() && (round == 0 || sum.stops < least); round++ {
		for _, language := range slices.Sorted(maps.Keys(languages)) {
			for _, rough := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/%d", language, rough, round), func(t *testing.T) {
					m := matrix{program: programOf(t, language), seed: 100 * round,
						mayMissExec: language == "Go" && os.Geteuid() != 0,
						counts:      spread(matrixSize, rough)}
					for attempt := 1; ; attempt++ {
						r := m.round(t)
						sum.stops += r.stops
						sum.mismatches = append(sum.mismatches, r.mismatches...)
						sum.unproven = append(sum.unproven, r.unproven...)
						if len(r.unproven) == 0 || t.Failed() {
							return
						}
						if attempt == matrixAttempts {
							t.Errorf("not proven in %d tries: %q", attempt, r.unproven)
							return
						}
					}
				})
			}
		}
	}
	t.Logf("%d stops, %d mismatches, %d proofs without time, %.1f s",
		sum.stops, len(sum.mismatches), len(sum.unproven), time.Since(began).Seconds())
}

const (
	matrixSize     = 100
	matrixAttempts = 4
)

// round runs one stop of the matrix and judges it.
func (m matrix) round(t *testing.T) result {
	s := m.stop(t)
	e := s.expectStop(m.verdict())
	r := m.judge(entries(s.log.text()), s.output.text(), "exact")
	if len(r.unproven) > 0 { // what was below those is not told either; the round is made again
		r.mismatches = nil
		return r
	}
	reportMismatches(t, r.mismatches)
	e.expect(t, "spawned", matrixSize, "orphans", 0)
	return r
}

// TestMatrixOfReloads does the same for stops by a reload: each process is replaced by another
// edition, then its child is removed.
func TestMatrixOfReloads(t *testing.T) {
	least, _ := strconv.Atoi(os.Getenv("SUPERVISOR_MATRIX"))
	var sum result
	for round := 0; !t.Failed() && (round == 0 || sum.stops < least); round++ {
		for _, language := range slices.Sorted(maps.Keys(languages)) {
			t.Run(fmt.Sprintf("%s/%d", language, round), func(t *testing.T) {
				m := matrix{program: programOf(t, language), seed: 100 * round,
					mayMissExec: language == "Go" && os.Geteuid() != 0,
					counts:      spread(matrixSize/2, false)}
				for attempt := 1; ; attempt++ {
					r := m.replace(t)
					sum.stops += r.stops
					sum.mismatches = append(sum.mismatches, r.mismatches...)
					if len(r.unproven) == 0 || t.Failed() {
						return
					}
					if attempt == matrixAttempts {
						t.Errorf("not proven in %d tries: %q", attempt, r.unproven)
						return
					}
				}
			})
		}
	}
	t.Logf("%d stops in reloads, %d mismatches", sum.stops, len(sum.mismatches))
}

// replace replaces all processes in one reload, removes them in another one, and judges both.
func (m matrix) replace(t *testing.T) result {
	t.Helper()
	keep := fixture("keep", "sleep", "")
	m.more = "env = { EDITION = \"1\" }"
	s := start(t, keep+m.config())
	m.awaitReady(t, s.output, s.log)
	m.more = "env = { EDITION = \"2\" }"
	at := s.log.count()
	s.reload(keep + m.config())
	s.awaitEntryFrom(at, "config reloaded", "added", "[]", "removed", "[]")
	both := m
	both.counts = map[string]int{}
	for end, n := range m.counts {
		both.counts[end] = 2 * n
	}
	s.awaitLine("ready")                      // of the child that is kept
	both.awaitReadyAnd(t, 1, s.output, s.log) // and that one
	at = s.log.count()
	s.reload(keep)
	s.awaitEntryFrom(at, "config reloaded", "added", "[]", "changed", "[]")
	s.signal(unix.SIGTERM)
	e := s.expectStop(0, "graceful") // what they left, they left before the stop
	if e.int("fds_left_before") == 0 {
		t.Errorf("got %v, want fds_left_before above 0", e)
	}
	var log []entry
	for _, e := range entries(s.log.text()) {
		if e["child"] != "keep" && e["owner"] != "keep" {
			log = append(log, e)
		}
	}
	r := both.judge(log, s.output.text(), "exact")
	if len(r.unproven) > 0 {
		r.mismatches = nil
		return r
	}
	reportMismatches(t, r.mismatches)
	if want := 2*matrixSize/2 + 1; e.int("spawned") != want || e.int("orphans") != 0 {
		t.Errorf("%v, want %d spawned", e, want)
	}
	return r
}

// TestMatrixWithoutProof shows that the matrix can fail: without the exact proof the log
// differs from the truth.
func TestMatrixWithoutProof(t *testing.T) {
	m := matrix{program: programOf(t, "C"), counts: spread(100, false)}
	for _, proof := range []string{"sampled", "none"} {
		m.proof = proof
		s := m.stop(t)
		if code := s.exitCode(); code != 0 {
			t.Errorf("%s: exit code %d", proof, code)
		}
		log := entries(s.log.text())
		asExact, asSuch := m.judge(log, s.output.text(), "exact"),
			m.judge(log, s.output.text(), proof)
		t.Logf("%s: %d stops, %d mismatches as exact, %d as the proof that is logged", proof,
			asExact.stops, len(asExact.mismatches), len(asSuch.mismatches))
		if len(asExact.mismatches) < asExact.stops || len(asSuch.mismatches) == 0 {
			t.Errorf("%s: no mismatch without the exact proof, so the matrix cannot fail", proof)
		}
		said := 0
		for _, e := range log {
			if e["proof"] == "exact" {
				t.Errorf("got proof=exact in %v", e)
			}
			if e.matches("fd closed", "proof", "sampled") {
				said++
			}
		}
		if (said > 0) != (proof == "sampled") {
			t.Errorf("%s: %d entries with proof=sampled", proof, said)
		}
	}
}

// TestTracedChild checks that a child with another tracer has no exact proof, with the reason
// in the log, and stops as usual.
func TestTracedChild(t *testing.T) {
	s := start(t, fixture("c", "traced", ""))
	s.awaitLine("[c] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	e := s.awaitEntry("proof unavailable", "child", "c", "proof", "sampled")
	tracer, _, _ := s.output.find(0, func(line string) bool {
		return strings.Contains(line, "traced by ")
	})
	if want := "it is traced already, by pid " +
		tracer[strings.LastIndex(tracer, " ")+1:]; e["reason"] != want {
		t.Errorf("got the reason %v, want %s", e["reason"], want)
	}
	s.awaitEntry("child reaped", "child", "c", "code", 0)
}

// TestSupervisorIsKilledDuringExitStop kills the supervisor while a thread of a child is in
// its exit stop. The kernel detaches, and all processes end as usual.
func TestSupervisorIsKilledDuringExitStop(t *testing.T) {
	// With format inherit the output does not go through the supervisor, whose end would cause
	// SIGPIPE. A twin would get no signal: only children have a parent death signal.
	m := matrix{program: programOf(t, "C"), counts: spread(66, false),
		more: `logs { format = "inherit" }`}
	delete(m.counts, "fork-late")
	for range 20 {
		s := prepare(t, m.config())
		s.cmd.Args = append([]string{"fixture", "reaper", s.cmd.Path}, s.cmd.Args[1:]...)
		s.cmd.Path = filepath.Join(bin, "fixture")
		s.launch()
		m.awaitReady(t, s.output, s.log)
		who := endingsByPID(s)
		var super int
		line, _, _ := s.output.find(0, func(line string) bool {
			return strings.HasPrefix(line, "supervisor ")
		})
		if _, err := fmt.Sscanf(line, "supervisor %d", &super); err != nil {
			t.Fatal(err)
		}
		_ = unix.Kill(super, unix.SIGTERM)
		held := killDuringExitStop(super)
		s.exitCode()
		reaped := 0
		for line := range strings.SplitSeq(s.output.text(), "\n") {
			var pid, code, sig int
			if n, _ := fmt.Sscanf(line, "reaped %d code %d signal %d", &pid, &code, &sig); n != 3 ||
				pid == super {
				continue
			}
			reaped++
			w, ok := who[pid]
			if signal := unix.SignalName(unix.Signal(sig)); ok &&
				(code != w.code || signal != w.signal) {
				t.Errorf("%s: exit code %d, signal %q, want %d and %q", w.name, code, signal,
					w.code, w.signal)
			}
		}
		if held > 0 {
			if reaped == 0 {
				t.Error("no process ended after the supervisor")
			}
			t.Logf("killed during %d exit stops; %d processes ended afterwards", held, reaped)
			return
		}
	}
	t.Error("no exit stop was seen in 20 tries")
}

func endingsByPID(s *supervisor) map[int]ending {
	all := map[int]ending{}
	for _, e := range entries(s.log.text()) {
		if e.matches("child spawned") {
			all[e.int("pid")] = endingOf(fmt.Sprint(e["child"]))
		}
	}
	return all
}

// killDuringExitStop kills a supervisor while threads of its children are in their exit stop,
// and returns their number. It stops the supervisor for each look, so that the state cannot
// change. It returns 0 if the supervisor ended before.
func killDuringExitStop(pid int) (held int) {
	for begin := time.Now(); time.Since(begin) < limit; {
		if unix.Kill(pid, unix.SIGSTOP) != nil || !awaitStopped(pid) {
			return 0
		}
		if held = exitStops(pid); held > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
			return held
		}
		_ = unix.Kill(pid, unix.SIGCONT)
	}
	return 0
}

// awaitStopped waits until each thread of a process is stopped. It returns false if the
// process ended.
func awaitStopped(pid int) bool {
	for begin := time.Now(); time.Since(begin) < limit; {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		running := 0
		for _, path := range threads {
			b, _ := os.ReadFile(path)
			_, stat, _ := strings.Cut(string(b), ") ")
			switch {
			case strings.HasPrefix(stat, "Z"), strings.HasPrefix(stat, "X"):
				return false
			case !strings.HasPrefix(stat, "T"):
				running++
			}
		}
		if len(threads) == 0 || running == 0 {
			return len(threads) > 0
		}
	}
	return false
}

// exitStops counts the threads of a process's children that are in a ptrace stop in
// exit_group(2).
func exitStops(pid int) (n int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(b)) {
			threads, _ := filepath.Glob("/proc/" + child + "/task/*")
			for _, dir := range threads {
				stat, _ := os.ReadFile(dir + "/stat")
				call, _ := os.ReadFile(dir + "/syscall")
				if strings.Contains(string(stat), ") t ") &&
					strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_EXIT_GROUP, " ")) {
					n++
				}
			}
		}
	}
	return n
}

func reportMismatches(t *testing.T, mismatches []string) {
	t.Helper()
	for i, m := range mismatches {
		if i == 5 {
			t.Errorf("and %d more", len(mismatches)-i)
			break
		}
		t.Errorf("%.2000s", m)
	}
}
