//go:build faults

package acceptance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/inject"
	"tp0/supervisor/fixture/needs"
)

// The phases of a run with a fault.
var faultPhases = []string{"start", "status", "reload", "stop"}

const (
	faultDeadline = 2 * time.Second
	// faultPatience is how long a phase waits for its end once the log names a failure. It is
	// longer than the timeouts of the configuration.
	faultPatience = 1500 * time.Millisecond
	// faultLimit is how long a phase waits for its end if the log names no failure.
	faultLimit = 6 * time.Second
)

// faultConfig is the configuration of a run with a fault. Its arguments are the directory of the
// run, a port, and a value whose change restarts job.
const faultConfig = `
log_format = "json"
log_level  = "info"
shutdown { deadline = "2s" }
child "web" {
  command = "fixture"
  args    = ["web", "127.0.0.1:%[2]s"]
  ready {
    tcp     = "127.0.0.1:%[2]s"
    timeout = "1s"
  }
  listen "x" { unix = "%[1]s/listen.sock" }
  restart {
    on        = "never"
    min_ready = "0s"
  }
  on_failure = "ignore"
}
child "job" {
  command = "/bin/sh"
  args    = ["-c", "echo up; exec fixture notify now"]
  env     = { GENERATION = %[3]d }
  nice    = 1
  ready {
    notify  = true
    timeout = "1s"
  }
  check "alive" {
    exec     = ["fixture", "exit", "0"]
    interval = "200ms"
    timeout  = "1s"
  }
  logs { stdout = "%[1]s/job.log" }
  restart {
    on        = "never"
    min_ready = "0s"
  }
  on_failure = "ignore"
}
`

// faultSite is a place where a system call can fail.
type faultSite struct {
	call, target, phase string
	forked              bool
}

// faultCase lets a system call fail. An empty target means every target.
type faultCase struct {
	faultSite
	errno  unix.Errno
	always bool // from phase on, else the first call in phase
}

func (c faultCase) String() string {
	often := "once"
	if c.always {
		often = "always"
	}
	by := "supervisor"
	if c.forked {
		by = "forked process"
	}
	return fmt.Sprintf("%s %s %s %s %s (%s)", c.call, unix.ErrnoName(c.errno), often, c.phase,
		c.target, by)
}

// faultRun is one run of a supervisor with a fault, or with none.
type faultRun struct {
	dir, port string
	cmd       *exec.Cmd
	log       *lines
	injector  inject.Injector
	exited    chan struct{}
	read      chan struct{} // closed once the log is read to its end

	mu    sync.Mutex // guards the rest
	phase int
	fault *faultCase
	hits  int
	sites map[faultSite]int

	status   error
	statusIn string
	late     time.Duration // of the exit, after the deadline
	left     []string      // processes after the exit
}

// decide lets the call of the fault fail, and counts the places of all calls.
func (r *faultRun) decide(c inject.Call) unix.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	site := faultSite{c.Name, c.Target, faultPhases[r.phase], c.Forked}
	r.sites[site]++
	f := r.fault
	switch {
	case f == nil || f.call != c.Name || f.forked != c.Forked,
		f.target != "" && f.target != c.Target,
		f.always && r.phase < slices.Index(faultPhases, f.phase),
		!f.always && (r.hits > 0 || f.phase != site.phase),
		impossible(c.Name, c.Target, f.errno):
		return 0
	}
	r.hits++
	return f.errno
}

func (r *faultRun) enter(phase int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = phase
}

// await waits until enough returns true for the log, the supervisor ends, or the phase has had its
// time.
func (r *faultRun) await(enough func([]entry) bool) {
	late, named := time.After(faultLimit), time.After(faultPatience)
	for {
		r.log.mu.Lock()
		more, done := r.log.changed, r.log.done
		r.log.mu.Unlock()
		if done || enough(r.log.entries(0, r.log.count())) {
			return
		}
		select {
		case <-more:
		case <-r.exited:
			return
		case <-late:
			return
		case <-named:
			if r.named() != "" || r.logFails() {
				return
			}
			named = time.After(faultPatience)
		}
	}
}

// allReady reports whether the start is over.
func allReady(log []entry) bool {
	return slices.ContainsFunc(log, func(e entry) bool { return e.matches("all children ready") })
}

// reloadOver reports whether job runs again with the new configuration, or the reload ended early.
func reloadOver(log []entry) bool {
	ready, reloaded := 0, false
	for _, e := range log {
		switch {
		case e.matches("child ready", "child", "job"):
			ready++
		case e.matches("config reloaded"):
			reloaded = true
		case e.matches("reload halted"), e.matches("config rejected"):
			return true
		}
	}
	return ready > 1 && reloaded
}

func (r *faultRun) configure(generation int) error {
	text := fmt.Sprintf(faultConfig, r.dir, r.port, generation)
	path := filepath.Join(r.dir, "supervisor.hcl")
	if err := os.WriteFile(path+".next", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".next", path) // the supervisor watches the file
}

// runFault runs a supervisor through the four phases.
func runFault(dir string, fault *faultCase, calls []string) (*faultRun, error) {
	r := &faultRun{dir: dir, log: newLines(), exited: make(chan struct{}), fault: fault,
		read: make(chan struct{}), sites: map[faultSite]int{}}
	r.injector.Dirs = map[string]string{dir: "DIR", bin: "BIN"}
	r.injector.Decide = r.decide
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	l.Close()
	if err := r.configure(1); err != nil {
		return nil, err
	}
	if err := r.launch(calls); err != nil {
		return nil, err
	}
	r.await(allReady)
	r.enter(1)
	r.askStatus()
	r.enter(2)
	if err := r.configure(2); err != nil {
		return nil, err
	}
	_ = r.cmd.Process.Signal(unix.SIGHUP)
	r.await(reloadOver)
	r.enter(3)
	r.stop()
	return r, nil
}

// launch starts the supervisor under the injector.
func (r *faultRun) launch(calls []string) error {
	r.cmd = exec.Command(filepath.Join(bin, "supervisor"), "run", "--watch",
		"--config", filepath.Join(r.dir, "supervisor.hcl"),
		"--report", filepath.Join(r.dir, "report.json"))
	r.cmd.Env = append(os.Environ(), "PATH="+bin+":/usr/bin:/bin", "SUPERVISOR_FAULT_DIR="+r.dir)
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	r.cmd.Stderr = write
	if err := r.injector.Wrap(r.cmd, filepath.Join(bin, "fixture"), calls...); err != nil {
		return err
	}
	err = r.cmd.Start()
	write.Close()
	if err != nil {
		return err
	}
	go func() {
		r.log.read(read)
		read.Close()
		close(r.read)
	}()
	if err := r.injector.Started(r.cmd); err != nil {
		_ = r.cmd.Process.Kill()
		return errors.Join(err, r.cmd.Wait())
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.exited)
	}()
	return nil
}

// askStatus runs supervisorctl status, which has no fault itself.
func (r *faultRun) askStatus() {
	ctx, cancel := context.WithTimeout(context.Background(), faultPatience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(bin, "supervisorctl"), "status", "--config",
		filepath.Join(r.dir, "supervisor.hcl"))
	out, err := c.CombinedOutput()
	r.status, r.statusIn = err, string(out)
}

// stop sends SIGTERM, waits for the exit, and looks for processes that are left. A supervisor that
// does not end is killed 3 s after its deadline.
func (r *faultRun) stop() {
	wakeUp := make(chan time.Duration, 1)
	go func() { wakeUp <- latestWakeUp(r.exited) }()
	began := time.Now()
	_ = r.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(faultDeadline + 3*time.Second):
		_ = r.cmd.Process.Kill()
		<-r.exited
	}
	r.late = time.Since(began) - faultDeadline - <-wakeUp
	select {
	case <-r.injector.Done():
	case <-time.After(time.Second):
		r.killLeft()
		<-r.injector.Done()
	}
	<-r.read
}

// killLeft ends the processes with the environment of the run.
func (r *faultRun) killLeft() {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		environ, _ := os.ReadFile(path)
		var pid int
		if strings.Contains(string(environ), "SUPERVISOR_FAULT_DIR="+r.dir+"\x00") {
			if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil && pid != os.Getpid() {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				r.left = append(r.left, strings.ReplaceAll(string(name), "\x00", " "))
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

// faultFacts are what a run did for its user. A fault may change them only if the log names it.
type faultFacts struct {
	Code, Ready, Reloads, Spawned, Reaped, Exact, Lines int
	Verdict                                             string
	Status, Report, Complete                            bool
}

func (r *faultRun) facts() faultFacts {
	f := faultFacts{Code: r.cmd.ProcessState.ExitCode(), Status: r.status == nil}
	_, err := os.Stat(filepath.Join(r.dir, "report.json"))
	f.Report = err == nil
	text, _ := os.ReadFile(filepath.Join(r.dir, "job.log"))
	f.Lines = strings.Count(string(text), "up\n")
	for _, e := range r.log.entries(0, r.log.count()) {
		switch e["@message"] {
		case "child ready":
			f.Ready++
		case "config reloaded":
			f.Reloads = 1
		case "child reaped":
			if e["proof"] == "exact" {
				f.Exact++
			}
		case "shutdown complete":
			f.Complete, f.Verdict = true, fmt.Sprint(e["verdict"])
			f.Spawned, f.Reaped = e.int("spawned"), e.int("reaped")
		}
	}
	return f
}

// named returns the first thing in the log that a run without a fault does not have: a warning, an
// error, or a text that is no log entry.
func (r *faultRun) named() string {
	for line := range strings.Lines(r.log.text()) {
		var e entry
		if json.Unmarshal([]byte(line), &e) != nil {
			return strings.TrimSpace(line)
		}
		switch e["@message"] {
		case "reload ignored": // of the two reloads, by SIGHUP and by the watch
			continue
		case "signal sent", "child slow to stop", "child reaped", "shutdown complete":
			continue // they follow from a failure and do not name it
		}
		level := e["@level"]
		if e["@message"] == "proof unavailable" {
			level = "warn"
		}
		switch level {
		case "warn", "error":
			for _, key := range []string{"error", "reason", "detail"} {
				if e[key] != nil {
					return fmt.Sprintf("%v: %v", e["@message"], e[key])
				}
			}
			return fmt.Sprint(e["@message"])
		}
	}
	if r.status != nil {
		return "status: " + strings.TrimSpace(r.statusIn)
	}
	return ""
}

var crash = regexp.MustCompile(`(?m)^(panic:|fatal error:|runtime:|SIG[A-Z]+:).*`)

// judge returns the outcome of a run, and what is wrong with it.
func (r *faultRun) judge(want faultFacts) (outcome, wrong string) {
	got, name := r.facts(), r.named()
	text := r.log.text()
	var faults []string
	if c := crash.FindString(text); c != "" {
		if got.Spawned == 0 && !strings.Contains(text, `"child spawned"`) {
			return "The Go runtime ends the supervisor before the first child: `" + c + "`", ""
		}
		faults = append(faults, "crash: "+c)
	}
	if len(r.left) > 0 {
		faults = append(faults, fmt.Sprintf("left behind: %q", r.left))
	}
	if !slices.Contains([]int{0, 1, 2, 3, 124}, got.Code) {
		faults = append(faults, fmt.Sprintf("exit code %d", got.Code))
	}
	refused := got.Code != 0 && name != "" && !strings.Contains(text, `"child spawned"`) &&
		!got.Complete
	if !got.Complete && !refused && !r.logFails() {
		faults = append(faults, "no last line")
	}
	if r.late > 250*time.Millisecond {
		faults = append(faults, fmt.Sprintf("late by %v", r.late.Round(time.Millisecond)))
	}
	byGuard := got.Verdict == "forced" && r.needsGuard()
	if got.Spawned != got.Reaped && !byGuard && !strings.Contains(text, "left behind") {
		faults = append(faults, fmt.Sprintf("spawned %d, reaped %d", got.Spawned, got.Reaped))
	}
	switch {
	case refused:
		outcome = "refused to start: " + name
	case name != "":
		outcome = fmt.Sprintf("code %d, %s: %s", got.Code, got.Verdict, name)
	case got == want:
		outcome = "nothing lost"
	case byGuard:
		outcome = fmt.Sprintf("code %d, forced, by the last guard", got.Code)
	case r.logFails():
		outcome = fmt.Sprintf("code %d, the log cannot be written", got.Code)
	default:
		faults = append(faults, fmt.Sprintf("silent loss: got %+v, want %+v", got, want))
	}
	return outcome, strings.Join(faults, "; ")
}

// needsGuard reports whether the fault can leave only the last guard to end the stop: a kill(2)
// that has no effect, or the pipe of Go's fork, whose failed read makes [syscall.ForkExec] wait for
// the end of the child.
func (r *faultRun) needsGuard() bool {
	f := r.fault
	return f != nil && !f.forked &&
		(f.call == "kill" || f.call == "read" && strings.HasPrefix(f.target, "pipe:"))
}

// logFails reports whether the log itself could not be written.
func (r *faultRun) logFails() bool {
	f := r.fault
	return f != nil && (f.call == "write" || f.call == "pwritev2") && f.always && !f.forked
}

// faultCases are the cases for the places that a run without a fault has.
func faultCases(sites map[faultSite]int) (cases []faultCase) {
	order := slices.SortedFunc(maps.Keys(sites), func(a, b faultSite) int {
		return strings.Compare(faultCase{faultSite: a}.String(), faultCase{faultSite: b}.String())
	})
	for _, system := range inject.Systems {
		seen, places := map[faultSite]bool{}, 0
		for _, s := range order {
			if s.call != system.Name {
				continue
			}
			every := faultSite{s.call, "", s.phase, s.forked}
			if !seen[every] {
				places = 0
			}
			places++
			for i, errno := range system.Errnos {
				// From the third place on, a place has one of the errors, in turn.
				if impossible(s.call, s.target, errno) ||
					places > 2 && i != places%len(system.Errnos) {
					continue
				}
				cases = append(cases, faultCase{s, errno, false})
				if !seen[every] && lasts(errno) {
					cases = append(cases, faultCase{every, errno, true})
				}
			}
			seen[every] = true
		}
	}
	return cases
}

// impossible reports whether the kernel has no such error for a call. A call about an eventfd or
// epoll descriptor of Go's runtime has only EINTR; the runtime ends the process on another error.
// PTRACE_CONT and PTRACE_DETACH fail only for a thread that was killed. A thread that was not
// killed and does not continue is stopped until the SIGKILL of the stop.
func impossible(call, target string, errno unix.Errno) bool {
	if call == "ptrace" {
		return target == strconv.Itoa(unix.PTRACE_CONT) ||
			target == strconv.Itoa(unix.PTRACE_DETACH)
	}
	return strings.HasPrefix(target, "anon_inode:") && errno != unix.EINTR
}

// lasts reports whether a call can fail with errno again and again. The supervisor repeats a call
// that a signal interrupted, and the kernel returns ECHILD only to a process without children.
func lasts(errno unix.Errno) bool {
	return errno != unix.EINTR && errno != unix.ECONNABORTED && errno != unix.ECHILD
}

// chosenFaults returns the cases that SUPERVISOR_FAULTS selects: all, those that a regular
// expression matches, or by default about 40, which have each system call.
func chosenFaults(t *testing.T, cases []faultCase) (chosen []faultCase) {
	choice := os.Getenv("SUPERVISOR_FAULTS")
	if choice == "all" {
		return cases
	}
	if choice != "" {
		fits, err := regexp.Compile(choice)
		if err != nil {
			t.Fatalf("SUPERVISOR_FAULTS is no regular expression: %v", err)
		}
		for _, c := range cases {
			if fits.MatchString(c.String()) {
				chosen = append(chosen, c)
			}
		}
		return chosen
	}
	of := map[string][]faultCase{}
	for _, c := range cases {
		of[c.call] = append(of[c.call], c)
	}
	for i, name := range slices.Sorted(maps.Keys(of)) {
		chosen = append(chosen, of[name][(i*7)%len(of[name])])
	}
	return chosen
}

// TestFaults lets system calls of the supervisor fail while it starts, answers, reloads and stops.
func TestFaults(t *testing.T) {
	var calls []string
	for _, s := range inject.Systems {
		calls = append(calls, s.Name)
	}
	all, err := runFault(t.TempDir(), nil, calls)
	if err != nil {
		needs.Skip(t, "seccomp", err)
	}
	// A run whose calls all go through the injector is slow. The facts are those of a run that is
	// as fast as the runs with a fault.
	clean, err := runFault(t.TempDir(), nil, []string{"flock"})
	if err != nil {
		t.Fatal(err)
	}
	want := clean.facts()
	if !want.Complete || want.Code != 0 || want.Ready != 3 || !want.Status || want.Exact != 3 {
		t.Fatalf("a run without a fault: got %+v, and %q\n%s", want, clean.statusIn,
			clean.log.text())
	}
	cases := chosenFaults(t, faultCases(all.sites))
	results := make([]faultResult, len(cases))
	next := make(chan int)
	var workers sync.WaitGroup
	for range 3 { // most of a run is a wait
		workers.Go(func() {
			for i := range next {
				results[i] = runCase(t, cases[i], want)
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	workers.Wait()
	writeFaults(t, results)
}

// faultResult is what became of a case.
type faultResult struct {
	faultCase
	called         bool
	outcome, wrong string
}

// runCase runs a case and judges it.
func runCase(t *testing.T, c faultCase, want faultFacts) faultResult {
	r, err := runFault(t.TempDir(), &c, []string{c.call})
	if err != nil {
		t.Errorf("%v: %v", c, err)
		return faultResult{faultCase: c}
	}
	outcome, wrong := r.judge(want)
	outcome = strings.ReplaceAll(strings.ReplaceAll(outcome, r.dir, "DIR"), "|", "\\|")
	if wrong != "" {
		t.Errorf("%v: %s\n%s", c, wrong, r.log.text())
	}
	return faultResult{c, r.hits > 0, outcome, wrong}
}

// writeFaults prints each result, and writes the table to the file that SUPERVISOR_FAULTS_TABLE
// names. A row has each different outcome of a system call, an error, a phase and a frequency.
func writeFaults(t *testing.T, results []faultResult) {
	var rows []string
	outcomes := map[string][]string{}
	called := 0
	for _, r := range results {
		t.Logf("%v: called %v: %s %s", r.faultCase, r.called, r.outcome, r.wrong)
		if !r.called {
			continue
		}
		called++
		often := "once"
		if r.always {
			often = "for good"
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", r.call, unix.ErrnoName(r.errno), r.phase,
			often)
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
		text := r.outcome
		if r.wrong != "" {
			text = "**" + r.wrong + "**"
		}
		if text = pids.ReplaceAllString(text, "N"); !slices.Contains(outcomes[row], text) {
			outcomes[row] = append(outcomes[row], text)
		}
	}
	t.Logf("%d cases, %d with a fault", len(results), called)
	if called < len(results)*3/4 {
		t.Errorf("only %d of %d cases made a call fail", called, len(results))
	}
	path := os.Getenv("SUPERVISOR_FAULTS_TABLE")
	if path == "" {
		return
	}
	table := "| system call | error | phase | how often | outcome |\n|---|---|---|---|---|\n"
	for _, row := range rows {
		table += row + " " + strings.Join(outcomes[row], "<br>") + " |\n"
	}
	if err := os.WriteFile(path, []byte(table), 0o600); err != nil {
		t.Error(err)
	}
}

// pids are numbers that differ from one run to the next.
var pids = regexp.MustCompile(`[0-9]{3,}`)
