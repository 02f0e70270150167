package orchestrator

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

// Result returns what the verdict and the exit code depend on. Call it after Supervise.
func (o *Orchestrator) Result() fdledger.Result {
	t, stop := &o.totals, o.totals.inStop()
	r := fdledger.Result{
		Killed: stop.killed + stop.escalated, Findings: stop.findings,
		Survived: t.survived, Critical: t.critical,
		Fault: t.fault || t.spawned != t.reaped, Strict: o.cfg.Shutdown.Strict,
	}
	for _, inst := range o.instances {
		r.Failed = r.Failed || inst.failed
	}
	return r
}

// Summary returns the last event, without the supervisor's own descriptors and the verdict. Call it
// after Supervise.
func (o *Orchestrator) Summary() event.ShutdownComplete {
	t, stop := &o.totals, o.totals.inStop()
	e := event.ShutdownComplete{
		Spawned: t.spawned, Reaped: t.reaped, Orphans: t.orphans,
		Killed: stop.killed, Left: stop.left, Findings: stop.findings,
		Unproven: stop.unproven, UnprovenNames: t.unprovenInStop(),
		KilledBefore: t.beforeStop.killed, LeftBefore: t.beforeStop.left,
		Elapsed: time.Since(o.shutdown.beganAt), Deadline: o.shutdown.length,
	}
	for _, inst := range o.instances {
		if inst.failed {
			e.Failed = append(e.Failed, inst.spec.Name)
		}
	}
	return e
}

// ExitStatus returns the status of the last process, or why it could not be spawned. Call it after
// Supervise.
func (o *Orchestrator) ExitStatus() (unix.WaitStatus, error) {
	return o.totals.status, o.totals.spawnError
}
