package acceptance

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fixture/needs"
)

// Tests with randomly drawn hostile children beside honest ones. See docs/testing.md.

const (
	hostileDeadline = time.Second
	hostileAtOnce   = 2                     // containers
	hostileLimit    = 30 * time.Second      // for the life of a container
	hostileReaction = 50 * time.Millisecond // for an honest child to end

	// How long a stop may take beyond its deadline: by elapsed_ms, by the clock of a PID 1 beside
	// the supervisor, and by the clock of the test, which includes the work of docker.
	hostileGrace   = 250 * time.Millisecond
	hostileOutside = 500 * time.Millisecond
	hostileDocker  = 5 * time.Second
)

// hostileSeeds are the seeds of every test run. Together they draw each behaviour at least
// once.
var hostileSeeds = []uint64{125, 82, 96, 80, 31, 178, 173, 36, 42, 59}

// hostileRegressions are seeds that found a fault, each with the behaviour that is enough to
// cause it.
var hostileRegressions = []hostile{
	// A helper in another session keeps the main process in its exit stop. Its dependencies got
	// SIGTERM and SIGKILL in the same millisecond, at the end of the stop.
	{seed: 3, only: "trace-main"},
	// PTRACE_SEIZE waits for an execve(2) that waits for a thread that a helper does not resume.
	// In the second seed the stop did not end.
	{seed: 3, only: "exec-held"},
	{seed: 59, only: "exec-held"},
	// The fd scans of processes with 20,000 descriptors took longer than the deadline. Honest
	// children were killed as orphans, without SIGTERM.
	{seed: 3, only: "descriptors"},
	{seed: 9, only: "descriptors"},
	// The supervisor needed a thread when no pid was left, and the Go runtime exited.
	{seed: 3, only: "take-pids"},
	{seed: 3, only: "threads"},
	// The dependencies of a child with a descendant that the supervisor may not signal got SIGTERM
	// and SIGKILL in the same millisecond.
	{seed: 43, only: "setuid-root"},
	// The fd scans of a tree in which each process has 20,000 descriptors delayed those of the
	// honest children until the deadline.
	{seed: 38},
	// Each reap of one of hundreds of survivors made the loop send SIGKILL to all others again.
	{seed: 121},
}

// TestHostile runs hostileSeeds and hostileRegressions. SUPERVISOR_HOSTILE=N runs the seeds 0
// to N-1, and SUPERVISOR_HOSTILE_SEED=N runs one. With SUPERVISOR_HOSTILE_ONLY=fork,chain each
// hostile child has these behaviours, with SUPERVISOR_HOSTILE_ONLY=each there is a container
// for each behaviour.
func TestHostile(t *testing.T) {
	seeds, only := hostileSeeds, os.Getenv("SUPERVISOR_HOSTILE_ONLY")
	if n, _ := strconv.Atoi(os.Getenv("SUPERVISOR_HOSTILE")); n > 0 {
		seeds = nil
		for i := range n {
			seeds = append(seeds, uint64(i))
		}
	}
	if s := os.Getenv("SUPERVISOR_HOSTILE_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	needs.Check(t, "docker")
	program := hostileProgram(t)
	image := hostileImage(t, program)
	byHand := only != "" || os.Getenv("SUPERVISOR_HOSTILE") != "" ||
		os.Getenv("SUPERVISOR_HOSTILE_SEED") != ""
	names := []string{only}
	if only == "each" {
		names = hostileBehaviours(t, program)
	}
	var all []hostile
	for _, name := range names {
		for _, seed := range seeds {
			all = append(all, hostile{seed: seed, only: name})
		}
	}
	if os.Getenv("SUPERVISOR_HOSTILE_SEED") == "" && only == "" {
		all = append(all, hostileRegressions...)
	}
	free := make(chan struct{}, hostileAtOnce)
	t.Run("seed", func(t *testing.T) {
		for _, h := range all {
			h.image, h.program = image, program
			t.Run(h.label(), func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				for attempt := 1; ; attempt++ {
					repeated := h
					repeated.draw(t)
					repeated.run()
					faults := repeated.judge()
					if faults == "" || t.Failed() {
						return
					}
					if !byHand && attempt < hostileAttempts {
						t.Logf("try %d of %d failed: %.300s", attempt, hostileAttempts, faults)
						continue
					}
					t.Error(faults)
					return
				}
			})
		}
	})
}

// hostileAttempts bounds how often the default run repeats a seed. The hostile programs take
// every processor and pid, so a stop can miss its deadline by a few milliseconds. A fault of
// the supervisor fails each time. A seed that is given by a variable runs once.
const hostileAttempts = 3

// TestHostileSeedsDrawAll checks that hostileSeeds draw every behaviour.
func TestHostileSeedsDrawAll(t *testing.T) {
	program := hostileProgram(t)
	drawn := ""
	for _, seed := range hostileSeeds {
		h := hostile{seed: seed, program: program}
		h.draw(t)
		for s := 100 * seed; s < h.next; s++ {
			drawn += h.drawnBy(s)
		}
	}
	for _, name := range hostileBehaviours(t, program) {
		if !strings.Contains(drawn, " "+name+"@") {
			t.Errorf("no seed draws %s", name)
		}
	}
}

func hostileProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "hostile")
	gcc(t, program, "testdata/hostile.c")
	return program
}

func hostileBehaviours(t *testing.T, program string) []string {
	t.Helper()
	out, err := exec.Command(program, "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// hostileImage returns an image with the supervisor, the server, the client and the hostile
// program, which is there as a set-user-ID program of root too.
func hostileImage(t *testing.T, program string) string {
	t.Helper()
	name := fmt.Sprintf("supervisor-hostile:%d", os.Getpid())
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range []struct {
		to, from string
		mode     int64
	}{
		{"bin/supervisor", filepath.Join(bin, "supervisor"), 0o755},
		{"bin/server", filepath.Join(bin, "server"), 0o755},
		{"bin/client", filepath.Join(bin, "client"), 0o755},
		{"bin/hostile", program, 0o755},
		{"bin/hostile-setuid", program, 0o4755},
	} {
		b, err := os.ReadFile(f.from)
		if err != nil {
			t.Fatal(err)
		}
		header := tar.Header{Name: f.to, Mode: f.mode, Size: int64(len(b))}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("docker", "import", "--change", "ENV PATH=/bin", "--change", "WORKDIR /",
		"-", name)
	c.Stdin = &layer
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() { docker(t, "rmi", "-f", name) })
	return name
}

// hostile is one container: its configuration, the events, and its output.
type hostile struct {
	t       *testing.T
	r       *rand.Rand
	seed    uint64
	image   string
	program string // here, which can say what a seed draws
	name    string
	dir     string // /config in the container: the file, and the FIFO of the child "outside"
	flags   []string
	mild    bool   // no behaviour takes all pids, so that the server and the client can run
	init    bool   // the supervisor is not PID 1
	root    bool   // the supervisor is root
	nobody  bool   // hostile children have another uid than the supervisor
	only    string // behaviours that are given; empty: drawn

	children []hostileChild
	next     uint64 // seed of the next hostile child
	events   []string

	log, output *lines
	early       bool // the stop began before all honest children were ready
	code        int
	lateWakeUp  time.Duration // the latest wake-up of an idle process of this machine in the stop
	took        time.Duration // the container, from the request to stop to its end
	asked       bool          // we asked for the stop
}

// hostileChild is a child block of the hostile program.
type hostileChild struct {
	name string
	seed uint64
	more string
}

func oneOf[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// label returns the seed and the given behaviours in a form that is valid in a container's
// name.
func (h *hostile) label() string {
	if h.only == "" {
		return fmt.Sprint(h.seed)
	}
	return fmt.Sprintf("%d-%s", h.seed, strings.ReplaceAll(h.only, ",", "-"))
}

// draw draws the container, except the behaviours of the hostile children.
func (h *hostile) draw(t *testing.T) {
	r := rand.New(rand.NewPCG(h.seed, 13))
	h.t, h.r, h.dir = t, r, t.TempDir()
	h.name = fmt.Sprintf("supervisor-hostile-%d-%s", os.Getpid(), h.label())
	h.log, h.output, h.next = newLines(), newLines(), 100*h.seed
	h.mild, h.init = r.IntN(2) == 0, r.IntN(2) == 0
	if strings.Contains(h.only, "take-pids") || strings.Contains(h.only, "threads") {
		h.mild = false
	}
	h.root = r.IntN(2) == 0
	h.nobody = h.root && r.IntN(2) == 0
	user := "65532:65532"
	rights := []string{"", "", "--cap-drop=ALL", "--security-opt=no-new-privileges"}
	if h.root {
		user, rights = "0:0", []string{"", "", "--cap-add=SYS_PTRACE", "--cap-add=SYS_ADMIN"}
	}
	rights = []string{
		oneOf(r, rights...), oneOf(r, "", "", "--security-opt=seccomp=unconfined", "--read-only"),
	}
	h.flags = append(strings.Fields(strings.Join(rights, " ")), "--user", user)
	if h.root && !h.nobody || !h.init {
		h.flags = append(h.flags, "--env", "HOSTILE_ROOT=1")
	}
	if h.mild {
		h.flags = append(h.flags, "--env", "HOSTILE_MILD=1")
	}
	for range 2 + r.IntN(2) {
		h.addChild()
	}
}

// addChild draws another hostile child.
func (h *hostile) addChild() {
	r := h.r
	var more []string
	addAttribute := func(format string, args ...any) {
		more = append(more, fmt.Sprintf(format, args...))
	}
	if !h.mild || r.IntN(2) == 0 { // what takes all pids starts last
		on := []string{"honest", "outside"}
		if h.mild {
			on = append(on, "client")
		}
		addAttribute(`depends_on = ["%s"]`, strings.Join(on, `", "`))
	}
	if h.nobody {
		addAttribute(`user = "65534"`)
	}
	if s := oneOf(r, "group", "process", "tree"); s != "group" {
		addAttribute("kill_scope = %q", s)
	}
	if r.IntN(6) > 0 {
		addAttribute(`on_failure = "ignore"`)
	}
	if r.IntN(8) == 0 {
		addAttribute("kill_sequence = [\n{ signal = \"SIGTERM\", wait = \"100ms\" },\n" +
			"{ signal = \"SIGINT\", wait = \"50ms\" },\n]")
	} else if r.IntN(8) == 0 {
		addAttribute(`kill_timeout = "100ms"` + "\n" + `diagnose_signal = "SIGQUIT"`)
	}
	addAttribute("restart {\non = %q\nattempts = %d\ndelay = \"20ms\"\nmax_delay = \"200ms\"\n}",
		oneOf(r, "always", "always", "failure"), 2+r.IntN(30))
	logs := oneOf(r, `format = "text"`, `format = "json"`, `format = "raw"`, `format = "inherit"`,
		`stdout = "none"`)
	addAttribute("logs { %s }", logs)
	switch n := r.IntN(6); {
	case n < 2:
		addAttribute("ready {\nnotify = true\ntimeout = \"1s\"\n}")
	case n == 2 && !strings.Contains(logs, "inherit"): // of which the supervisor sees no line
		addAttribute(`ready { log = "hostile" }`)
	}
	h.children = append(h.children, hostileChild{
		name: fmt.Sprintf("hostile-%d", h.next), seed: h.next, more: strings.Join(more, "\n"),
	})
	h.next++
}

func (h *hostile) config() string {
	hcl := withHeader("") + fmt.Sprintf("shutdown {\n  deadline = %q\n}\n", hostileDeadline) + `
child "honest" {
  count   = 2
  command = "hostile"
  args    = ["honest"]
  ready { log = "ready" }
}
child "outside" {
  command = "hostile"
  args    = ["outside", "/config/fifo"]
  ready { log = "ready" }
}
`
	if h.mild {
		hcl += `
child "server" {
  command = "server"
  env     = { LOGGING_LEVEL = "ERROR" }
  ready { tcp = ":12345" }
}
child "client" {
  command    = "client"
  depends_on = ["server"]
  env = {
    CLI_ID          = "1"
    CLI_LOOP_AMOUNT = "1000000"
    CLI_LOOP_PERIOD = "100ms"
    CLI_LOG_LEVEL   = "ERROR"
  }
}
`
	}
	for _, c := range h.children {
		args := []string{fmt.Sprint(c.seed)}
		if h.only != "" {
			args = append(args, h.only)
		}
		hcl += fmt.Sprintf("child %q {\n  command = \"hostile\"\n  args = [\"%s\"]\n%s\n}\n",
			c.name, strings.Join(args, `", "`), c.more)
	}
	return hcl
}

// honestInstances returns the instances that must stop by themselves.
func (h *hostile) honestInstances() []string {
	all := []string{"honest1", "honest2", "outside"}
	if h.mild {
		all = append(all, "server", "client")
	}
	return all
}

// record adds an event with its time to the report.
func (h *hostile) record(format string, args ...any) {
	at := time.Now().UTC().Format("15:04:05.000 ")
	h.events = append(h.events, at+fmt.Sprintf(format, args...))
}

func (h *hostile) write(hcl string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "supervisor.hcl")
	if err := os.WriteFile(path+".next", []byte(hcl), 0o644); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		h.t.Fatal(err)
	}
}

// openFIFO makes the FIFO of the child "outside" and opens it to write.
func (h *hostile) openFIFO() *os.File {
	t := h.t
	t.Helper()
	fifo := filepath.Join(h.dir, "fifo")
	for _, err := range []error{
		os.Chmod(h.dir, 0o755), unix.Mkfifo(fifo, 0o666), os.Chmod(fifo, 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	outside, err := os.OpenFile(fifo, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	return outside
}

// command returns the docker command that runs the container.
func (h *hostile) command() *exec.Cmd {
	args := []string{
		"run", "--rm", "--name", h.name, "--label", "supervisor-test",
		"--log-driver", "none", "--network", "none", "--pids-limit", "512",
		"--memory", "512m", "--memory-swap", "512m", "--ulimit", "core=0",
		// With short periods the container is throttled for a few milliseconds at most.
		"--cpu-period", "10000", "--cpu-quota", "15000",
		"--tmpfs", "/tmp:mode=1777", "-v", h.dir + ":/config",
		"-e", "SUPERVISOR_CONFIG=/config/supervisor.hcl",
	}
	args = append(append(args, h.flags...), h.image)
	if h.init {
		args = append(args, "hostile", "init")
	}
	return exec.Command("docker", append(args, "supervisor", "run")...)
}

// run starts the container, runs the drawn events, and waits for the end of the container.
func (h *hostile) run() {
	t := h.t
	outside := h.openFIFO()
	defer outside.Close()
	h.write(h.config())
	c := h.command()
	var reading sync.WaitGroup
	for to, l := range map[*io.Writer]*lines{&c.Stdout: h.output, &c.Stderr: h.log} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		*to = w
		defer w.Close()
		reading.Go(func() { l.read(newLineFilter(r, l == h.output)); r.Close() })
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.Stdout.(*os.File).Close()
	c.Stderr.(*os.File).Close()
	ended := make(chan struct{})
	go func() {
		_ = c.Wait()
		close(ended)
	}()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = exec.CommandContext(ctx, "docker", "rm", "-f", h.name).Run() // most often it is gone
		_ = c.Process.Kill()
		<-ended
		reading.Wait()
	}()
	late := time.After(hostileLimit)
	for _, name := range h.honestInstances() {
		if !h.awaitEntry(late, func(e entry) bool {
			h.early = h.early || e.startsStop()
			return e.matches("child ready", "child", name) || h.early
		}) {
			t.Errorf("%s is not ready in time", name)
			return
		}
	}
	h.runEvents(outside, ended)
	stop := time.Now()
	var watching sync.WaitGroup
	watching.Go(func() { h.lateWakeUp = latestWakeUp(ended) })
	h.stop(ended)
	select {
	case <-ended:
		h.took = time.Since(stop)
		h.code = c.ProcessState.ExitCode()
	case <-late:
		t.Errorf("the container has not ended after %v", hostileLimit)
		_ = c.Process.Kill()
	}
	watching.Wait()
}

// latestWakeUp returns the longest delay in waking an idle process until ended is closed. The
// delay shows how busy the machine is with other work.
func latestWakeUp(ended chan struct{}) (most time.Duration) {
	const every = 10 * time.Millisecond
	for {
		before := time.Now()
		if endedWithin(ended, every) {
			return most
		}
		most = max(most, time.Since(before)-every)
	}
}

// startsStop reports whether an entry marks the start of the stop.
func (e entry) startsStop() bool {
	switch e["signal"] {
	case "SIGTERM", "SIGINT", "SIGQUIT":
		return e.matches("signal received")
	}
	return e.matches("shutdown begun") || e.matches("shutdown complete")
}

func (h *hostile) awaitEntry(late <-chan time.Time, fits func(entry) bool) bool {
	for i := 0; ; {
		h.log.mu.Lock()
		all, more, done := h.log.all, h.log.changed, h.log.done
		h.log.mu.Unlock()
		for ; i < len(all); i++ {
			var e entry
			if json.Unmarshal([]byte(all[i]), &e) == nil && fits(e) {
				return true
			}
		}
		if done {
			return true // what is amiss then the judgement says
		}
		select {
		case <-more:
		case <-late:
			return false
		}
	}
}

// stopping reports whether a stop has started.
func (h *hostile) stopping() bool {
	return slices.ContainsFunc(entries(h.log.text()), entry.startsStop)
}

// endedWithin waits for the drawn time d, which is part of the test. It reports whether the
// container ended meanwhile.
func endedWithin(ended chan struct{}, d time.Duration) bool {
	select {
	case <-ended:
		return true
	case <-time.After(d):
		return false
	}
}

// runEvents runs the drawn events: signals to main processes, changes of the file, and
// reloads.
func (h *hostile) runEvents(outside io.Writer, ended chan struct{}) {
	supervisor := 1
	if h.init {
		supervisor = 2 // the first that it forks
	}
	send := func(pid int, sig unix.Signal) { fmt.Fprintf(outside, "%d %d\n", pid, int(sig)) }
	for range 2 + h.r.IntN(4) {
		if endedWithin(ended, time.Duration(h.r.IntN(400))*time.Millisecond) {
			return
		}
		switch h.r.IntN(6) {
		case 0, 1: // a main process is killed
			i := h.r.IntN(len(h.children))
			sig := oneOf(h.r, unix.SIGKILL, unix.SIGKILL, unix.SIGTERM, unix.SIGSEGV)
			pid := 0
			for _, e := range entries(h.log.text()) {
				if e.matches("child spawned", "child", h.children[i].name) {
					pid = e.int("pid")
				}
			}
			if pid > 1 {
				h.record("kill -%d %s, pid %d", sig, h.children[i].name, pid)
				send(pid, sig)
			}
			continue
		case 2:
			i := h.r.IntN(len(h.children))
			h.record("change %s to seed %d", h.children[i].name, h.next)
			h.children[i].seed = h.next
			h.next++
		case 3:
			h.addChild()
			h.record("add %s", h.children[len(h.children)-1].name)
		case 4:
			i := h.r.IntN(len(h.children))
			if len(h.children) > 1 {
				h.record("remove %s", h.children[i].name)
				h.children = slices.Delete(h.children, i, i+1)
			}
		case 5:
			h.record("reload with a fault")
			h.write(h.config() + "fault {")
			send(supervisor, unix.SIGHUP)
			continue
		}
		h.write(h.config())
		h.record("SIGHUP")
		send(supervisor, unix.SIGHUP)
	}
	endedWithin(ended, time.Duration(h.r.IntN(300))*time.Millisecond)
}

// stop requests the stop, unless it has already started.
func (h *hostile) stop(ended chan struct{}) {
	kind, wait := h.r.IntN(4), time.Duration(300+h.r.IntN(600))*time.Millisecond
	if h.stopping() {
		h.record("no request: the stop began already")
		return
	}
	// The container can end before the docker command does, so its error is ignored.
	run := func(args ...string) {
		h.record("docker %s", strings.Join(args, " "))
		_ = exec.Command("docker", append(args, h.name)...).Run()
	}
	h.asked = true
	switch kind {
	case 0:
		run("stop", "-t", "20")
	case 1:
		run("kill", "--signal", "SIGTERM")
		if !endedWithin(ended, wait) {
			run("kill", "--signal", "SIGTERM")
		}
	case 2:
		run("kill", "--signal", oneOf(h.r, "SIGINT", "SIGQUIT"))
	default:
		run("kill", "--signal", "SIGTERM")
	}
}

// judge compares the log and the exit code with what must hold. It returns the faults and a
// report, or an empty string.
func (h *hostile) judge() string {
	h.t.Helper()
	text := h.log.text()
	if dir := os.Getenv("SUPERVISOR_HOSTILE_LOGS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, h.label()), []byte(text), 0o600); err != nil {
			h.t.Error(err)
		}
	}
	var found faults
	ours := h.judgeInit(&found, text)
	h.judgeEnd(&found, ours)
	h.judgeChildren(&found, entries(text))
	if len(found) == 0 {
		return ""
	}
	return h.failure(found, ours)
}

// faults are the conditions that a container violated.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// judgeInit judges what a PID 1 beside the supervisor prints. It returns the other lines: those
// of the supervisor, and of the Go runtime if that exits.
func (h *hostile) judgeInit(found *faults, text string) (ours []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "init: ") {
			var code, stop, left int
			n, _ := fmt.Sscanf(line, "init: code=%d stop_ms=%d left=%d", &code, &stop, &left)
			switch late := hostileDeadline + hostileOutside + h.lateWakeUp; {
			case n != 3:
				found.add("%s", line)
			case milliseconds(stop) > late:
				found.add("over %d ms after the request, later than %v", stop, late)
			}
		} else if line != "" {
			ours = append(ours, line)
		}
	}
	return ours
}

// judgeEnd judges the last line, the exit code and the duration.
func (h *hostile) judgeEnd(found *faults, ours []string) {
	fault := found.add
	if h.asked && h.took > hostileDeadline+hostileDocker {
		fault("the container took %v to end", h.took)
	}
	var last entry
	if len(ours) > 0 {
		_ = json.Unmarshal([]byte(ours[len(ours)-1]), &last)
	}
	if !last.matches("shutdown complete") {
		fault("the last line is no shutdown complete")
		return
	}
	took := milliseconds(last.int("elapsed_ms"))
	if took > hostileDeadline+hostileGrace+h.lateWakeUp {
		fault("the stop took %v", took)
	}
	if last.int("spawned") != last.int("reaped") {
		fault("spawned=%d reaped=%d", last.int("spawned"), last.int("reaped"))
	}
	if last["verdict"] != "forced" && last.int("fds_opened") != last.int("fds_closed") {
		fault("fds_opened=%d fds_closed=%d", last.int("fds_opened"), last.int("fds_closed"))
	}
	want := map[bool][]int{true: {124}, false: {0, 1}}[last["verdict"] == "forced"]
	if !slices.Contains(want, h.code) {
		fault("exit code %d with verdict %v", h.code, last["verdict"])
	}
}

// judgeChildren judges each honest child, and that no process is left.
func (h *hostile) judgeChildren(found *faults, log []entry) {
	fault := found.add
	began, left := false, 0
	spawned, ended, stopSentAt := map[string]int{}, map[string]bool{}, map[string]time.Time{}
	var escalatedAt time.Time // the last further request
	for _, e := range log {
		name, _ := e["child"].(string)
		began = began || e.startsStop()
		switch {
		case e.matches("internal fault"):
			fault("%v", e)
		case e.matches("left behind"):
			// A supervisor that is not root may not signal a process of root. If the supervisor is
			// PID 1 the kernel ends that process.
			root := strings.HasPrefix(fmt.Sprint(e["detail"]), "setuid-root,")
			if !root || h.root || h.init {
				left++
			}
		case e.matches("child spawned"):
			spawned[name]++
		case e.matches("signal sent", "signal", "SIGTERM"):
			stopSentAt[name] = e.at(h.t)
		case e.matches("signal received") && strings.HasPrefix(fmt.Sprint(e["meaning"]), "again"):
			escalatedAt = e.at(h.t)
		case e.matches("child reaped") && slices.Contains(h.honestInstances(), name):
			ended[name] = true
			switch at, ok := stopSentAt[name]; {
			case !began:
				fault("%s ended before the stop: code=%v signal=%v", name, e["code"], e["signal"])
			case !ok:
				fault("%s ended without a stop signal", name)
			case e["signal"] == "SIGKILL" && escalatedAt.After(at) &&
				escalatedAt.Sub(at) < hostileReaction:
				// The second request escalated before the child had the time to stop.
			case fmt.Sprint(e["code"]) != "0":
				fault("%s ended with code=%v signal=%v", name, e["code"], e["signal"])
			}
		}
	}
	for _, name := range h.honestInstances() {
		if spawned[name] == 0 && h.early {
			continue
		}
		if spawned[name] != 1 {
			fault("%s was spawned %d times", name, spawned[name])
		}
		if !ended[name] {
			fault("%s was not reaped", name)
		}
	}
	if left > 0 {
		fault("%d left behind", left)
	}
}

// failure returns the report on a failed seed: the faults, the events and the end of the log.
func (h *hostile) failure(wrong, log []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d %s: %s\n", h.seed, h.only, strings.Join(wrong, "; "))
	fmt.Fprintf(&b, "flags: %s, init=%v mild=%v nobody=%v\n", strings.Join(h.flags, " "),
		h.init, h.mild, h.nobody)
	fmt.Fprintf(&b, "exit code %d, container over after %v\n", h.code, h.took)
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(&b, "an idle process was woken up to %v late; load: %s", h.lateWakeUp, load)
	b.WriteString("drawn:\n")
	for seed := 100 * h.seed; seed < h.next; seed++ {
		fmt.Fprintf(&b, "  %s\n", h.drawnBy(seed))
	}
	said := map[string]int{} // by programs that drew again as they executed themselves, too
	for line := range strings.SplitSeq(h.output.text(), "\n") {
		if said[line]++; said[line] == 1 {
			fmt.Fprintf(&b, "  said: %.300s\n", line)
		}
	}
	b.WriteString("events:\n")
	for _, s := range h.events {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	for _, c := range h.children {
		more := strings.ReplaceAll(c.more, "\n", "; ")
		fmt.Fprintf(&b, "child %s, seed %d: %s\n", c.name, c.seed, more)
	}
	b.WriteString("log:\n")
	keep := slices.DeleteFunc(log, func(line string) bool {
		return strings.Contains(line, `"fd closed"`) || strings.Contains(line, `"fd held"`)
	})
	for _, line := range keep[max(0, len(keep)-60):] {
		fmt.Fprintf(&b, "  %.600s\n", line)
	}
	return b.String()
}

// drawnBy returns the behaviours that the hostile program draws for a seed.
func (h *hostile) drawnBy(seed uint64) string {
	args := []string{"draw", fmt.Sprint(seed)}
	if h.only != "" {
		args = append(args, h.only)
	}
	c := exec.Command(h.program, args...)
	if h.mild {
		c.Env = []string{"HOSTILE_MILD=1"}
	}
	out, err := c.Output()
	if err != nil {
		return fmt.Sprintf("hostile %d: %v", seed, err)
	}
	return strings.TrimSpace(string(out))
}

// newLineFilter passes on lines that fit into a buffer. Of the children's output it passes on
// only lines of the hostile program about itself.
func newLineFilter(r io.Reader, output bool) io.Reader {
	in, w := io.Pipe()
	go func() {
		lines := bufio.NewReaderSize(r, 128<<10)
		said, whole := 0, true
		for {
			line, err := lines.ReadSlice('\n')
			keep := whole && (!output || bytes.Contains(line, []byte("hostile ")) && said < 200)
			whole = !errors.Is(err, bufio.ErrBufferFull)
			if keep && whole && len(line) > 0 {
				said++
				_, _ = w.Write(line)
			}
			if err != nil && whole {
				w.CloseWithError(err)
				return
			}
		}
	}()
	return in
}
