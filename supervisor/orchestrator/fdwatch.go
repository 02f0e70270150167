package orchestrator

import (
	"context"
	"fmt"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/event"
	"tp0/supervisor/explain"
	"tp0/supervisor/openfds"
)

// maxFDCount bounds one count of the descriptors of a process tree.
const maxFDCount = 10 * time.Second

type (
	// fdCountDue is the event that the interval between two counts has ended.
	fdCountDue struct {
		inst  *instance
		watch *fdWatch
	}
	// fdsCounted is the result of a count.
	fdsCounted struct {
		inst    *instance
		watch   *fdWatch
		counted []openfds.Counted
		err     error
	}
	// fdLeakFound is a leak, with what most of its descriptors refer to.
	fdLeakFound struct {
		inst    *instance
		watch   *fdWatch
		leak    openfds.Leak
		targets []api.FDTarget
	}
)

// startFDWatch starts the counts of a process that is ready, if watch_fds asks for them.
func (o *Orchestrator) startFDWatch(inst *instance) {
	interval := inst.spec.Policy.WatchFDs
	if interval == 0 || o.opt.CountFDs == nil {
		return
	}
	w := &fdWatch{interval: interval}
	w.ctx, w.cancel = context.WithCancel(o.ctx)
	inst.health.fdWatch = w
	o.scheduleFDCount(inst, w)
}

func (inst *instance) stopFDWatch() {
	if w := inst.health.fdWatch; w != nil {
		w.timer.Stop()
		w.cancel()
		inst.health.fdWatch = nil
	}
}

// restartFDWatch applies a new watch_fds to a process that is ready.
func (o *Orchestrator) restartFDWatch(inst *instance, old time.Duration) {
	if inst.serves() && old != inst.spec.Policy.WatchFDs {
		inst.stopFDWatch()
		o.startFDWatch(inst)
	}
}

func (o *Orchestrator) scheduleFDCount(inst *instance, w *fdWatch) {
	m := fdCountDue{inst, w}
	w.timer = time.AfterFunc(w.interval, func() { o.mail.Put(m) })
}

func (o *Orchestrator) onFDCountDue(m fdCountDue) {
	w, pid := m.watch, m.inst.process.pid
	if w.ctx.Err() != nil {
		return
	}
	o.wg.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, maxFDCount)
		defer cancel()
		counted, err := o.opt.CountFDs(ctx, pid)
		o.mail.Put(fdsCounted{m.inst, w, counted, err})
	})
}

// onFDsCounted adds a count. For each leak it finds out what the descriptors refer to.
func (o *Orchestrator) onFDsCounted(m fdsCounted) {
	w := m.watch
	if w.ctx.Err() != nil {
		return
	}
	o.scheduleFDCount(m.inst, w)
	if m.err != nil {
		if !w.reported {
			w.reported = true
			o.opt.Sink.Emit(event.Warning{
				What: "descriptors not counted", Reason: m.inst.spec.Name + ": " + m.err.Error(),
			})
		}
		return
	}
	w.reported = false
	for _, leak := range w.watch.Add(m.counted) {
		o.wg.Go(func() {
			ctx, cancel := context.WithTimeout(w.ctx, maxFDCount)
			defer cancel()
			targets := o.opt.CommonFDs(ctx, leak.Pid, leak.GrownKinds())
			o.mail.Put(fdLeakFound{m.inst, w, leak, targets})
		})
	}
}

// onFDLeakFound reports a leak once for each episode: see openfds.Watch.
func (o *Orchestrator) onFDLeakFound(m fdLeakFound) {
	if m.watch.ctx.Err() != nil {
		return
	}
	l := &m.leak
	facts := event.FDGrowth{
		Child: m.inst.spec.Name, Pid: l.Pid, Open: l.Open(), Limit: l.Limit,
	}
	if l.Pid != m.inst.process.pid {
		facts.Process = l.Command
	}
	for _, t := range m.targets {
		facts.Targets = append(facts.Targets, fmt.Sprintf("%d %s %s", t.Open, t.Kind, t.Target))
	}
	if l.NearLimit {
		o.opt.Sink.Emit(event.FDLimitNear{FDGrowth: facts})
	}
	if len(l.Grown) == 0 {
		return
	}
	facts.Grown = l.Growths()
	o.opt.Sink.Emit(event.FDLeakSuspected{FDGrowth: facts})
}

// noteLeaks notes the leaks of an instance that are not over.
func (inst *instance) noteLeaks(f *explain.Facts) {
	w := inst.health.fdWatch
	if w == nil {
		return
	}
	for _, l := range w.watch.Present() {
		by := ""
		if l.Pid != inst.process.pid {
			by = fmt.Sprintf(" in its descendant %s (pid %d)", l.Command, l.Pid)
		}
		for _, growth := range l.Growths() {
			f.Leaks = append(f.Leaks, growth+by)
		}
		if l.NearLimit {
			f.NearLimit = append(f.NearLimit,
				fmt.Sprintf("%d of %d are open%s", l.Open(), l.Limit, by))
		}
	}
}
