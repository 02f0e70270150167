package process

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tp0/supervisor/ledger"
	"tp0/supervisor/procfs"
)

// sockets is what is known of the sockets of our network namespace. To take
// stock of them can cost as much as ten tables, so it is done in parts, the
// cheap ones first; and each serves all looks that waited for it: in a stop of
// many children that is most of them.
type sockets [procfs.SocketParts]struct {
	mu    sync.Mutex
	began time.Time // the taking stock
	known map[uint64]procfs.SocketInfo
	took  atomic.Int64 // nanoseconds; 0: not known yet
}

// since returns a part of which stock was taken at t or later. It waits for the
// taking that is under way and makes the next.
func (s *sockets) since(part int, t time.Time) map[uint64]procfs.SocketInfo {
	p := &s[part]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.Before(t) {
		began := time.Now()
		if known, err := procfs.SomeSockets(part); err == nil || len(known) > 0 {
			p.began, p.known = began, known
			p.took.Store(int64(time.Since(began)))
		}
	}
	return p.known
}

// freshBefore is how old a dump may be that names what a run holds when its
// stop begins. What is left at an exit is told with the bytes that wait in it,
// so that dump must be of that moment.
const freshBefore = 100 * time.Millisecond

// fresh is how long ago that is.
func fresh() time.Time { return time.Now().Add(-freshBefore) }

// view is what one look at a held process saw.
type view struct {
	alive    int  // siblings that can still change the table
	survivor int  // one of them that is not about to end; 0: none
	execs    bool // that one waits in execve, for this thread
	final    bool // the last look, whatever it saw
	fds      []procfs.FD
	comm     string
	runtime  ledger.Runtime
	children []int
	err      error
}

// job runs a look beside the loop: reading a table takes longer than anything
// that the loop does itself. Looks are bounded by the number of processes.
func (l *Loop) job(w *watched, look func() (done func())) {
	if !l.atOnce(w) {
		l.beside(w, look)
		return
	}
	w.looks++
	done := look()
	l.lookers.leave()
	w.looks--
	done()
	l.finish(w)
}

// beside does one beside the loop, however quick it may be.
func (l *Loop) beside(w *watched, look func() (done func())) {
	w.looks++
	l.lookers.do(func() {
		done := look()
		l.cmds.Put(func() {
			w.looks--
			done()
			l.finish(w)
		})
	})
}

// finish tells of the end of a process that is over once nothing of it is
// under way.
func (l *Loop) finish(w *watched) {
	switch {
	case w.own():
		l.settle(w.run)
	case w.over:
		l.ended(w)
	}
}

// lookBefore looks at a run whose stop begins and at all below it, attaches to
// them, and then lets the signals go that wait for it.
func (l *Loop) lookBefore(r *run, proof Proof) {
	w := r.watched
	l.job(w, func() func() {
		cpu, _ := procfs.CPU(w.pid)
		tree := l.members(w.pid)
		return func() {
			w.cpu = cpu
			w.look.Reason = "it had ended already"
			if len(tree) > 0 && tree[0].stat.Pid == w.pid {
				w.look.Reason = ""
				w.take(tree[0])
				l.attach(w, proof)
				tree = tree[1:]
			}
			r.processes = len(tree)
			if proof == Exact {
				l.findBelow(tree)
				l.findNew(w)
			}
			l.deliverWaiting(r)
		}
	})
}

// findBelow begins to watch what a look found below a run.
func (l *Loop) findBelow(tree []member) {
	for _, m := range tree {
		parent := l.watches[m.stat.PPid]
		if parent == nil {
			continue // it lost its parent meanwhile, and is an orphan
		}
		if w := l.found(parent, m.stat.Pid); w != nil {
			w.take(m)
		}
	}
}

// findNew begins to watch what a process forked between the look at it and the
// moment when it was traced. One that has neither threads nor processes below
// it is believed not to fork in just that moment.
func (l *Loop) findNew(w *watched) {
	if len(w.traced) < 2 && w.run.processes == 0 {
		return
	}
	for _, pid := range procfs.Children(w.pid) {
		if child := l.found(w, pid); child != nil {
			l.lookFound(child, w.look.Before, func() {})
		}
	}
}

// lookFound looks at a process that is watched since a moment ago, and at all
// below it. Its parent held of.
func (l *Loop) lookFound(w *watched, of []procfs.FD, then func()) {
	l.job(w, func() func() {
		tree := l.members(w.pid)
		if len(tree) > 0 {
			tree[0].from = inherited(member{stat: procfs.Stat{Pid: w.parent}, fds: of}, tree[0])
		}
		return func() {
			if len(tree) > 0 && tree[0].stat.Pid == w.pid {
				w.take(tree[0])
				l.findBelow(tree[1:])
			}
			then()
		}
	})
}

// lookBorn looks at what a process inherited, before its first instruction.
func (l *Loop) lookBorn(w *watched) {
	h := w.hold
	l.job(w, func() func() {
		fds, err := l.table(w.pid, w.pid)
		l.resolve(w.pid, fds, fresh())
		s, _ := procfs.ReadStatus(w.pid)
		return func() {
			w.look.Before, w.look.Inherited, w.execed = fds, fds, true
			if err != nil {
				w.look.Proof, w.look.Reason = None, err.Error()
			}
			w.apart = !l.keepsRights(s)
			if w.hold == h {
				l.resume(w)
			}
		}
	})
}

// runtime says what the program of a process is built on.
func (l *Loop) runtime(pid int) (r ledger.Runtime) {
	_ = readAs(pid, func() (err error) {
		r, err = l.runtimes.Of(pid)
		return err
	})
	return r
}

// keepsRights reports whether a process executes programs with the same rights
// whether we trace it or not: since we are privileged, since it gains none
// anyhow (no_new_privs), or since it has all there are. See
// cap_bprm_creds_from_file in security/commoncap.c.
func (l *Loop) keepsRights(s procfs.Status) bool {
	const setids = 1<<6 | 1<<7 // CAP_SETGID, CAP_SETUID
	return l.privileged || s.NoNewPriv || s.Effective&setids == setids && s.Bounding&^s.Permitted == 0
}

// lookAfter looks at the siblings of a held thread and, when they are gone or
// final is set, at the table and the children; with glimpse, at the table in any
// case. The sockets live until the thread has exited, and are known from the
// first look as a rule.
func (l *Loop) lookAfter(w *watched, final, glimpse bool) {
	h, exiting, before := w.hold, append([]int{w.hold.tid}, w.exiting...), w.look.Before
	l.job(w, func() func() {
		v := view{final: final}
		v.alive, v.survivor = procfs.Siblings(w.pid, exiting)
		v.execs = v.survivor != 0 && procfs.Executing(w.pid, v.survivor)
		ends := v.alive == 0 || final
		if ends || glimpse {
			v.fds, v.err = l.table(w.pid, h.tid)
			procfs.ResolveAgain(v.fds, before)
			l.resolve(w.pid, v.fds, time.Now())
		}
		if ends {
			v.children = procfs.Children(w.pid)
			if w.execed {
				v.runtime = l.runtime(w.pid)
			}
			if !w.own() {
				s, _ := procfs.ReadStat(w.pid)
				v.comm = s.Comm
			}
		}
		return func() { l.looked(w, h, v) }
	})
}

// table reads a table of descriptors; torn ones are read again, a few times:
// only a process that opens and closes all the time tears each.
func (l *Loop) table(pid, tid int) (fds []procfs.FD, err error) {
	err = readAs(pid, func() (err error) {
		for range 3 {
			if fds, err = procfs.Table(pid, tid); err != procfs.ErrTorn {
				return err
			}
		}
		return nil
	})
	return fds, err
}

// resolve names the sockets among the fds of a process, as they were at since
// or later. Those of another network namespace than ours are looked for
// there, last.
func (l *Loop) resolve(pid int, fds []procfs.FD, since time.Time) {
	unknown := func() bool {
		return slices.ContainsFunc(fds, func(f procfs.FD) bool { return f.Kind == "socket" && !f.Std() && !f.Named() })
	}
	for _, since := range []time.Time{since, time.Now()} {
		if !unknown() {
			return
		}
		for part := range l.sockets {
			if !procfs.NeedPart(pid, fds, part) {
				continue
			}
			var known map[uint64]procfs.SocketInfo
			l.lookers.aside(func() { known = l.sockets.since(part, since) })
			procfs.Resolve(fds, known)
		}
	}
	theirs := map[uint64]procfs.SocketInfo{}
	if unknown() && procfs.SocketsOf(pid, theirs) == nil {
		procfs.Resolve(fds, theirs)
	}
	if unknown() {
		procfs.ResolveUnlisted(pid, fds)
	}
}

// judged is the look at a process that is over.
func (w *watched) judged() Look {
	look := w.look
	if w.own() {
		look.Inherited = w.run.sockets
	}
	switch {
	case look.Proof == Exact && !w.seen && w.glimpse != nil:
		look.Proof, look.Reason, look.After = Sampled, "only the exit of another thread was seen", w.glimpse
	case look.Proof == Exact && !w.seen:
		look.Proof, look.Reason = None, "its exit was not seen"
		if w.apart {
			look.Reason = "it was forked in the stop and could gain rights by what it executes, so it was not traced to its end"
		}
	case look.Proof == Exact && w.own() && w.run.late != "":
		look.Proof, look.Reason = Sampled, w.run.late
	case w.sample.on && w.sample.last != nil:
		look.Proof, look.After = Sampled, w.sample.last
	}
	if look.Proof == None {
		look.After = nil
	}
	nameFromBefore(look)
	return look
}

// nameFromBefore names the sockets that the kernel lists no more, such as a
// connection that was reset, as they were when the stop began.
func nameFromBefore(look Look) {
	for i, f := range look.After {
		if f.Kind != "socket" || f.Named() {
			continue
		}
		for _, b := range look.Before {
			if b.Same(f) {
				look.After[i].Target = b.Target
			}
		}
	}
}
