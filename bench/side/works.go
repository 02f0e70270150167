package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A row is one work of the table: what is measured, and for how many children.
type row struct {
	title, unit string
	n           int
	goal        string
	rounds      int // each peer has so many turns
	measure     func(p peer) ([]float64, string, error)
	only        []string // peers that make sense; nil: all
	tail        bool     // the 99th percentile is told too
}

var childPath, lines = "", 1_000_000

func child(verb string, more ...string) []string {
	return append([]string{childPath, verb, "DIR"}, more...)
}

func ms(ns uint64) float64 { return float64(ns) / 1e6 }

// rows are the works; scale is what part of the full rounds is done.
func rows(scale float64) []row {
	times := func(n int) int { return max(2, int(float64(n)*scale+0.5)) }
	var all []row
	for _, k := range []struct {
		kind, title, goal string
		n                 int
	}{
		{"raw", "relay, raw", "≤ 1.15 ×", 1}, {"raw", "relay, raw", "≤ 1.15 ×", 8},
		{"prefix", "relay, with a prefix", "≤ 2 ×", 1},
		{"prefix", "relay, with a prefix", "≤ 2 ×", 8},
		{"json", "relay, as JSON", "≤ 2.5 ×", 1}, {"json", "relay, as JSON", "≤ 2.5 ×", 8},
	} {
		all = append(all, row{title: k.title, unit: "ms", n: k.n, goal: k.goal, rounds: times(10),
			only: []string{"floor", "ours", "supervisord", "s6"},
			measure: func(p peer) ([]float64, string, error) {
				return relay(p, work{k.kind, k.n})
			}})
	}
	for _, n := range []int{1, 10, 100, 1000} {
		goal := "≤ 2 ×, with a count ≤ 1.5 ×"
		if n == 1 {
			goal = "≤ 2.5 ×"
		}
		rounds := times(20)
		if n == 1000 {
			rounds = times(6)
		}
		all = append(all, row{title: "exec to the last child's main", unit: "ms", n: n, goal: goal,
			rounds: rounds, measure: func(p peer) ([]float64, string, error) { return up(p, n) }})
	}
	for _, n := range []int{1, 10, 100, 1000} {
		goal := "≤ 1.5 × without proof; with it no later than the best peer"
		if n == 1 {
			goal = "≤ 1.5 × without proof, ≤ 3 × with it"
		}
		rounds := times(20)
		if n == 1000 {
			rounds = times(6)
		}
		all = append(all, row{title: "stop, the whole tree gone", unit: "ms", n: n, goal: goal,
			rounds: rounds, measure: func(p peer) ([]float64, string, error) { return stop(p, n) }})
	}
	for _, n := range []int{1, 100} {
		goal := "≤ 2 × without proof"
		if n == 100 {
			goal = "≤ 1.2 × without proof"
		}
		all = append(all, row{title: "signal to the last child's handler", unit: "ms", n: n,
			goal: goal, rounds: times(20), measure: func(p peer) ([]float64, string, error) {
				return handler(p, n)
			}})
	}
	return append(all,
		row{title: "overshoot past a deadline of 1 s", unit: "ms", n: 1, goal: "≤ 1.5 ms",
			rounds: times(5), measure: overshoot},
		row{title: "kill -9 to the successor's main", unit: "ms", n: 1, goal: "≤ 1.5 ×",
			rounds: times(3), tail: true, only: []string{"floor", "ours", "supervisord", "runit",
				"s6"},
			measure: func(p peer) ([]float64, string, error) { return successor(p, times(35)) }},
		row{title: "20,000 orphans, CPU each", unit: "µs", n: 1, goal: "≤ 30 µs", rounds: times(5),
			only: []string{"floor", "ours", "runit", "s6", "tini", "dumb-init"}, measure: orphans},
		row{title: "memory (PSS), helpers included", unit: "MiB", n: 1, goal: "≤ 8", rounds: 2,
			measure: func(p peer) ([]float64, string, error) { return memory(p, 1) }},
		row{title: "memory (PSS), helpers included", unit: "MiB", n: 100, rounds: 2,
			measure: func(p peer) ([]float64, string, error) { return memory(p, 100) }},
		row{title: "memory (PSS), helpers included", unit: "MiB", n: 1000, goal: "≤ 20", rounds: 2,
			measure: func(p peer) ([]float64, string, error) { return memory(p, 1000) }},
		row{title: "idle, context switches a second", unit: "", n: 100, goal: "0", rounds: 2,
			measure: idle},
		row{title: "CPU of its own until one child is in main", unit: "ms", n: 1, rounds: times(20),
			measure: startCost},
		row{title: "size: programs and libraries that it maps", unit: "MiB", n: 1, rounds: 1,
			measure: size},
	)
}

// started begins a work and waits until all its children are up.
func started(p peer, w work, argv []string, wrap ...string) (*trial, error) {
	t, err := begin(p, w, argv, wrap, nil)
	if err != nil {
		return nil, err
	}
	if err := t.awaitUp(w.n); err != nil {
		t.clear()
		return nil, fmt.Errorf("%s: its children do not come up: %w", p.name, err)
	}
	return t, nil
}

func up(p peer, n int) ([]float64, string, error) {
	t, err := started(p, work{"run", n}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	took := t.last(markStart) - t.began
	_, err = t.end()
	return []float64{ms(took)}, "", err
}

// settle lets a supervisor do what it does after a start.
const settle = 300 * time.Millisecond

func stop(p peer, n int) ([]float64, string, error) {
	t, err := started(p, work{"run", n}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(settle)
	took, err := t.end()
	return []float64{ms(took)}, "", err
}

func handler(p peer, n int) ([]float64, string, error) {
	t, err := started(p, work{"run", n}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(settle)
	sent := now()
	_, err = t.end()
	if got := len(t.marks(markTerm)); err == nil && got < n {
		err = fmt.Errorf("%s: %d of %d heard the signal", p.name, got, n)
	}
	return []float64{ms(t.last(markTerm) - sent)}, "", err
}

func overshoot(p peer) ([]float64, string, error) {
	t, err := started(p, work{"kill", 1}, child("deaf"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(settle)
	took, err := t.end()
	return []float64{ms(took) - killAfter}, "", err
}

// successor kills a child again and again: some supervisors restart one that
// lived for less than a second later.
func successor(p peer, kills int) (all []float64, _ string, err error) {
	t, err := started(p, work{"again", 1}, child("run"))
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
	_, err = t.end()
	return all, "", err
}

func relay(p peer, w work) ([]float64, string, error) {
	each := lines / w.n
	at, err := newPlace()
	if err != nil {
		return nil, "", err
	}
	defer at.close()
	r, out, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	defer out.Close()
	sink := exec.Command(childPath, "sink", at.dir)
	sink.Stdin = r
	if err := sink.Start(); err != nil {
		return nil, "", err
	}
	defer sink.Wait()
	defer sink.Process.Kill()
	t, err := begin(p, w, child("print", fmt.Sprint(each)), nil, out)
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	out.Close()
	if p.name == "supervisord" { // it does not end when its children do
		for n := 0; n < 600 && !exhausted(t, w.n); n++ {
			time.Sleep(100 * time.Millisecond)
		}
		_ = t.cmd.Process.Signal(p.stop)
	}
	if err := waitFor(sink); err != nil {
		return nil, "", err
	}
	note := ""
	if got, torn := at.last(markLines), at.last(markTorn); got != uint64(each*w.n) || torn > 0 {
		note = fmt.Sprintf("%d of %d lines lost, %d torn or out of order", uint64(each*w.n)-got,
			each*w.n, torn)
	}
	return []float64{ms(at.last(markEnd) - t.first(markStart))}, note, nil
}

// exhausted reports whether the children that print have ended.
func exhausted(t *trial, n int) bool {
	started := t.marks(markStart)
	return len(started) >= n && !slices.ContainsFunc(started,
		func(m mark) bool { return strings.HasPrefix(command(int(m.pid)), childPath) })
}

func waitFor(c *exec.Cmd) error {
	late := time.AfterFunc(limit, func() { _ = c.Process.Kill() })
	defer late.Stop()
	return c.Wait()
}

// orphans gives a supervisor that is PID 1 many of them at once.
func orphans(p peer) ([]float64, string, error) {
	const n = 20_000
	t, err := started(p, work{"orphans", 1}, child("orphans", fmt.Sprint(n)), "unshare", "--pid",
		"--fork", "--mount-proc", "--kill-child")
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	var cpu float64
	for _, pid := range below(t.cmd.Process.Pid)[1:2] { // unshare's child is PID 1 in there
		cpu += ticks(pid)
	}
	note := fmt.Sprintf("%d zombies at most, none after %.1f ms", t.last(markZombies),
		ms(t.last(markEnd)))
	return []float64{cpu * 1e6 / n}, note, nil
}

// ticks is the CPU time that a process used, in seconds (/proc/PID/schedstat).
func ticks(pid int) float64 {
	var ns, sum float64
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		_, _ = fmt.Sscan(string(b), &ns)
		sum += ns
	}
	return sum / 1e9
}

func memory(p peer, n int) ([]float64, string, error) {
	t, err := started(p, work{"run", n}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(settle)
	sum := 0.0
	for _, pid := range t.helpers() {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.SplitSeq(string(b), "\n") {
			var kib float64
			if _, err := fmt.Sscanf(line, "Pss: %f kB", &kib); err == nil {
				sum += kib / 1024
			}
		}
	}
	_, err = t.end()
	return []float64{sum}, "", err
}

// startCost is the CPU time of a supervisor and its helpers, not of its children.
func startCost(p peer) ([]float64, string, error) {
	t, err := started(p, work{"run", 1}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	cpu := 0.0
	for _, pid := range t.helpers() {
		cpu += ticks(pid)
	}
	_, err = t.end()
	return []float64{cpu * 1e3}, "", err
}

// size is how large the files are that a supervisor and its helpers run.
func size(p peer) ([]float64, string, error) {
	t, err := started(p, work{"run", 1}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	sizes := map[string]float64{}
	for _, pid := range t.helpers() {
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
	_, err = t.end()
	return []float64{sum}, "", err
}

func idle(p peer) ([]float64, string, error) {
	t, err := started(p, work{"run", 100}, child("run"))
	if err != nil {
		return nil, "", err
	}
	defer t.clear()
	time.Sleep(2 * time.Second)
	const seconds = 5
	before := switches(t.helpers())
	time.Sleep(seconds * time.Second)
	after := switches(t.helpers())
	_, err = t.end()
	return []float64{(after - before) / seconds}, "", err
}

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
