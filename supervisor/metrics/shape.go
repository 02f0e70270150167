package metrics

import (
	"maps"
	"slices"
	"time"
)

// own returns a metric of the supervisor itself, with one series.
func own(name string, k kind, help string, value func(*snapshot) float64) *family {
	return &family{
		name: name, kind: k, help: help,
		collect: func(s *snapshot, add sample) { add(value(s)) },
	}
}

// ownUsage returns a metric of what the supervisor uses.
func ownUsage(name string, k kind, help string, value func(*snapshot) float64) *family {
	f := own(name, k, help, value)
	collect := f.collect
	f.collect = func(s *snapshot, add sample) {
		if s.own != nil {
			collect(s, add)
		}
	}
	return f
}

// perReplica returns a metric with the labels child and replica.
func perReplica(
	name string, k kind, help string, collect func(r *replica, add sample),
) *family {
	return &family{
		name: name, kind: k, help: help, labels: []string{"child", "replica"},
		collect: func(s *snapshot, add sample) {
			for i := range s.replicas {
				collect(&s.replicas[i], add)
			}
		},
	}
}

// each returns a metric with one series for each replica.
func each(name string, k kind, help string, value func(*replica) float64) *family {
	return perReplica(name, k, help, func(r *replica, add sample) {
		add(value(r), r.Child, r.Name)
	})
}

// used returns a gauge of what the process trees use. A tree without a process, or of which the
// value cannot be read, has no series.
func used(name, help string, value func(*replica) int64) *family {
	return perReplica(name, gauge, help, func(r *replica, add sample) {
		if r.Usage == nil {
			return
		}
		if v := value(r); v >= 0 {
			add(float64(v), r.Child, r.Name)
		}
	})
}

// byValue returns a counter with a series for each value of a closed set.
func byValue(name, help, label string, values []string, counts func(*replica) tally) *family {
	f := perReplica(name, counter, help, func(r *replica, add sample) {
		for i, value := range values {
			add(float64(counts(r)[i]), r.Child, r.Name, value)
		}
	})
	f.labels, f.values = append(f.labels, label), values
	return f
}

// byName returns a counter with a series for each replica, name and result. label is the label of
// the names.
func byName(
	name, help, label string, results []string, counts func(*replica) map[string]tally,
) *family {
	f := perReplica(name, counter, help, func(r *replica, add sample) {
		all := counts(r)
		for _, of := range slices.Sorted(maps.Keys(all)) {
			for i, result := range results {
				add(float64(all[of][i]), r.Child, r.Name, of, result)
			}
		}
	})
	f.labels, f.values = append(f.labels, label, "result"), results
	return f
}

// relayed returns a counter of the output of the replicas, without those whose output is not
// relayed.
func relayed(name, help string, value func(Output) uint64) *family {
	f := perReplica(name, counter, help, func(r *replica, add sample) {
		for i, stream := range streams {
			if r.relayed {
				add(float64(value(r.output[i])), r.Child, r.Name, stream)
			}
		}
	})
	f.labels, f.values = append(f.labels, "stream"), streams
	return f
}

// unix returns a time in seconds since 1970.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
