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

// What the supervisor says of the descriptors of a child, against what the
// child itself says: every way to end, in three languages, a hundred at a time.
// See supervisor/fixture/truth.go.

// way is a way to end, and what must be told of it.
type way struct {
	end    string
	code   int
	signal string
	rough  bool // it makes the stop a forced one, or is none
}

var ways = []way{
	{end: "return"},
	{end: "exit:7", code: 7},
	{end: "thread-exit", code: 5},
	{end: "main-gone", code: 6},
	{end: "threads", code: 7},
	{end: "exec", code: 8},
	{end: "exec-thread", code: 8},
	{end: "fork"},
	{end: "fork-late"},
	{end: "signal", signal: "SIGTERM"},
	{end: "abort", signal: "SIGABRT"},
	{end: "killme", signal: "SIGKILL", rough: true},
	{end: "crash", code: 3, rough: true},
}

// languages are how the fixture is run in each.
var languages = map[string][]string{
	"C":      {"truth"},
	"Go":     {"fixture", "truth"},
	"Python": {"python3", "-ISE", "truth.py"},
}

// matrix is some children of one language and how each of them ends.
type matrix struct {
	program []string
	more    string // of each child block
	seed    int
	counts  map[string]int // by way
	proof   string         // empty: exact
	blind   bool           // what is forked in the stop and executes a program may end unseen: it could be set-user-ID
}

// ofSize shares out so many children among the ways.
func ofSize(size int, rough bool) map[string]int {
	var mine []string
	for _, w := range ways {
		if rough || !w.rough {
			mine = append(mine, w.end)
		}
	}
	counts := map[string]int{}
	for i := range size {
		counts[mine[i%len(mine)]]++
	}
	return counts
}

// child is the name of the block of a way.
func (w way) child() string { return strings.ReplaceAll(w.end, ":", "-") + "-" }

func (m matrix) config() string {
	hcl := fmt.Sprintf("shutdown {\n  proof = %q\n}\n", cmp.Or(m.proof, "exact"))
	for i, w := range ways {
		if m.counts[w.end] == 0 {
			continue
		}
		args := fmt.Sprintf(`"${index + %d}", %q`, m.seed+1000*i, w.end)
		for _, a := range slices.Backward(m.program[1:]) {
			args = fmt.Sprintf("%q, ", a) + args
		}
		hcl += fmt.Sprintf("child %q {\n  command = %q\n  args = [%s]\n  count = %d\n  on_failure = \"ignore\"\n  restart {\n    on = \"never\"\n    max_parallel = 100\n  }\n%s\n",
			w.child(), m.program[0], args, m.counts[w.end], m.more)
		if w.end == "killme" {
			hcl += "kill_timeout = \"300ms\"\n"
		}
		hcl += "}\n"
	}
	return hcl
}

// readies says how many lines "ready" there will be.
func (m matrix) readies() (n int) {
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

// verdict is what the whole stop must be.
func (m matrix) verdict() (code int, verdict string) {
	if m.counts["killme"] > 0 {
		return 124, "forced"
	}
	return 0, "leaky"
}

// books are what is said of the descriptors of one process: "closed fd 7
// socket" and "kept fd 8 pipe", each as often as it is said.
type books map[string]int

// truths reads what the fixtures say, by pid.
func truths(output string) map[int]books {
	all := map[int]books{}
	for line := range strings.SplitSeq(output, "\n") {
		_, text, _ := strings.Cut(line, "] ")
		what, of, ok := strings.Cut(text, " of ")
		pid, err := strconv.Atoi(of)
		if !ok || err != nil || !strings.HasPrefix(what, "closed fd ") && !strings.HasPrefix(what, "kept fd ") {
			continue
		}
		if all[pid] == nil {
			all[pid] = books{}
		}
		all[pid][what]++
	}
	return all
}

// said reads what the log says, by pid, of what counts. With less than the
// proof that is wanted, the entry is another one.
func said(log []entry, proof string) map[int]books {
	all := map[int]books{}
	for _, e := range log {
		if !e.is("fd closed") || e["owner"] == "supervisor" || e["uncounted"] != nil {
			continue
		}
		what := map[any]string{"child": "closed", "kernel": "kept"}[e["by"]]
		what = fmt.Sprintf("%s fd %d %s", what, e.int("fd"), e["kind"])
		if e["proof"] != proof {
			what += fmt.Sprint(", ", e["proof"])
		}
		if all[e.int("pid")] == nil {
			all[e.int("pid")] = books{}
		}
		all[e.int("pid")][what]++
	}
	return all
}

func (b books) difference(truth books) (diff []string) {
	for what, n := range truth {
		for range n - b[what] {
			diff = append(diff, "not told: "+what)
		}
	}
	for what, n := range b {
		for range n - truth[what] {
			diff = append(diff, "not true: "+what)
		}
	}
	slices.Sort(diff)
	return diff
}

func (b books) count(verb string) (n int) {
	for what, times := range b {
		if strings.HasPrefix(what, verb+" ") {
			n += times
		}
	}
	return n
}

// result is the log held against the truth.
type result struct {
	stops      int
	mismatches []string // for each process of which something else is said than it did, what
	late       []string // processes of which it is said that there was no time for the proof, and why
}

// judge holds the log against the truth. The proof is the one that is wanted.
func (m matrix) judge(log []entry, output, proof string) (r result) {
	truth, told, late := truths(output), said(log, proof), lateProofs(log)
	wrong := map[int][]string{}
	complain := func(pid int, format string, args ...any) {
		wrong[pid] = append(wrong[pid], fmt.Sprintf(format, args...))
	}
	check := func(e entry, key string, want any) {
		if fmt.Sprint(e[key]) != fmt.Sprint(want) {
			complain(e.int("pid"), "%s: %s is %v, not %v", e["@message"], key, e[key], want)
		}
	}
	ended := map[int]string{}
	end := func(e entry, what string, code int, signal string) {
		pid := e.int("pid")
		if ended[pid] != "" {
			complain(pid, "ended twice")
		}
		ended[pid] = what
		if signal != "" {
			check(e, "signal", signal)
		} else {
			check(e, "code", code)
		}
		if late[pid] != "" {
			r.late = append(r.late, fmt.Sprintf("%s, pid %d: %s", what, pid, late[pid]))
			return
		}
		check(e, "fds_closed", truth[pid].count("closed"))
		check(e, "fds_left", truth[pid].count("kept"))
		if what == "crash" {
			check(e, "proof", "none")
		} else {
			check(e, "proof", proof)
		}
	}
	runs := map[string]int{}
	for _, e := range log {
		switch child := fmt.Sprint(e["child"]); {
		case e.is("child reaped"):
			w := wayOf(child)
			runs[w.end]++
			end(e, w.end, w.code, w.signal)
			if w.end != "crash" {
				r.stops++
			}
		case e.is("process ended", "end", "unseen") && wayOf(child).end == "fork" && m.blind:
			ended[e.int("pid")] = "fork, its helper"
			check(e, "proof", "none")
			delete(truth, e.int("pid"))
		case e.is("process ended") && wayOf(child).end == "fork":
			end(e, "fork, its helper", 33, "")
			check(e, "in_stop", true)
		case e.is("process ended"):
			end(e, "fork-late, its twin", 0, "")
			check(e, "in_stop", false)
		}
	}
	for pid := range truth {
		if late[pid] == "" {
			for _, d := range told[pid].difference(truth[pid]) {
				complain(pid, "%s", d)
			}
		}
		if ended[pid] == "" {
			complain(pid, "its end is not told")
		}
	}
	for pid, b := range told {
		if truth[pid] == nil {
			complain(pid, "it said nothing, and of it is said: %v", slices.Sorted(maps.Keys(b)))
		}
	}
	for what, n := range m.counts {
		if runs[what] != n {
			complain(0, "%s: %d runs, %d were reaped", what, n, runs[what])
		}
	}
	for pid, all := range wrong {
		r.mismatches = append(r.mismatches, fmt.Sprintf("%s, pid %d: %s", cmp.Or(ended[pid], "?"), pid, strings.Join(all, "; ")))
	}
	slices.Sort(r.mismatches)
	return r
}

// lateProofs are the reasons, by pid, of proofs that there was no time for: on
// a machine with too much to do the looks are bounded too. That is no untruth,
// but nothing is proven by it.
func lateProofs(log []entry) map[int]string {
	all := map[int]string{}
	for _, e := range log {
		reason := fmt.Sprint(e["reason"])
		late := strings.Contains(reason, "took more than") || strings.Contains(reason, "were still there")
		if (e.is("proof unavailable") || e.is("process ended")) && late {
			all[e.int("pid")] = reason
		}
	}
	return all
}

func wayOf(instance string) way {
	for _, w := range ways {
		if _, err := strconv.Atoi(strings.TrimPrefix(instance, w.child())); err == nil {
			return w
		}
	}
	return way{end: instance}
}

// entries reads a log, and leaves lines that are none.
func entries(text string) (all []entry) {
	for line := range strings.SplitSeq(text, "\n") {
		var e entry
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// stop runs the matrix under one supervisor until all are ready, and stops it.
func (m matrix) stop(t *testing.T) (s *super) {
	t.Helper()
	s = start(t, m.config())
	m.awaitReady(t, s.output, s.log)
	s.signal(unix.SIGTERM)
	return s
}

// awaitReady waits until all are ready, and those that crash have.
func (m matrix) awaitReady(t *testing.T, output, log *lines) {
	t.Helper()
	m.awaitReadyAnd(t, 0, output, log)
}

// awaitReadyAnd does so where others are ready too.
func (m matrix) awaitReadyAnd(t *testing.T, others int, output, log *lines) {
	t.Helper()
	await := func(in *lines, what string, n int, is func(string) bool) {
		t.Helper()
		seen := 0
		if _, _, err := in.from(0, func(line string) bool {
			if is(line) {
				seen++
			}
			return seen >= n
		}); err != nil {
			t.Fatalf("%d of %d are %s: %v", seen, n, what, err)
		}
	}
	await(output, "ready", m.readies()+others, func(line string) bool { return line == "ready" || strings.HasSuffix(line, "] ready") })
	if n := m.counts["crash"]; n > 0 {
		await(log, "reaped", n, func(line string) bool { return strings.Contains(line, `"child reaped"`) })
	}
}

// needPython returns the path of Python 3.10 or later, and skips t without one. The
// supervisor under test has a PATH of system directories only.
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

// programOf is how the fixture is run in a language on this machine.
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

// TestMatrix makes 570 stops, or as many as SUPERVISOR_MATRIX says. Where there
// was no time for a proof a round is made again: each must be proven whole.
func TestMatrix(t *testing.T) {
	least, _ := strconv.Atoi(os.Getenv("SUPERVISOR_MATRIX"))
	var sum result
	began := time.Now()
	for round := 0; !t.Failed() && (round == 0 || sum.stops < least); round++ {
		for _, language := range slices.Sorted(maps.Keys(languages)) {
			for _, rough := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/%d", language, rough, round), func(t *testing.T) {
					m := matrix{program: programOf(t, language), seed: 100 * round, counts: ofSize(matrixSize, rough)}
					for try := 1; ; try++ {
						r := m.round(t)
						sum.stops += r.stops
						sum.mismatches = append(sum.mismatches, r.mismatches...)
						sum.late = append(sum.late, r.late...)
						if len(r.late) == 0 || t.Failed() {
							return
						}
						if try == matrixTries {
							t.Errorf("not proven in %d tries: %q", try, r.late)
							return
						}
					}
				})
			}
		}
	}
	t.Logf("%d stops, %d mismatches, %d without the time for a proof, %.1f s",
		sum.stops, len(sum.mismatches), len(sum.late), time.Since(began).Seconds())
}

const (
	matrixSize  = 100
	matrixTries = 4
)

// round is one stop of the matrix, and its judgement.
func (m matrix) round(t *testing.T) result {
	s := m.stop(t)
	e := s.ends(m.verdict())
	r := m.judge(entries(s.log.text()), s.output.text(), "exact")
	if len(r.late) > 0 { // what was below those is not told either; the round is made again
		r.mismatches = nil
		return r
	}
	report(t, r.mismatches)
	if e.int("spawned") != matrixSize || e.int("orphans") != 0 {
		t.Errorf("%v", e)
	}
	return r
}

// TestMatrixOfReloads does the same for the ends that a reload brings about: each
// process is replaced by one of another edition, and then its child is removed.
func TestMatrixOfReloads(t *testing.T) {
	least, _ := strconv.Atoi(os.Getenv("SUPERVISOR_MATRIX"))
	var sum result
	for round := 0; !t.Failed() && (round == 0 || sum.stops < least); round++ {
		for _, language := range slices.Sorted(maps.Keys(languages)) {
			t.Run(fmt.Sprintf("%s/%d", language, round), func(t *testing.T) {
				m := matrix{program: programOf(t, language), seed: 100 * round, counts: ofSize(matrixSize/2, false)}
				for try := 1; ; try++ {
					r := m.replace(t)
					sum.stops += r.stops
					sum.mismatches = append(sum.mismatches, r.mismatches...)
					if len(r.late) == 0 || t.Failed() {
						return
					}
					if try == matrixTries {
						t.Errorf("not proven in %d tries: %q", try, r.late)
						return
					}
				}
			})
		}
	}
	t.Logf("%d stops in reloads, %d mismatches", sum.stops, len(sum.mismatches))
}

// replace replaces all processes of the matrix in one reload and removes them in
// another one, and judges both.
func (m matrix) replace(t *testing.T) result {
	t.Helper()
	keep := fixture("keep", "sleep", "")
	m.more = "env = { EDITION = \"1\" }"
	s := start(t, keep+m.config())
	m.awaitReady(t, s.output, s.log)
	m.more = "env = { EDITION = \"2\" }"
	at := s.log.count()
	s.reload(keep + m.config())
	s.waitFrom(at, "config reloaded", "added", "[]", "removed", "[]")
	both := m
	both.counts = map[string]int{}
	for end, n := range m.counts {
		both.counts[end] = 2 * n
	}
	s.prints("ready")                         // of the child that is kept
	both.awaitReadyAnd(t, 1, s.output, s.log) // and that one
	at = s.log.count()
	s.reload(keep)
	s.waitFrom(at, "config reloaded", "added", "[]", "changed", "[]")
	s.signal(unix.SIGTERM)
	e := s.ends(0, "graceful") // what they left, they left before the stop
	if e.int("fds_left_before") == 0 {
		t.Errorf("%v", e)
	}
	var log []entry
	for _, e := range entries(s.log.text()) {
		if e["child"] != "keep" && e["owner"] != "keep" {
			log = append(log, e)
		}
	}
	r := both.judge(log, s.output.text(), "exact")
	if len(r.late) > 0 {
		r.mismatches = nil
		return r
	}
	report(t, r.mismatches)
	if want := 2*matrixSize/2 + 1; e.int("spawned") != want || e.int("orphans") != 0 {
		t.Errorf("%v, want %d spawned", e, want)
	}
	return r
}

// The matrix would see it if the proof were none: with the mechanism switched
// off, what is told is not what was done.
func TestMatrixWithoutProof(t *testing.T) {
	m := matrix{program: programOf(t, "C"), counts: ofSize(100, false)}
	for _, proof := range []string{"sampled", "none"} {
		m.proof = proof
		s := m.stop(t)
		if code := s.code(); code != 0 {
			t.Errorf("%s: exit code %d", proof, code)
		}
		log := entries(s.log.text())
		asExact, asSuch := m.judge(log, s.output.text(), "exact"), m.judge(log, s.output.text(), proof)
		t.Logf("%s: %d stops, %d mismatches; %d if it is taken for what it says", proof, asExact.stops, len(asExact.mismatches), len(asSuch.mismatches))
		if len(asExact.mismatches) < asExact.stops || len(asSuch.mismatches) == 0 {
			t.Errorf("%s: nothing is missed without the proof", proof)
		}
		said := 0
		for _, e := range log {
			if e["proof"] == "exact" {
				t.Errorf("it is not: %v", e)
			}
			if e.is("fd closed", "proof", "sampled") {
				said++
			}
		}
		if (said > 0) != (proof == "sampled") {
			t.Errorf("%s: %d lines say sampled", proof, said)
		}
	}
}

// A child that somebody else traces already cannot be traced: that is said, and
// it ends as it would have.
func TestTracedChild(t *testing.T) {
	s := start(t, fixture("c", "traced", ""))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	e := s.wait("proof unavailable", "child", "c", "proof", "sampled")
	tracer, _, _ := s.output.from(0, func(line string) bool { return strings.Contains(line, "traced by ") })
	if want := "it is traced already, by pid " + tracer[strings.LastIndex(tracer, " ")+1:]; e["reason"] != want {
		t.Errorf("the reason is %v, not %s", e["reason"], want)
	}
	s.wait("child reaped", "child", "c", "code", 0)
}

// The supervisor is killed while a thread of a child stands in its exit: the
// kernel lets it go, and all end as they would have.
func TestKilledWhileAThreadIsHeld(t *testing.T) {
	// Their output does not go through the supervisor, whose end would be theirs
	// by SIGPIPE. A twin would not be told: only children have a parent death
	// signal.
	m := matrix{program: programOf(t, "C"), counts: ofSize(66, false), more: `logs { format = "inherit" }`}
	delete(m.counts, "fork-late")
	for range 20 {
		s := prepare(t, m.config())
		s.cmd.Args = append([]string{"fixture", "reaper", s.cmd.Path}, s.cmd.Args[1:]...)
		s.cmd.Path = filepath.Join(bin, "fixture")
		s.launch()
		m.awaitReady(t, s.output, s.log)
		who := wayOfPids(s)
		var super int
		line, _, _ := s.output.from(0, func(line string) bool { return strings.HasPrefix(line, "supervisor ") })
		if _, err := fmt.Sscanf(line, "supervisor %d", &super); err != nil {
			t.Fatal(err)
		}
		_ = unix.Kill(super, unix.SIGTERM)
		held := killWhileHeld(super)
		s.code()
		reaped := 0
		for line := range strings.SplitSeq(s.output.text(), "\n") {
			var pid, code, sig int
			if n, _ := fmt.Sscanf(line, "reaped %d code %d signal %d", &pid, &code, &sig); n != 3 || pid == super {
				continue
			}
			reaped++
			w, ok := who[pid]
			if signal := unix.SignalName(unix.Signal(sig)); ok && (code != w.code || signal != w.signal) {
				t.Errorf("%s ended with code %d signal %s", w.end, code, signal)
			}
		}
		if held > 0 {
			if reaped == 0 {
				t.Error("nobody was left to end")
			}
			t.Logf("killed while %d threads were held; %d processes ended afterwards", held, reaped)
			return
		}
	}
	t.Error("no thread was ever seen held")
}

func wayOfPids(s *super) map[int]way {
	all := map[int]way{}
	for _, e := range entries(s.log.text()) {
		if e.is("child spawned") {
			all[e.int("pid")] = wayOf(fmt.Sprint(e["child"]))
		}
	}
	return all
}

// killWhileHeld kills a supervisor in a moment in which threads below it stand
// in their exit, and says how many. It is stopped for each look, so that what is
// seen still holds. 0: it ended before there was one.
func killWhileHeld(pid int) (held int) {
	for begin := time.Now(); time.Since(begin) < limit; {
		if unix.Kill(pid, unix.SIGSTOP) != nil || !halted(pid) {
			return 0
		}
		if held = heldBelow(pid); held > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
			return held
		}
		_ = unix.Kill(pid, unix.SIGCONT)
	}
	return 0
}

// halted waits until each thread of a process is stopped; false: it ended.
func halted(pid int) bool {
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

// heldBelow counts the threads of the children of a process that are in a
// ptrace stop and in exit_group(2).
func heldBelow(pid int) (n int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(b)) {
			threads, _ := filepath.Glob("/proc/" + child + "/task/*")
			for _, dir := range threads {
				stat, _ := os.ReadFile(dir + "/stat")
				call, _ := os.ReadFile(dir + "/syscall")
				if strings.Contains(string(stat), ") t ") && strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_EXIT_GROUP, " ")) {
					n++
				}
			}
		}
	}
	return n
}

func report(t *testing.T, mismatches []string) {
	t.Helper()
	for i, m := range mismatches {
		if i == 5 {
			t.Errorf("and %d more", len(mismatches)-i)
			break
		}
		t.Errorf("%.2000s", m)
	}
}
