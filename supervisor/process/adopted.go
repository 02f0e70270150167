package process

import (
	"cmp"
	"maps"
	"os"
	"slices"

	"tp0/supervisor/procfs"
)

// registerTree registers the process tree of a child process that was forked.
func (l *Loop) registerTree(c *childProcess) {
	c.tree.group = c.pid
	l.trees.byLeader[c.pid] = c
	if c.tree.mark != 0 {
		l.trees.byMark[c.tree.mark] = c
	}
}

// forgetProcess removes a child process that is over.
func (l *Loop) forgetProcess(c *childProcess) {
	delete(l.processes, c.id)
	delete(l.trees.byMark, c.tree.mark)
	if l.trees.byLeader[c.tree.group] == c {
		delete(l.trees.byLeader, c.tree.group)
	}
	for _, a := range l.trees.adopted {
		if a.owner == c {
			a.owner = nil
		}
	}
	maps.DeleteFunc(
		l.trees.unmarkedMembers,
		func(_ identity, of *childProcess) bool { return of == c },
	)
	if c.tree.leave { // the final stop sends no process the same step twice
		maps.Copy(l.sentSteps, c.tree.sent)
	}
}

// scanAdopted lists new adopted processes and determines the owner of each. A process that ends
// after the listing leaves children that the listing lacks. So scanAdopted lists again until it
// finds no process that has ended meanwhile.
func (l *Loop) scanAdopted() {
	t := &l.trees
	gone := map[int]bool{}
	for found := true; found; {
		found = false
		for _, pid := range l.notForked() {
			if t.adopted[pid] != nil || l.byPid[pid] != nil || l.isOwnTool(pid) ||
				t.zombies[pid] || gone[pid] {
				continue
			}
			s, err := procfs.ReadStat(pid)
			if err != nil {
				gone[pid], found = true, true
				continue
			}
			if allThreadsDead(s) {
				t.zombies[pid], found = true, true
				continue
			}
			a := &adopted{stat: s, owner: l.ownerOf(s), stopped: s.Stopped()}
			t.adopted[pid] = a
			if a.owner != nil {
				a.owner.tree.survivorCount++
			}
		}
	}
}

// fewProcesses is up to how many main processes the children of the loop's thread are listed as
// well. With thousands of them, a listing at each exit takes too long.
const fewProcesses = 16

// notForked lists the children of the main thread: the adopted processes. A process that was
// cloned with CLONE_PARENT is a child of the thread that forked its parent (clone(2)), so among
// few children it is found as well.
func (l *Loop) notForked() []int {
	self := os.Getpid()
	all := procfs.ThreadChildren(self, self)
	if len(l.byPid) <= fewProcesses {
		all = append(all, procfs.ThreadChildren(self, l.tid)...)
	}
	return all
}

// ownerOf returns the child process whose tree an adopted process belongs to. The mark decides.
// A process without a mark belongs to the tree in which it was observed or found, else to that
// of its process group or session, else to the only tree of which processes ended since the
// last listing. It returns nil if the owner is unknown.
//
// The last rule is not used if the supervisor is pid 1. Then it adopts processes from outside
// of all trees, such as those that docker exec leaves, and the rule would stop them with the
// next child.
func (l *Loop) ownerOf(s procfs.Stat) *childProcess {
	t := &l.trees
	if limit, err := procfs.FileLocks(s.Pid); err == nil {
		if n := t.marks.number(limit); n != 0 {
			return t.byMark[n]
		}
	}
	if o := l.observations[s.Pid]; o != nil && o.owner != nil {
		return o.owner
	}
	if c := t.unmarkedMembers[identityOf(s)]; c != nil {
		return c
	}
	for _, leader := range []int{s.PGrp, s.Session} {
		if c := t.byLeader[leader]; c != nil {
			return c
		}
	}
	ended := append(slices.Clone(t.endedSinceListing), t.changedSinceListing...)
	if os.Getpid() == 1 {
		return nil
	}
	if len(ended) == 0 ||
		slices.ContainsFunc(ended, func(c *childProcess) bool { return c != ended[0] }) ||
		ended[0].isOver() {
		return nil
	}
	return ended[0]
}

// survivors returns the adopted processes of a child process, by pid.
func (l *Loop) survivors(c *childProcess) []*adopted {
	var all []*adopted
	if c.tree.survivorCount > 0 {
		for _, a := range l.trees.adopted {
			if a.owner == c {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b *adopted) int { return cmp.Compare(a.stat.Pid, b.stat.Pid) })
	return all
}

// removeAdopted removes a reaped process, and returns the name of the child process that it
// belonged to. The name is empty if the owner is unknown or over.
func (l *Loop) removeAdopted(pid int) (child string) {
	t := &l.trees
	delete(t.zombies, pid)
	a := t.adopted[pid]
	if a == nil {
		return ""
	}
	delete(t.adopted, pid)
	if a.owner == nil {
		return ""
	}
	a.owner.tree.survivorCount--
	if !slices.Contains(t.changedSinceListing, a.owner) {
		t.changedSinceListing = append(t.changedSinceListing, a.owner)
	}
	t.scanDue = true
	return a.owner.name
}
