package orchestrator

import (
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/orchestrator/rollout"
)

// keeps reports whether a giver still has what it is to give up. An instance whose update was given
// up keeps it from one process to the next.
func (g giver) keeps() bool {
	if g.inst.update.givenUp && g.inst.spec == g.spec {
		return !g.inst.state.Final()
	}
	return g.inst.state.HasProcess() && g.inst.process.id == g.process
}

// taken reports whether a giver still keeps what it is to give up.
func (c *claim) taken() bool {
	for len(c.givers) > 0 && !c.givers[0].keeps() {
		c.givers = c.givers[1:]
	}
	return len(c.givers) > 0
}

// takenFrom reports whether another instance than inst keeps what is to be given up.
func (c *claim) takenFrom(inst *instance) bool {
	other := func(g giver) bool { return g.inst != inst && g.keeps() }
	return c.taken() && slices.ContainsFunc(c.givers, other)
}

// waits reports whether the next process of an instance waits for a process that is to end first.
func (inst *instance) waits() bool {
	taken := func(t takeOver) bool { return t.claim.taken() }
	return slices.ContainsFunc(inst.handOver.takes, taken)
}

// notGiven returns an instance whose halted update keeps what the instance needs. Empty: there is
// none.
func (inst *instance) notGiven() string {
	for _, t := range inst.handOver.takes {
		if !t.claim.taken() {
			continue
		}
		for _, g := range t.claim.givers {
			if g.inst.update.givenUp && g.inst != inst && g.keeps() {
				return g.inst.spec.Name
			}
		}
	}
	return ""
}

// findAwaited marks the instances that give something up to an instance that waits already. A mark
// remains until the next reload, so each claim is considered once.
func (o *Orchestrator) findAwaited() {
	for _, inst := range o.instances {
		waiting := inst.goal == rollout.Run && !inst.state.Final() &&
			(!inst.state.HasProcess() || inst.state == lifecycle.Replacing)
		if !waiting && !inst.update.hasSlot {
			continue
		}
		for _, t := range inst.handOver.takes {
			if t.claim.awaited {
				continue
			}
			t.claim.awaited = true
			for _, g := range t.claim.givers {
				g.inst.handOver.awaited = true
			}
		}
	}
}

// reportWait reports that an instance cannot start before other processes have ended, once for each
// reason.
func (o *Orchestrator) reportWait(inst *instance) {
	waits := inst.state == lifecycle.Waiting || inst.state == lifecycle.Replacing
	if !waits || o.shutdown.phase != running {
		return
	}
	for _, t := range inst.handOver.takes {
		if !t.claim.takenFrom(inst) {
			continue
		}
		e := event.StartWaits{
			Child: inst.spec.Name, For: inst.giverNames(t.claim), Reason: t.Reason(),
		}
		if kept := inst.notGiven(); kept != "" {
			e.For, e.Halted = kept, true
		}
		if e != inst.handOver.reported {
			inst.handOver.reported = e
			o.opt.Sink.Emit(e)
		}
		return
	}
}

// maxGivers bounds how many instances a report of a wait names.
const maxGivers = 8

// giverNames returns the instances that a claim is taken over from, without the instance itself.
func (inst *instance) giverNames(c *claim) string {
	var names []string
	more := 0
	for _, g := range c.givers {
		switch {
		case g.inst == inst || !g.keeps() || slices.Contains(names, g.inst.spec.Name):
		case len(names) == maxGivers:
			more++
		default:
			names = append(names, g.inst.spec.Name)
		}
	}
	text := strings.Join(names, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
