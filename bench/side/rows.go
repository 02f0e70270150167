package main

// The rows of these titles are plotted too.
const (
	startTitle = "exec until the last child is in main"
	stopTitle  = "stop of the whole process tree"
)

// rounds returns a fraction of the full number of rounds, and 2 at least.
func rounds(full int, scale float64) int { return max(2, int(float64(full)*scale+0.5)) }

// rows returns the rows of the table, with a fraction scale of the full rounds.
func rows(scale float64) (all []row) {
	all = append(all, relayRows(scale)...)
	all = append(all, startRows(scale)...)
	all = append(all, stopRows(scale)...)
	all = append(all, signalRows(scale)...)
	return append(all, costRows(scale)...)
}

func relayRows(scale float64) (all []row) {
	for _, k := range []struct{ kind, title, goal string }{
		{"raw", "relay, raw", "≤ 1.3 ×"},
		{"prefix", "relay, with a prefix", "≤ 2 ×"},
		{"json", "relay, as JSON", "≤ 2.5 ×"},
	} {
		for _, n := range []int{1, 8} {
			all = append(all, row{title: k.title, unit: "ms", n: n, goal: k.goal,
				rounds: rounds(10, scale),
				only:   []string{floorName, "supervisor", "supervisord", "s6"},
				measure: func(p peer) ([]float64, string, error) {
					return measureRelay(p, workload{k.kind, n})
				}})
		}
	}
	return all
}

// roundsFor returns the rounds of a row with n children. 1,000 children take long, and the times of
// one child differ most.
func roundsFor(n int, scale float64) int {
	switch n {
	case 1:
		return rounds(30, scale)
	case 1000:
		return rounds(6, scale)
	}
	return rounds(20, scale)
}

// idleRounds returns the rounds of a row about idle supervisors, which waits for each of them if
// there are many children.
func idleRounds(n int, scale float64) int {
	switch {
	case n > 100:
		return rounds(4, scale)
	case n > maxTogether:
		return rounds(8, scale)
	}
	return roundsFor(n, scale)
}

func startRows(scale float64) (all []row) {
	for _, n := range []int{1, 10, 100, 1000} {
		goal := "≤ 2 ×, with a count ≤ 1.5 ×"
		if n == 1 {
			goal = "" // nopRows has the goals for one child
		}
		all = append(all, row{title: startTitle, unit: "ms", n: n, goal: goal,
			rounds: roundsFor(n, scale),
			measure: func(p peer) ([]float64, string, error) {
				return measureStart(p, n)
			}})
	}
	return append(all, nopRows(scale)...)
}

// nopRows compares the start of one command with nop.
func nopRows(scale float64) []row {
	peers := []string{nopName, "supervisor", execName}
	return []row{
		{title: "exec until the command is in main; nop: until its end", unit: "ms", n: 1,
			goal: "exec ≤ 2 × nop, run ≤ 2.5 × nop", rounds: rounds(40, scale), only: peers,
			base: nopName, measure: measureStartAgainstNop},
		{title: "page faults of a start and end of true, both processes", n: 1,
			goal: "exec ≤ 2.5 × nop", rounds: rounds(20, scale), only: peers, base: nopName,
			measure: measureFaults},
	}
}

func stopRows(scale float64) (all []row) {
	for _, n := range []int{1, 10, 100, 1000} {
		goal := "≤ 1.5 × without proof; with proof no later than the best peer"
		switch n {
		case 1:
			goal = "without proof before runit, with proof ≤ 1.3 × runit"
		case 10:
			goal = "with proof before runit"
		}
		all = append(all, row{title: stopTitle, unit: "ms", n: n, goal: goal,
			rounds: idleRounds(n, scale), start: startRun, idle: stopIdle})
	}
	return all
}

func signalRows(scale float64) (all []row) {
	for _, n := range []int{1, 100} {
		goal := "≤ 3 × without proof"
		if n == 100 {
			goal = "≤ 1.2 × without proof"
		}
		all = append(all, row{title: "signal until the last child's handler", unit: "ms", n: n,
			goal: goal, rounds: idleRounds(n, scale), start: startRun, idle: signalIdle})
	}
	return append(all,
		row{title: "overshoot of a deadline of 1 s", unit: "ms", n: 1,
			goal: "≤ 2 ×, before s6", rounds: rounds(12, scale), start: startIgnoring,
			idle: overshoot},
		row{title: "SIGKILL until the next process is in main", unit: "ms", n: 1,
			goal: "≤ 1.5 ×, before runit", rounds: rounds(3, scale), tail: true,
			only: []string{floorName, "supervisor", "supervisord", "runit", "s6"},
			measure: func(p peer) ([]float64, string, error) {
				return measureRestart(p, rounds(35, scale))
			}})
}

// costRows are the rows about CPU time, memory and size.
func costRows(scale float64) (all []row) {
	for _, k := range []struct {
		title      string
		count, gap int
	}{
		{"CPU time of each of 20,000 orphans", 20_000, 0},
		{"CPU time of an orphan, 700 a second", 2_000, 1_000_000 / 700},
	} {
		all = append(all, row{title: k.title, unit: "µs", n: 1, goal: "≤ 3 ×",
			rounds: rounds(5, scale), base: floorName,
			only: []string{floorName, "supervisor", "runit", "s6", "tini", "dumb-init"},
			measure: func(p peer) ([]float64, string, error) {
				return measureOrphans(p, k.count, k.gap)
			}})
	}
	for _, k := range []struct {
		n    int
		goal string
	}{{1, "≤ 6"}, {100, ""}, {1000, "≤ 16"}} {
		all = append(all, row{title: "memory (PSS) when idle, with helper processes",
			unit: "MiB", n: k.n,
			goal: k.goal, rounds: 2,
			measure: func(p peer) ([]float64, string, error) {
				return measureMemory(p, k.n)
			}})
	}
	return append(all,
		row{title: "idle: context switches per second", n: 100, goal: "0", rounds: 2,
			measure: measureIdle},
		row{title: "CPU time until one child is in main", unit: "ms", n: 1,
			rounds: rounds(20, scale), measure: measureStartCPU},
		row{title: "size of the mapped programs and libraries", unit: "MiB", n: 1, rounds: 1,
			measure: measureSize})
}
