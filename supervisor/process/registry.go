package process

// registry has the runs that are not over.
type registry struct {
	runs     map[ID]*run
	pids     map[int]*run // by the pid of a main process that is not reaped
	terminal bool         // a run has, or had, our terminal
}

func newRegistry() registry {
	return registry{runs: map[ID]*run{}, pids: map[int]*run{}}
}

// add adds a run that was forked.
func (g *registry) add(r *run) {
	g.runs[r.id], g.pids[r.pid] = r, r
	g.terminal = g.terminal || r.terminal
}
