package metrics

import (
	"bufio"
	"io"
	"runtime"
	"slices"
	"sync"

	vm "github.com/VictoriaMetrics/metrics"
)

// The bounds of the histograms: durations in seconds, and parts of the timeout. Deadlines are
// seconds, and a fast stop takes milliseconds.
var (
	durationBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	ratioBounds    = []float64{.01, .05, .1, .25, .5, .75, .9, 1}
)

// The histograms have no label replica, because one child has 27 series already: 16 and 11.
var (
	stopDuration = family{
		name: "supervisor_child_stop_duration_seconds", kind: histogram,
		help:   "Time from the first signal of a stop to the end of the main process",
		labels: []string{"child"},
		set:    func(s *snapshot) *vm.Set { return s.durations },
	}
	stopRatio = family{
		name: "supervisor_child_stop_timeout_ratio", kind: histogram,
		help: "Duration of a stop divided by the time until SIGKILL, which is kill_timeout or " +
			"the sum of kill_sequence",
		labels: []string{"child"},
		set:    func(s *snapshot) *vm.Set { return s.ratios },
	}
)

// families returns all metrics, in the order of the text. They are made when they are needed.
var families = sync.OnceValue(func() []*family {
	return slices.Concat(ownFamilies(), stateFamilies(), countFamilies(), usageFamilies())
})

// write writes all metrics.
func (s *snapshot) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, 32<<10)
	for _, f := range families() {
		f.write(out, s)
	}
	return out.Flush()
}

// ownFamilies returns the metrics of the supervisor itself.
func ownFamilies() []*family {
	return []*family{
		{
			name: "supervisor_build_info", kind: gauge,
			help:   "Always 1; the labels are the version and the Go version of the supervisor",
			labels: []string{"version", "goversion"},
			collect: func(s *snapshot, add sample) {
				add(1, s.version, runtime.Version())
			},
		},
		own("supervisor_start_time_seconds", gauge, "Start of the supervisor, as Unix time",
			func(s *snapshot) float64 { return unix(s.supervisor.StartedAt) }),
		own("supervisor_stopping", gauge, "1 during the final stop, else 0",
			func(s *snapshot) float64 { return truth(s.supervisor.State == "stopping") }),
		ownUsage("supervisor_cpu_seconds_total", counter,
			"User and system CPU time of the supervisor without its children",
			func(s *snapshot) float64 { return s.own.CPUSeconds }),
		ownUsage("supervisor_resident_memory_bytes", gauge, "Resident memory of the supervisor",
			func(s *snapshot) float64 { return float64(s.own.MemoryBytes) }),
		ownUsage("supervisor_open_fds", gauge, "Open descriptors of the supervisor",
			func(s *snapshot) float64 { return float64(s.own.FDs) }),
		{
			name: "supervisor_config_reloads_total", kind: counter,
			help:   "Reloads of the configuration by result",
			labels: []string{"result"}, values: reloadResults,
			collect: func(s *snapshot, add sample) {
				for i, result := range reloadResults {
					add(float64(s.reloads.results[i]), result)
				}
			},
		},
		own("supervisor_config_last_reload_successful", gauge,
			"1 if the last reload succeeded or there was none, 0 if it was rejected",
			func(s *snapshot) float64 { return truth(!s.reloads.failed) }),
		own("supervisor_config_last_reload_success_timestamp_seconds", gauge,
			"Last success of a reload, or the start of the supervisor, as Unix time",
			func(s *snapshot) float64 { return unix(s.reloads.success) }),
		own("supervisor_orphans_reaped_total", counter,
			"Orphans that the supervisor reaped, which are descendants without a parent",
			func(s *snapshot) float64 { return float64(s.orphans) }),
		own("supervisor_output_lost_lines_total", counter,
			"Lines of children and of the log that were not delivered, since the start",
			func(s *snapshot) float64 { return float64(s.linesLost) }),
		own("supervisor_output_lost_bytes_total", counter,
			"Bytes that were not delivered, as far as lines dropped has reported them",
			func(s *snapshot) float64 { return float64(s.bytesLost) }),
	}
}

// stateFamilies returns the states of the instances.
func stateFamilies() []*family {
	return []*family{
		each("supervisor_child_up", gauge, "1 if the instance has a process, else 0",
			func(r *replica) float64 { return truth(r.Pid != 0) }),
		each("supervisor_child_ready", gauge, "1 if the instance is ready, else 0",
			func(r *replica) float64 { return truth(r.Ready) }),
		each("supervisor_child_failed", gauge,
			"1 if the instance failed permanently and is not started again, else 0",
			func(r *replica) float64 {
				return truth(r.State == "failed" || r.State == "failing")
			}),
		each("supervisor_child_completed", gauge,
			"1 if the process ended with success and is not started again, else 0",
			func(r *replica) float64 { return truth(r.State == "succeeded") }),
		each("supervisor_child_held", gauge, "1 if a request keeps the instance stopped, else 0",
			func(r *replica) float64 { return truth(r.StoppedBy != nil) }),
		perReplica("supervisor_child_start_time_seconds", gauge,
			"Start of the process of the instance, as Unix time",
			func(r *replica, add sample) {
				if r.StartedAt != nil {
					add(unix(*r.StartedAt), r.Child, r.Name)
				}
			}),
	}
}

// countFamilies returns the counts of facts.
func countFamilies() []*family {
	return []*family{
		each("supervisor_child_starts_total", counter, "Processes that were started",
			func(r *replica) float64 { return float64(r.starts) }),
		each("supervisor_child_start_failures_total", counter,
			"Processes that could not be started",
			func(r *replica) float64 { return float64(r.spawnFailures) }),
		each("supervisor_child_restarts_total", counter,
			"Restarts by the restart policy, after an end that was not requested",
			func(r *replica) float64 { return float64(r.restarts) }),
		byValue("supervisor_child_exits_total", "Ends of the main process by reason: success, "+
			"failure and signal were not requested, stopped and killed are ends in a stop",
			"reason", exitReasons, func(r *replica) tally { return r.exits }),
		byValue("supervisor_child_stops_total",
			"Stops by verdict: a forced stop needed SIGKILL, a leaky one has a finding",
			"verdict", verdicts, func(r *replica) tally { return r.stops }),
		each("supervisor_child_kills_total", counter,
			"Processes of the tree that got SIGKILL from a stop sequence",
			func(r *replica) float64 { return float64(r.killed) }),
		&stopDuration, &stopRatio,
		byValue("supervisor_child_findings_total",
			"Findings by kind, which are about descriptors that a process leaked",
			"finding", findingKinds, func(r *replica) tally { return r.instance.findings }),
		byValue("supervisor_child_fd_warnings_total", "Warnings of watch_fds: leak for fd leak "+
			"suspected, limit for fd limit near",
			"warning", fdWarnings, func(r *replica) tally { return r.instance.fdWarnings }),
		byName("supervisor_child_checks_total", "Attempts of check blocks by result: excused "+
			"were not started, or failed during a pause of the supervisor",
			"check", checkResults, func(r *replica) map[string]tally { return r.checks }),
		byName("supervisor_child_hooks_total", "Commands of hooks and of stop blocks by result; "+
			"no series before the first run of a hook",
			"hook", hookResults, func(r *replica) map[string]tally { return r.hooks }),
		relayed("supervisor_child_output_lines_total", "Lines that were read from the instance",
			func(o Output) uint64 { return o.Lines }),
		relayed("supervisor_child_output_bytes_total", "Bytes that were read from the instance",
			func(o Output) uint64 { return o.Bytes }),
	}
}

// usageFamilies returns what process trees use.
func usageFamilies() []*family {
	return []*family{
		perReplica("supervisor_child_cpu_seconds_total", counter,
			"User and system CPU time of the process tree, without orphans that have ended",
			func(r *replica, add sample) { add(r.cpuShown, r.Child, r.Name) }),
		used("supervisor_child_resident_memory_bytes",
			"Resident memory of the process tree, in which shared pages count for each process",
			func(r *replica) int64 { return r.Usage.MemoryBytes }),
		used("supervisor_child_open_fds", "Open descriptors of the process tree",
			func(r *replica) int64 { return int64(r.Usage.FDs) }),
		used("supervisor_child_processes", "Processes of the process tree",
			func(r *replica) int64 { return int64(r.Usage.Processes) }),
		used("supervisor_child_threads", "Threads of the process tree",
			func(r *replica) int64 { return int64(r.Usage.Threads) }),
	}
}
