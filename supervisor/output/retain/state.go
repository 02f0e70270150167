package retain

import "time"

// A State says which lines of an instance are kept, and when its processes were started. The zero
// value is that of an instance without a process so far.
type State struct {
	Processes uint32 // started so far
	Running   bool   // the last one can still print
	Begun     [2]time.Time
	// Complete: all lines of all its processes are kept.
	Complete bool
	// Oldest are the time and the process of the oldest line that is kept; zero if there is none.
	Oldest        time.Time
	OldestProcess uint32
}

// Previous returns the number of the process that [Query.Previous] selects: 0 if it ran under
// another supervisor. begun is the start of this process, and next the start of the process after
// it. A zero time is not known.
func (s State) Previous() (process uint32, begun, next time.Time) {
	switch {
	case !s.Running:
		return s.Processes, s.Begun[0], time.Time{}
	default:
		return s.Processes - 1, s.Begun[1], s.Begun[0]
	}
}

// State returns the state of an instance.
func (s *Store) State(name string) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[name]
	if i == nil {
		return State{Complete: true}
	}
	st := State{
		Processes: i.processes, Running: i.users > 0, Begun: i.begun, Complete: !i.forgotten,
	}
	if len(i.chunks) > 0 {
		oldest := &i.chunks[0].runs[0]
		st.Oldest, st.OldestProcess = time.Unix(0, oldest.at), oldest.process
	}
	return st
}
