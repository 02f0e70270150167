package process

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/procfs"
)

// The end of a run is the end of its process tree. When a main process ends, the
// kernel makes its children ours, and so it does with the children of each
// descendant that ends later. What is ours then and belongs to the run are its
// survivors: they are told the step of the stop sequence that the run has come
// to, and once the last of them is reaped the run is over.
//
// Nothing announces an adoption. But a process is adopted before its parent can
// be reaped (exit_notify in kernel/exit.c), so a scan after each round of reaping
// misses none. The kernel gives the children of others to our main thread
// (find_new_reaper there), and we fork on another one, so the list of the main
// thread's children is that of the adopted processes.

// adopted is a process that became our child because its parent ended.
type adopted struct {
	stat procfs.Stat // when it was seen first
	run  *run        // whose tree it is in; nil: not known, or of a run that is over
	step int         // the last step that it was sent by itself; 0: none
	// stopped: job control stopped it, as it was seen before it was traced.
	stopped bool
}

// trees knows which process tree each adopted process is in. The loop's thread
// owns it.
type trees struct {
	marks   marks
	last    uint64 // the number of the mark that was given last
	byMark  map[uint64]*run
	byGroup map[int]*run // by the pid of the first main process, which is its group and session
	adopted map[int]*adopted
	// members are descendants without a mark that were seen while their main process
	// ran; see [Loop.glance].
	members map[identity]*run
	// zombies are those that were found dead, until they are reaped: with hundreds of them, to read
	// each again after each round of reaping would take longer than the reaping.
	zombies map[int]bool
	due     bool   // something died since the last scan
	ended   []*run // whose main process ended since the last scan
	changed []*run // of which an adopted process was reaped since the last scan
}

func newTrees() trees {
	t := trees{
		byMark: map[uint64]*run{}, byGroup: map[int]*run{}, adopted: map[int]*adopted{},
		members: map[identity]*run{}, zombies: map[int]bool{},
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_LOCKS, &limit) == nil {
		t.marks = newMarks(limit.Cur, limit.Max)
	}
	return t
}

// sentStep is a step of the stop sequence that was sent to a run.
type sentStep struct {
	delivery
	scope lifecycle.Scope
	moment
}

// runTree is what a run knows of its process tree.
type runTree struct {
	mark    uint64 // 0: none could be made
	group   int    // the process group that the run was given
	leave   bool   // survivors run on, and nothing waits for them
	alive   int    // adopted processes of it
	steps   []sentStep
	sent    map[identity]int // the last step of those that were sent it one by one
	killing killing
	// nextContinue is when survivors that job control stopped are continued next.
	nextContinue time.Time
}

func newRunTree(mark uint64, leave bool) runTree {
	return runTree{mark: mark, leave: leave, sent: map[identity]int{}}
}

// Survivor is a process that outlived the main process of its run.
type Survivor struct {
	Pid     int
	Command string
}

func (s Survivor) String() string { return fmt.Sprintf("%s (pid %d)", s.Command, s.Pid) }

// mark gives the processes that this thread forks from now on the mark of a
// tree; 0 stands for none. The limit is that of our whole process, but nobody
// else forks. It is taken back after the fork: pam_limits gives a process the
// limits of pid 1, which we may be.
func (l *Loop) mark(number uint64) {
	m := &l.trees.marks
	if !m.usable {
		return
	}
	limit := unix.Rlimit{Cur: m.of(number), Max: m.hard}
	if unix.Setrlimit(unix.RLIMIT_LOCKS, &limit) != nil {
		m.usable = false // groups and sessions tell what they can
	}
}

// newMark returns the number for the next run.
func (t *trees) newMark() uint64 {
	if !t.marks.usable || len(t.byMark) >= maxMark {
		return 0
	}
	for {
		t.last = t.last%maxMark + 1
		if t.byMark[t.last] == nil {
			return t.last
		}
	}
}

// beginTree begins the tree of a run that was forked.
func (l *Loop) beginTree(r *run) {
	r.tree.group = r.pid
	l.trees.byGroup[r.pid] = r
	if r.tree.mark != 0 {
		l.trees.byMark[r.tree.mark] = r
	}
}

// endRun forgets a run that is over.
func (l *Loop) endRun(r *run) {
	delete(l.runs, r.id)
	delete(l.trees.byMark, r.tree.mark)
	if l.trees.byGroup[r.tree.group] == r {
		delete(l.trees.byGroup, r.tree.group)
	}
	for _, a := range l.trees.adopted {
		if a.run == r {
			a.run = nil
		}
	}
	maps.DeleteFunc(l.trees.members, func(_ identity, of *run) bool { return of == r })
	if r.tree.leave { // the final stop sends nobody the same step twice
		maps.Copy(l.sent, r.tree.sent)
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
			if t.adopted[pid] != nil || l.pids[pid] != nil || l.trials[pid] != nil ||
				t.zombies[pid] || gone[pid] {
				continue
			}
			s, err := procfs.ReadStat(pid)
			if err != nil {
				gone[pid], found = true, true
				continue
			}
			if ended(s) {
				t.zombies[pid], found = true, true
				continue
			}
			a := &adopted{stat: s, run: l.ownerOf(s), stopped: s.Stopped()}
			t.adopted[pid] = a
			if a.run != nil {
				a.run.tree.alive++
			}
		}
	}
}

// fewRuns is up to how many main processes the children of the loop's own thread are
// listed, too: a list of thousands for each of thousands that end is too long.
const fewRuns = 16

// notForked lists the children of our main thread: the adopted processes. A process
// that was cloned with CLONE_PARENT is a child of the thread that forked its parent
// (clone(2)); among a few children it is found as well.
func (l *Loop) notForked() []int {
	self := os.Getpid()
	all := procfs.ThreadChildren(self, self)
	if len(l.pids) <= fewRuns {
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
func (l *Loop) ownerOf(s procfs.Stat) *run {
	t := &l.trees
	if limit, err := procfs.FileLocks(s.Pid); err == nil {
		if n := t.marks.number(limit); n != 0 {
			return t.byMark[n]
		}
	}
	if w := l.watches[s.Pid]; w != nil && w.run != nil {
		return w.run
	}
	if r := t.members[key(s)]; r != nil {
		return r
	}
	for _, leader := range []int{s.PGrp, s.Session} {
		if r := t.byGroup[leader]; r != nil {
			return r
		}
	}
	ended := append(slices.Clone(t.ended), t.changed...)
	if os.Getpid() == 1 {
		return nil
	}
	if len(ended) == 0 || slices.ContainsFunc(ended, func(r *run) bool { return r != ended[0] }) || ended[0].over() {
		return nil
	}
	return ended[0]
}

// followTrees finds out after a round of reaping which runs are over by now, and
// sends the survivors of the others the step that they have missed.
func (l *Loop) followTrees() {
	t := &l.trees
	if !t.due {
		return
	}
	t.due = false
	if len(t.ended) == 0 && len(t.changed) == 0 {
		return
	}
	l.scanAdopted()
	runs := append(t.ended, t.changed...)
	t.ended, t.changed = nil, nil
	for _, r := range runs {
		l.follow(r)
	}
}

// follow goes on with a run whose main process has ended.
func (l *Loop) follow(r *run) {
	if r.phase.Unlisted() {
		if l.promote(r) {
			return
		}
		r.phase.Handle(phase.TreeListed)
		l.settle(r)
	}
	switch {
	case r.phase != phase.Outlived: // settle is called again, or has ended the run
	case r.tree.alive > 0:
		l.sendSurvivors(r)
	default:
		r.phase.Handle(phase.TreeEnded)
		l.endRun(r)
		l.report(TreeEnded{Process: r.id})
	}
}

// over reports whether nothing of a run is left, or nothing that it waits for.
func (r *run) over() bool {
	return r.phase == phase.Over || r.phase == phase.Outlived && r.tree.alive == 0
}

// survivors are the adopted processes of a run, by their pids.
func (l *Loop) survivors(r *run) []*adopted {
	var all []*adopted
	if r.tree.alive > 0 {
		for _, a := range l.trees.adopted {
			if a.run == r {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b *adopted) int { return cmp.Compare(a.stat.Pid, b.stat.Pid) })
	return all
}

// reapedAdopted strikes an adopted process out.
func (l *Loop) reapedAdopted(pid int) (child string) {
	t := &l.trees
	delete(t.zombies, pid)
	a := t.adopted[pid]
	if a == nil {
		return ""
	}
	delete(t.adopted, pid)
	if a.run == nil {
		return ""
	}
	a.run.tree.alive--
	if !slices.Contains(t.changed, a.run) {
		t.changed = append(t.changed, a.run)
	}
	t.due = true
	return a.run.name
}

// sendStep notes that a step is on its way to a run, and sends it to the
// survivors.
func (l *Loop) sendStep(r *run, d delivery, at moment) {
	scope := r.scope
	if r.phase.MainEnded() {
		scope = lifecycle.ScopeProcess // the survivors are sent it one by one
	}
	r.tree.steps = append(r.tree.steps, sentStep{d, scope, at})
	if r.phase.MainEnded() {
		l.sendSurvivors(r)
	}
}

// sendSurvivors sends the present step to those survivors that it has not
// reached. It goes to adopted processes alone: a descendant of one that lives may
// be needed for its clean-up, and is adopted when that ends. SIGKILL goes to all.
func (l *Loop) sendSurvivors(r *run) {
	if len(r.tree.steps) == 0 {
		return // the fleet begins the stop sequence when it hears of the survivors
	}
	last := r.tree.steps[len(r.tree.steps)-1]
	if last.signal == unix.SIGKILL {
		if next := r.tree.killing.next; time.Now().Before(next) {
			l.soon(next) // tendTree goes on
			return
		}
		l.killSurvivors(r)
		return
	}
	for _, a := range l.survivors(r) {
		if r.tree.reached(a) >= last.rung {
			l.continueStopped(a)
			continue
		}
		a.step = last.rung
		l.scanSurvivor(r, a, func() { l.sendOne(r, a, last.delivery) })
	}
}

// reached is the last step that a process was sent, with its group or by itself.
func (t *runTree) reached(a *adopted) int {
	return max(a.step, t.reachedWithGroup(a.stat))
}

func (t *runTree) reachedWithGroup(p procfs.Stat) int {
	step := t.sent[key(p)]
	for _, s := range t.steps {
		if s.scope != lifecycle.ScopeProcess && p.PGrp == t.group && s.moment.hadForked(p) {
			step = max(step, s.rung)
		}
	}
	return step
}

// scanSurvivor has the descriptors of a survivor and of what is below it scanned
// before it is told to end, unless they are watched already.
func (l *Loop) scanSurvivor(r *run, a *adopted, then func()) {
	if s, err := procfs.ReadStat(a.stat.Pid); err == nil && s.Stopped() {
		a.stopped = true // traced it looks like any other stop
	}
	if r.stop.proof == event.ProofExact && l.watches[a.stat.Pid] == nil {
		if w := l.found(&watched{run: r, pid: a.stat.PPid}, a.stat.Pid); w != nil {
			l.scanFound(w, nil, then)
			return
		}
	}
	then()
}

func (l *Loop) sendOne(r *run, a *adopted, d delivery) {
	if l.trees.adopted[a.stat.Pid] != a {
		return // it ended while it was scanned
	}
	err := unix.Kill(a.stat.Pid, d.signal) // it is our child, and not reaped: nobody else has its number
	l.report(Signalled{Process: r.id, Pid: a.stat.Pid, Descendant: a.stat.Comm, Signal: d.signal, Step: d.rung, Err: err})
	l.continueStopped(a)
}

// continueStopped continues a survivor that job control stopped: it cannot act on
// the signal before that.
func (l *Loop) continueStopped(a *adopted) {
	s, err := procfs.ReadStat(a.stat.Pid)
	w := l.watches[a.stat.Pid]
	if a.stopped || err == nil && s.Stopped() || w != nil && w.machine.State.IsJobStopped() {
		a.stopped = false
		_ = unix.Kill(a.stat.Pid, unix.SIGCONT)
	}
}

// killSurvivors sends SIGKILL to the whole tree of a run whose main process has
// ended. It is called again until nothing is left.
func (l *Loop) killSurvivors(r *run) {
	next := l.killTreeOf(r, func() (all []procfs.Stat) {
		for _, a := range l.survivors(r) {
			all = appendTree(all, a.stat.Pid)
		}
		return all
	})
	r.tree.killing.next = next
	l.soon(next)
}

// killBelow sends SIGKILL to the descendants of a main process that got it and may
// still be there, once.
func (l *Loop) killBelow(r *run) {
	if r.tree.alive == 0 && len(procfs.Children(r.pid)) == 0 {
		return // as with most
	}
	l.killTreeOf(r, func() (all []procfs.Stat) {
		for _, pid := range procfs.Children(r.pid) {
			all = appendTree(all, pid)
		}
		for _, a := range l.survivors(r) {
			all = appendTree(all, a.stat.Pid)
		}
		return all
	})
}

func (l *Loop) killTreeOf(r *run, list func() []procfs.Stat) (next time.Time) {
	rung := r.tree.steps[len(r.tree.steps)-1].rung
	return l.killAll(l.killingOf(r), list, func(p procfs.Stat, err error) {
		l.report(Signalled{Process: r.id, Pid: p.Pid, Descendant: p.Comm, Signal: unix.SIGKILL, Step: rung, Err: err})
	})
}

// tendTree goes on with the end of survivors; zero: there is nothing to be done.
func (l *Loop) tendTree(r *run, now time.Time) time.Time {
	n := len(r.tree.steps)
	if !r.phase.MainEnded() || r.tree.alive == 0 || r.over() || n == 0 {
		return time.Time{}
	}
	last := r.tree.steps[n-1]
	if last.signal != unix.SIGKILL {
		if now.Before(r.tree.nextContinue) {
			return r.tree.nextContinue
		}
		r.tree.nextContinue = now.Add(net)
		for _, a := range l.survivors(r) { // one may have been stopped meanwhile
			if a.step >= last.rung {
				l.continueStopped(a)
			}
		}
		return r.tree.nextContinue
	}
	if now.Before(r.tree.killing.next) {
		return r.tree.killing.next
	}
	l.scanAdopted()
	l.killSurvivors(r)
	return r.tree.killing.next
}

// appendTree appends a process and all below it that live.
func appendTree(all []procfs.Stat, pid int) []procfs.Stat {
	for _, p := range append([]int{pid}, procfs.Descendants(pid)...) {
		if s, err := procfs.ReadStat(p); err == nil && !ended(s) {
			all = append(all, s)
		}
	}
	return all
}

// ended reports whether no thread of a process is alive. The stat of a process is
// that of its main thread, which can end before the others.
func ended(s procfs.Stat) bool { return s.Dead() && procfs.IsGone(s.Pid) }
