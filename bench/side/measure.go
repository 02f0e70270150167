package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// relayedLines is the number of lines of a relay measurement, for all children together.
const relayedLines = 1_000_000

// settle is a pause for the work of a supervisor after a start.
const settle = 300 * time.Millisecond

// idle is the time after which a supervisor has ended the work of a start. Until then its memory is
// larger: supervisor releases memory 1.5 s after its last event, which is up to 2 s after ready.
const idle = 4 * time.Second

// childCommand returns the command of a child in the workspace DIR.
func childCommand(verb string, more ...string) []string {
	return append([]string{childPath, verb, "DIR"}, more...)
}

func ms(ns uint64) float64 { return float64(ns) / 1e6 }

// measureStart measures the milliseconds from the exec of the supervisor until the last of n
// children is in main.
func measureStart(p peer, n int) ([]float64, string, error) {
	t, err := startRun(p, n)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	took := t.last(markStart) - t.started
	_, err = t.stop()
	return []float64{ms(took)}, "", err
}

// measureStartAgainstNop measures the milliseconds from the exec of a supervisor until its child is
// in main, and those from the exec of nop until its end.
func measureStartAgainstNop(p peer) ([]float64, string, error) {
	if p.name != nopName {
		return measureStart(p, 1)
	}
	t, took, err := runToEnd(p)
	if err != nil {
		return nil, "", err
	}
	t.clear()
	return []float64{ms(took)}, "", nil
}

// measureFaults measures the page faults of a supervisor and its child, which is true.
func measureFaults(p peer) ([]float64, string, error) {
	t, _, err := runToEnd(p)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	usage := t.cmd.ProcessState.SysUsage().(*syscall.Rusage) // it includes reaped children
	return []float64{float64(usage.Minflt + usage.Majflt)}, "", nil
}

// runToEnd runs a supervisor whose child is true. It returns the nanoseconds from its start until
// its end. The caller clears the trial.
func runToEnd(p peer) (*trial, uint64, error) {
	t, err := startTrial(p, workload{"end", 1}, []string{"true"}, nil, nil)
	if err != nil {
		return nil, 0, err
	}
	select {
	case at := <-t.exited:
		if code := t.cmd.ProcessState.ExitCode(); code != 0 {
			t.clear()
			return nil, 0, fmt.Errorf("%s ended with exit code %d", p.name, code)
		}
		return t, at - t.started, nil
	case <-time.After(limit):
		t.clear()
		return nil, 0, fmt.Errorf("%s did not end within %v", p.name, limit)
	}
}

// startRun starts a supervisor with n children.
func startRun(p peer, n int) (*trial, error) {
	return startReady(p, workload{"run", n}, childCommand("run"))
}

// stopIdle measures the milliseconds from the stop signal until the supervisor and n children have
// ended.
func stopIdle(t *trial, _ int) ([]float64, error) {
	took, err := t.stop()
	return []float64{ms(took)}, err
}

// signalIdle measures the milliseconds from the stop signal until the last of n children runs its
// signal handler.
func signalIdle(t *trial, n int) ([]float64, error) {
	sent := now()
	_, err := t.stop()
	if got := len(t.marks(markTerm)); err == nil && got < n {
		err = fmt.Errorf("%s: %d of %d children received the signal", t.peer.name, got, n)
	}
	return []float64{ms(t.last(markTerm) - sent)}, err
}

// startIgnoring starts a supervisor of a child that ignores SIGTERM.
func startIgnoring(p peer, n int) (*trial, error) {
	return startReady(p, workload{"kill", n}, childCommand("ignore"))
}

// overshoot measures by how many milliseconds the stop of a child that ignores SIGTERM exceeds
// killAfter.
func overshoot(t *trial, _ int) ([]float64, error) {
	took, err := t.stop()
	return []float64{ms(took) - killAfter}, err
}

// measureRestart kills a child repeatedly and measures the milliseconds until the next process is
// in main. It waits a second before each kill, because some supervisors delay the restart of a
// process that ran for less.
func measureRestart(p peer, kills int) (all []float64, _ string, err error) {
	t, err := startReady(p, workload{"restart", 1}, childCommand("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	for range kills {
		time.Sleep(1050 * time.Millisecond)
		before := t.marks(markStart)
		sent := now()
		victim, err := os.FindProcess(int(before[len(before)-1].pid))
		if err == nil {
			err = victim.Kill()
		}
		if err == nil {
			err = t.awaitUp(1)
		}
		if err != nil {
			return nil, "", err
		}
		all = append(all, ms(t.last(markStart)-sent))
	}
	_, err = t.stop()
	return all, "", err
}

// measureRelay measures the milliseconds until the output of the children has been relayed. The
// sink checks each line. The note counts the lost and the damaged lines.
func measureRelay(p peer, w workload) ([]float64, string, error) {
	each := relayedLines / w.n
	space, err := newWorkspace()
	if err != nil {
		return nil, "", err
	}
	defer space.close()
	r, out, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	defer out.Close()
	reader := exec.Command(childPath, "sink", space.dir)
	reader.Stdin = r
	if err := reader.Start(); err != nil {
		return nil, "", err
	}
	defer reader.Wait()
	defer reader.Process.Kill()
	t, err := startTrial(p, w, childCommand("print", fmt.Sprint(each)), nil, out)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	out.Close()
	if p.name == "supervisord" { // does not end with its last child
		for n := 0; n < 600 && !exhausted(t, w.n); n++ {
			time.Sleep(100 * time.Millisecond)
		}
		_ = t.cmd.Process.Signal(p.stopSignal)
	}
	if err := waitFor(reader); err != nil {
		return nil, "", err
	}
	note := ""
	sent := uint64(each * w.n)
	if got, torn := space.last(markLines), space.last(markTorn); got != sent || torn > 0 {
		note = fmt.Sprintf("%d of %d lines lost, %d torn or out of order", sent-got, sent, torn)
	}
	return []float64{ms(space.last(markEnd) - t.first(markStart))}, note, nil
}

// exhausted reports whether all n printing children have ended.
func exhausted(t *trial, n int) bool {
	children := t.marks(markStart)
	return len(children) >= n && !slices.ContainsFunc(children,
		func(m mark) bool { return strings.HasPrefix(commandLine(int(m.pid)), childPath) })
}

// waitFor waits for c, and kills it after limit.
func waitFor(c *exec.Cmd) error {
	late := time.AfterFunc(limit, func() { _ = c.Process.Kill() })
	defer late.Stop()
	return c.Wait()
}

// measureOrphans measures the CPU time in µs that a supervisor as PID 1 uses for each of n orphans:
// one every gap µs, or all at once without a gap.
func measureOrphans(p peer, n, gap int) ([]float64, string, error) {
	t, err := startReady(p, workload{"orphans", 1},
		childCommand("orphans", fmt.Sprint(n), fmt.Sprint(gap)),
		"unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	var cpu float64
	// The child of unshare is PID 1 of the namespace.
	for _, pid := range processTree(t.cmd.Process.Pid)[1:2] {
		cpu += cpuSeconds(pid)
	}
	note := fmt.Sprintf("%d zombies at most, none after %.1f ms", t.last(markZombies),
		ms(t.last(markEnd)))
	return []float64{cpu * 1e6 / float64(n)}, note, nil
}

// cpuSeconds returns the CPU time of all threads of a process (schedstat in /proc).
func cpuSeconds(pid int) float64 {
	var ns, sum float64
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		_, _ = fmt.Sscan(string(b), &ns)
		sum += ns
	}
	return sum / 1e9
}

// measureMemory measures the PSS of an idle supervisor and its helper processes in MiB. The note
// has the PSS just after the start if that was larger.
func measureMemory(p peer, n int) ([]float64, string, error) {
	t, err := startRun(p, n)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(settle)
	early := pss(t.ownProcesses())
	time.Sleep(idle - settle)
	sum := pss(t.ownProcesses())
	note := ""
	if early > 1.1*sum {
		note = fmt.Sprintf("%.1f MiB %v after the start", early, settle)
	}
	_, err = t.stop()
	return []float64{sum}, note, err
}

// pss returns the proportional set size of processes in MiB: smaps_rollup in /proc.
func pss(pids []int) (sum float64) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.SplitSeq(string(b), "\n") {
			var kib float64
			if _, err := fmt.Sscanf(line, "Pss: %f kB", &kib); err == nil {
				sum += kib / 1024
			}
		}
	}
	return sum
}

// measureStartCPU measures the CPU milliseconds of a supervisor and its helper processes until one
// child is in main. The CPU time of the child is not included.
func measureStartCPU(p peer) ([]float64, string, error) {
	t, err := startRun(p, 1)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	cpu := 0.0
	for _, pid := range t.ownProcesses() {
		cpu += cpuSeconds(pid)
	}
	_, err = t.stop()
	return []float64{cpu * 1e3}, "", err
}

// measureSize measures the size in MiB of the executable files that a supervisor and its helper
// processes map.
func measureSize(p peer) ([]float64, string, error) {
	t, err := startRun(p, 1)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	sizes := map[string]float64{}
	for _, pid := range t.ownProcesses() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
		for line := range strings.Lines(string(b)) {
			words := strings.Fields(line)
			if len(words) < 6 || !strings.Contains(words[1], "x") {
				continue
			}
			if info, err := os.Stat(words[5]); err == nil {
				sizes[words[5]] = float64(info.Size()) / (1 << 20)
			}
		}
	}
	sum := 0.0
	for _, mib := range sizes {
		sum += mib
	}
	_, err = t.stop()
	return []float64{sum}, "", err
}

// measureIdle measures the context switches per second of a supervisor with 100 children.
func measureIdle(p peer) ([]float64, string, error) {
	t, err := startReady(p, workload{"run", 100}, childCommand("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(2 * time.Second)
	const seconds = 5
	before := switches(t.ownProcesses())
	time.Sleep(seconds * time.Second)
	after := switches(t.ownProcesses())
	_, err = t.stop()
	return []float64{(after - before) / seconds}, "", err
}

// switches returns the number of context switches of the processes since their start.
func switches(pids []int) (sum float64) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		for _, file := range tasks {
			b, _ := os.ReadFile(file)
			for line := range strings.SplitSeq(string(b), "\n") {
				if name, value, ok := strings.Cut(line, ":"); ok &&
					strings.HasSuffix(name, "ctxt_switches") {
					var n float64
					_, _ = fmt.Sscan(value, &n)
					sum += n
				}
			}
		}
	}
	return sum
}
