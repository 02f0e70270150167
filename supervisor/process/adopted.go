package process

import (
	"cmp"
	"maps"
	"os"
	"slices"

	"tp0/supervisor/procfs"
)

// registerTree begins the tree of a run that was forked.
func (l *Loop) registerTree(c *childProcess) {
	c.tree.group = c.pid
	l.trees.byGroup[c.pid] = c
	if c.tree.mark != 0 {
		l.trees.byMark[c.tree.mark] = c
	}
}

// forgetProcess forgets a run that is over.
func (l *Loop) forgetProcess(c *childProcess) {
	delete(l.processes, c.id)
	delete(l.trees.byMark, c.tree.mark)
	if l.trees.byGroup[c.tree.group] == c {
		delete(l.trees.byGroup, c.tree.group)
	}
	for _, a := range l.trees.adopted {
		if a.owner == c {
			a.owner = nil
		}
	}
	maps.DeleteFunc(l.trees.unmarkedMembers, func(_ identity, of *childProcess) bool { return of == c })
	if c.tree.leave { // the final stop sends nobody the same step twice
		maps.Copy(l.sentSteps, c.tree.sent)
	}
}

// scanAdopted lists the adopted processes that are new and says whose they are. One
// that ends after it was listed gives us children that the list does not have, so
// the listing is repeated until it finds nobody else that has ended.
func (l *Loop) scanAdopted() {
	t := &l.trees
	gone := map[int]bool{}
	for found := true; found; {
		found = false
		for _, pid := range l.notForked() {
			if t.adopted[pid] != nil || l.byPid[pid] != nil || l.running[pid] != nil ||
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
				a.owner.tree.alive++
			}
		}
	}
}

// fewProcesses is up to how many main processes the children of the loop's own thread are
// listed, too: a list of thousands for each of thousands that end is too long.
const fewProcesses = 16

// notForked lists the children of our main thread: the adopted processes. A process
// that was cloned with CLONE_PARENT is a child of the thread that forked its parent
// (clone(2)); among a few children it is found as well.
func (l *Loop) notForked() []int {
	self := os.Getpid()
	all := procfs.ThreadChildren(self, self)
	if len(l.byPid) <= fewProcesses {
		all = append(all, procfs.ThreadChildren(self, l.tid)...)
	}
	return all
}

// ownerOf says in whose tree an adopted process is: by its mark; where it has lost
// that, by the tree in which it is traced or was seen, by its process group and session;
// else by the one tree of which processes ended since the last scan. nil: nobody knows.
//
// As pid 1 we adopt processes that are nobody's descendants, such as what docker exec
// left: the last rule would end them with the next child, and is not used.
func (l *Loop) ownerOf(s procfs.Stat) *childProcess {
	t := &l.trees
	if limit, err := procfs.FileLocks(s.Pid); err == nil {
		if n := t.marks.number(limit); n != 0 {
			return t.byMark[n]
		}
	}
	if o := l.observed[s.Pid]; o != nil && o.owner != nil {
		return o.owner
	}
	if c := t.unmarkedMembers[identityOf(s)]; c != nil {
		return c
	}
	for _, leader := range []int{s.PGrp, s.Session} {
		if c := t.byGroup[leader]; c != nil {
			return c
		}
	}
	ended := append(slices.Clone(t.ended), t.changed...)
	if os.Getpid() == 1 {
		return nil
	}
	if len(ended) == 0 || slices.ContainsFunc(ended, func(c *childProcess) bool { return c != ended[0] }) || ended[0].isOver() {
		return nil
	}
	return ended[0]
}

// survivors are the adopted processes of a run, by their pids.
func (l *Loop) survivors(c *childProcess) []*adopted {
	var all []*adopted
	if c.tree.alive > 0 {
		for _, a := range l.trees.adopted {
			if a.owner == c {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b *adopted) int { return cmp.Compare(a.stat.Pid, b.stat.Pid) })
	return all
}

// removeAdopted strikes an adopted process out.
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
	a.owner.tree.alive--
	if !slices.Contains(t.changed, a.owner) {
		t.changed = append(t.changed, a.owner)
	}
	t.scanDue = true
	return a.owner.name
}
