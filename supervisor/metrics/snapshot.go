package metrics

import (
	vm "github.com/VictoriaMetrics/metrics"

	"tp0/supervisor/api"
)

// Output is what was relayed of one stream of an instance.
type Output struct{ Lines, Bytes uint64 }

// snapshot is what one scrape shows.
type snapshot struct {
	version    string
	supervisor api.Supervisor
	own        *api.Usage // nil: unknown
	linesLost  uint64
	bytesLost  uint64
	orphans    uint64
	reloads    reloads
	durations  *vm.Set
	ratios     *vm.Set
	replicas   []replica
}

// replica is an instance in a snapshot.
type replica struct {
	api.Instance
	*instance // the counts, which do not change; never nil
	output    [2]Output
	relayed   bool // output is known
}

// names returns the names of the replicas.
func (s *snapshot) names() map[string]bool {
	names := map[string]bool{}
	for i := range s.replicas {
		names[s.replicas[i].Name] = true
	}
	return names
}

// merge sets the replicas. During an update two processes can have the name of one instance. Then
// the replica is up and ready if one of them is, and its usage is the sum of both.
func (s *snapshot) merge(
	states []api.Instance, counts map[string]*instance, output map[string][2]Output,
) {
	index := map[string]int{}
	for _, state := range states {
		if at, ok := index[state.Name]; ok {
			s.replicas[at].join(state)
			continue
		}
		index[state.Name] = len(s.replicas)
		r := replica{Instance: state, instance: counts[state.Name]}
		if r.instance == nil { // it is of a configuration that is not in force any more
			r.instance = newInstance(state.Child)
		}
		r.output, r.relayed = output[state.Name]
		s.replicas = append(s.replicas, r)
	}
	for i := range s.replicas {
		r := &s.replicas[i]
		r.keepCPU()
		r.instance = r.instance.clone()
	}
}

// join adds another process of the same instance.
func (r *replica) join(other api.Instance) {
	if other.Pid != 0 && r.Pid == 0 {
		r.Pid, r.StartedAt = other.Pid, other.StartedAt
	}
	r.Ready = r.Ready || other.Ready
	switch u := other.Usage; {
	case u == nil:
	case r.Usage == nil:
		r.Usage = u
	default:
		sum := *r.Usage
		sum.Processes += u.Processes
		sum.Stopped += u.Stopped
		sum.Threads += u.Threads
		sum.CPUSeconds += u.CPUSeconds
		sum.MemoryBytes += u.MemoryBytes
		if sum.FDs += u.FDs; u.FDs < 0 || r.Usage.FDs < 0 {
			sum.FDs = -1
		}
		r.Usage = &sum
	}
}

// keepCPU updates the CPU time that is shown. It never decreases: a process that has ended and is
// not reaped yet is in neither part of the sum, and the CPU time of an orphan is lost.
func (r *replica) keepCPU() {
	cpu := r.cpu
	if r.Usage != nil {
		cpu += r.Usage.CPUSeconds
	}
	r.cpuShown = max(r.cpuShown, cpu)
}
