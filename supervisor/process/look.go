package process

import (
	"fmt"
	"time"

	"tp0/supervisor/procfs"
)

// sockets is what is known of the sockets of our network namespace.
type sockets struct {
	at    time.Time
	names map[uint64]string
}

// socketsFresh is how long one dump of all sockets serves: in a stop of many
// children most of them are then resolved from a single one.
const socketsFresh = 100 * time.Millisecond

// view is what one look at an exiting run saw.
type view struct {
	alive   int  // siblings that can still change the table
	livesOn bool // one of them is not about to end
	final   bool // the last look, whatever it saw
	fds     []procfs.FD
	err     error
}

// job runs a look beside the loop: reading a table takes longer than anything
// that the loop does itself. Looks are bounded by the number of runs.
func (l *Loop) job(r *run, look func() (done func())) {
	r.looks++
	l.jobs.Go(func() {
		l.slots <- struct{}{}
		done := look()
		<-l.slots
		l.cmds.Put(func() {
			r.looks--
			done()
			l.settle(r)
		})
	})
}

// lookBefore reads the table of a run whose stop begins, and then lets the
// signals go that wait for it.
func (l *Loop) lookBefore(r *run) {
	pid, tid := r.pid, r.pid
	if r.anchor != 0 {
		tid = r.anchor // the table of a main thread that has ended is empty
	}
	l.job(r, func() func() {
		runtime := l.runtimes.Of(pid)
		fds, err := l.table(pid, tid)
		l.resolve(fds)
		return func() {
			r.look.Runtime = runtime
			switch {
			case err == nil:
				r.look.Before = fds
			case !r.reaped:
				r.look.Proof, r.look.Reason = None, err.Error()
			}
			l.deliverWaiting(r)
		}
	})
}

// lookAfter looks at the siblings of a held thread and, when they are gone or
// final is set, at the table. The thread goes on before the sockets are
// resolved: they live until it has exited, and their names are known from the
// first look as a rule.
func (l *Loop) lookAfter(r *run, final bool) {
	pid, h := r.pid, r.hold
	l.job(r, func() func() {
		v := view{final: final}
		v.alive, v.livesOn = procfs.Siblings(pid, h.tid)
		if v.alive == 0 || final {
			v.fds, v.err = l.table(pid, h.tid)
			l.resolve(v.fds)
		}
		return func() { l.looked(r, h, v) }
	})
}

// table reads a table of descriptors; torn ones are read again, a few times:
// only a run that opens and closes all the time tears each.
func (l *Loop) table(pid, tid int) (fds []procfs.FD, err error) {
	for range 3 {
		if fds, err = procfs.Table(pid, tid); err != procfs.ErrTorn {
			return fds, err
		}
	}
	return fds, nil
}

// resolve names the sockets among fds.
func (l *Loop) resolve(fds []procfs.FD) {
	known := l.names.Load()
	need := false
	for _, f := range fds {
		if f.Kind != "socket" || f.Std() {
			continue
		}
		if known == nil || time.Since(known.at) > socketsFresh || known.names[f.Inode()] == "" {
			need = true
		}
	}
	if need {
		at := time.Now()
		if names, err := procfs.Sockets(); err == nil || len(names) > 0 {
			known = &sockets{at: at, names: names}
			l.names.Store(known)
		}
	}
	if known != nil {
		procfs.Resolve(fds, known.names)
	}
}

// judged is the look at a run that is over.
func (r *run) judged() Look {
	look := r.look
	switch {
	case r.stopAt.IsZero():
		look.Reason = "it ended by itself"
	case look.Proof == Exact && !r.seen:
		look.Proof, look.Reason = None, "its exit was not seen"
	case look.Proof == Exact && r.late:
		look.Proof, look.Reason = Sampled, fmt.Sprintf("the look before the signal took more than %v", beforeLimit)
	case r.sample.on && r.sample.last != nil:
		look.Proof, look.After = Sampled, r.sample.last
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
