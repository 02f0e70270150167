package process

import (
	"errors"
	"maps"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// A process that is to be killed can fork meanwhile, and one that forks all the
// time is quicker than we are. So the listing is repeated after the kill, and from
// the third time on everything is stopped first, until a listing finds nobody
// new: what is stopped cannot fork.
const (
	plainRounds  = 2  // of killing before the processes are stopped first
	freezePasses = 20 // at most, some milliseconds each for hundreds of processes
	idleRounds   = 20 // that kill nobody, then a round follows less often
)

// killing is how far SIGKILL to many processes has come.
type killing struct {
	rounds  int
	idle    int               // of them in a row that killed nobody
	next    time.Time         // when the next one is due
	refused map[identity]bool // told once
	killed  map[identity]bool // each counts once
}

// add notes that a process got SIGKILL.
func (k *killing) add(p procfs.Stat) {
	if k.killed == nil {
		k.killed = map[identity]bool{}
	}
	k.killed[key(p)] = true
}

// killAll sends SIGKILL to all that list finds and that did not get it yet, and
// tells of each, and of the first refusal for each. It is called again, at the time that
// it returns, until list finds nobody.
func (l *Loop) killAll(k *killing, list func() []procfs.Stat, tell func(procfs.Stat, error)) time.Time {
	if k.killed == nil {
		k.killed = map[identity]bool{}
	}
	k.rounds++
	began := time.Now()
	victims := list()
	if k.rounds > plainRounds {
		victims = l.freeze(victims, list, k.killed)
	}
	for _, p := range victims {
		if k.killed[key(p)] || l.isKilled(p) {
			continue
		}
		if l.spared(p) {
			k.idle = 0
			continue
		}
		if r := l.pids[p.Pid]; r != nil {
			k.idle = 0
			l.killInSweep(r)
			continue
		}
		switch err := killExactly(p, unix.SIGKILL); {
		case err == nil:
			k.killed[key(p)], k.idle = true, 0
			tell(p, nil)
		case errors.Is(err, unix.EPERM) && !k.refused[key(p)]:
			if k.refused == nil {
				k.refused = map[identity]bool{}
			}
			k.refused[key(p)] = true
			tell(p, err)
		}
	}
	now := time.Now()
	if k.idle++; k.idle > idleRounds {
		return now.Add(net) // what is left cannot be killed, or not yet
	}
	return now.Add(max(sweepAgain, 2*now.Sub(began))) // two thirds of the time are for others
}

// killingOf is how far SIGKILL to the survivors of a run has come. A sweep and the runs share
// theirs, so that nobody is killed by both.
func (l *Loop) killingOf(r *run) *killing {
	if l.sweep != nil {
		return &l.sweep.kill
	}
	return &r.tree.killing
}

// takeOver adds to a killing what was killed by runs.
func (k *killing) takeOver(runs map[ID]*run) {
	k.killed = map[identity]bool{}
	for _, r := range runs {
		maps.Copy(k.killed, r.tree.killing.killed)
	}
}

// isKilled reports whether a process is a main process that got SIGKILL, or got it
// with the process group of one. It may live on for a moment, in its exit stop.
func (l *Loop) isKilled(p procfs.Stat) bool {
	if r := l.pids[p.Pid]; r != nil {
		return r.stop.killed
	}
	r := l.trees.byGroup[p.PGrp]
	if r == nil || len(r.tree.steps) == 0 {
		return false
	}
	last := r.tree.steps[len(r.tree.steps)-1]
	return last.signal == unix.SIGKILL && r.tree.reachedWithGroup(p) >= last.rung
}

// freeze stops processes, and those that they forked meanwhile, until a listing
// finds nobody new.
func (l *Loop) freeze(victims []procfs.Stat, list func() []procfs.Stat, killed map[identity]bool) []procfs.Stat {
	stopped := maps.Clone(killed) // SIGSTOP does nothing to what is killed
	for range freezePasses {
		found := false
		for _, p := range victims {
			if !stopped[key(p)] && !l.spared(p) {
				stopped[key(p)], found = true, true
				_ = killExactly(p, unix.SIGSTOP)
			}
		}
		if !found {
			break
		}
		victims = list()
	}
	return victims
}
