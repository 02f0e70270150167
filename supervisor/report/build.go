package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/termtext"
)

// Facts has what a report needs beside the recorded events.
type Facts struct {
	Version, Host, Config string
	Complete              event.ShutdownComplete
	Code                  int                 // the exit code of the supervisor
	Group                 map[string]string   // the child that an instance belongs to
	DependsOn             map[string][]string // of a child: the children that are stopped after it
}

// Report returns the report of the recorded stop. Call it after the last event.
func (r *Recorder) Report(f Facts) *Document {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beginStop(r.now()) // the supervisor can end before a stop begins
	c := f.Complete
	d := &Document{
		Origin: Origin{
			Schema, termtext.Valid(f.Version), termtext.Valid(f.Host), termtext.Valid(f.Config),
		},
		Began: r.stopBegan, Signal: r.signal, Reason: termtext.Valid(r.reason),
		Deadline: millis(c.Deadline), Elapsed: millis(c.Elapsed), Code: f.Code, Verdict: c.Verdict,
		Balance: Balance{
			c.Spawned, c.Reaped, c.Orphans, c.Killed, c.KilledBefore, c.Opened, c.Closed, c.Left,
			c.Findings, c.Unproven, c.LeftBefore,
		},
		Failed:   validTexts(c.Failed),
		Findings: []Finding{}, Children: make([]Child, 0, len(r.processes)), Before: []EarlierEnd{},
		Orphans: []Orphan{}, Own: []FD{}, Omitted: r.omitted,
		Signals: r.instants(r.signals), Warnings: r.instants(r.warnings),
	}
	for _, x := range r.processes {
		c := r.child(x)
		c.DependsOn = f.DependsOn[f.Group[x.child]]
		c.Why = c.explain(d.Elapsed)
		d.Children = append(d.Children, c)
	}
	slices.SortStableFunc(d.Children, func(a, b Child) int {
		return cmp.Or(
			cmp.Compare(firstSignalOrEnd(a.Steps, a.Ended), firstSignalOrEnd(b.Steps, b.Ended)),
			strings.Compare(a.Child, b.Child), a.Pid-b.Pid,
		)
	})
	d.Before = r.earlierEnds()
	for _, o := range r.orphans {
		x := Orphan{Pid: o.pid, Command: termtext.Valid(o.command), Steps: r.steps(o.steps)}
		if !o.ended.IsZero() {
			at, exit := r.at(o.ended), o.exit
			x.Ended, x.Exit = &at, &exit
		}
		d.Orphans = append(d.Orphans, x)
	}
	for _, x := range r.ownFDs {
		d.Own = append(d.Own, r.fd(x, 0))
	}
	d.Findings = r.findings()
	d.Budget = criticalPath(d, f.Group)
	d.Stop = count(d)
	return d
}

// earlierEnds returns the instances that had ended when the stop began, by name.
func (r *Recorder) earlierEnds() []EarlierEnd {
	all := []EarlierEnd{}
	for name, i := range r.instances {
		if x := i.latest; !x.ended.IsZero() && x.ended.Before(r.stopBegan) && !x.inStop {
			all = append(all, EarlierEnd{
				termtext.Valid(name), x.pid, i.restarts, r.at(x.ended), x.reaped.Exit,
			})
		}
	}
	slices.SortFunc(all, func(a, b EarlierEnd) int { return strings.Compare(a.Child, b.Child) })
	return all
}

// findings returns the findings of the stop. Findings that did harm are first.
func (r *Recorder) findings() []Finding {
	all := []Finding{}
	for _, x := range r.processes {
		for _, f := range x.fds {
			if f.Finding != "" {
				all = append(all, Finding{
					Child: termtext.Valid(f.Owner), Pid: f.Pid, Process: termtext.Valid(f.Process),
					FD: f.FD, Kind: termtext.Valid(f.Kind), Target: termtext.Valid(f.Target),
					Finding: termtext.Valid(f.Finding), Harm: termtext.Valid(f.Harm),
					Advice: termtext.Valid(f.Advice),
				})
			}
		}
	}
	rank := func(f Finding) int {
		if harmful(f.Finding) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(
			rank(a)-rank(b), strings.Compare(a.Child, b.Child), a.Pid-b.Pid, a.FD-b.FD,
		)
	})
	return all
}

// firstSignalOrEnd returns the time of the first signal. Without a signal it is the end.
func firstSignalOrEnd(steps []Step, ended *float64) float64 {
	switch {
	case len(steps) > 0:
		return steps[0].At
	case ended != nil:
		return *ended
	}
	return 0
}

func (r *Recorder) child(x *childProcess) Child {
	e := x.reaped
	c := Child{
		Child: termtext.Valid(x.child), Pid: x.pid, Command: termtext.Valid(x.command),
		Restarts: x.instance.restarts, Spawned: r.at(x.spawned),
		Steps:     r.steps(x.steps),
		Resources: Resources{millis(e.User), millis(e.System), e.MaxRSS},
		Descriptors: Descriptors{
			e.Proof, termtext.Valid(x.noProof), e.Closed, e.Left, []FD{}, []FD{},
		},
		Processes: []Process{}, Slow: []Slow{},
	}
	if n := x.notHandled; n != nil {
		c.NoHandler = &NoHandler{n.Signal, n.Disposition}
	}
	if x.isReady {
		ready := millis(x.ready)
		c.Ready = &ready
	}
	if !x.ended.IsZero() {
		at, exit := r.at(x.ended), e.Exit
		c.Ended, c.Exit = &at, &exit
	}
	if e.Stopped {
		stop := millis(e.Stop)
		c.Stop = &stop
	}
	if t := e.Tree; t.Known {
		c.Tree = &Tree{t.Threads, t.ThreadsAtEnd, t.Processes, t.Forked}
	}
	for _, f := range x.fds {
		if f.By == event.ByChild {
			c.Closed = append(c.Closed, r.fd(f, x.pid))
		} else {
			c.Left = append(c.Left, r.fd(f, x.pid))
		}
	}
	for _, p := range x.processes {
		c.Processes = append(c.Processes, r.descendant(p))
	}
	for _, s := range x.slow {
		c.Slow = append(c.Slow, Slow{
			r.at(s.at), s.Step, s.Signal, s.Disposition, millis(s.CPU), validTexts(s.Threads),
		})
	}
	return c
}

func (r *Recorder) descendant(p descendantEnd) Process {
	x := Process{
		Pid: p.Pid, Parent: p.Parent, Command: termtext.Valid(p.Command), Ended: r.at(p.at),
		Lifetime: millis(p.Lifetime), InStop: p.InStop,
		Threads: p.Threads, ClosedN: p.Closed, LeftN: p.Left, Proof: p.Proof,
		NoProof: termtext.Valid(p.Reason),
	}
	if !p.ExitUnknown {
		exit := p.Exit
		x.Exit = &exit
	}
	return x
}

// fd returns a descriptor in the list of the process pid. It has a pid of its own if a descendant
// had it.
func (r *Recorder) fd(f fd, pid int) FD {
	x := fdOf(f.FDClosed)
	x.At = r.at(f.at)
	if f.Pid != pid {
		x.Pid = f.Pid
	}
	return x
}

func (r *Recorder) steps(all []step) []Step {
	out := make([]Step, len(all))
	for i, x := range all {
		out[i] = Step{x.n, x.signal, r.at(x.at)}
	}
	return out
}

func (r *Recorder) instants(all []instant) []Instant {
	out := make([]Instant, len(all))
	for i, m := range all {
		out[i] = Instant{
			r.at(m.at), termtext.Valid(m.child), termtext.Valid(m.what), termtext.Valid(m.why),
		}
	}
	return out
}

// at returns a time in ms since the stop began.
func (r *Recorder) at(t time.Time) float64 { return millis(t.Sub(r.stopBegan)) }

// validTexts returns texts as valid UTF-8. A child or a user may have chosen them.
func validTexts(all []string) []string {
	valid := make([]string, len(all))
	for i, text := range all {
		valid[i] = termtext.Valid(text)
	}
	return valid
}
