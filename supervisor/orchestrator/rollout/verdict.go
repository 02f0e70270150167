package rollout

// Reload is the state of the active reload.
type Reload struct {
	Enabled     bool // the configuration asks for rollbacks
	RollingBack bool // the previous configuration is being restored already
	Impossible  bool // the sockets of the previous configuration cannot be opened
}

// Verdict is what the failure of an instance means for the active reload.
type Verdict uint8

// The verdicts.
const (
	Unaffected Verdict = iota // the restart policy alone decides
	RollBack                  // the previous configuration is restored
	HaltUpdate                // no further instance of the child is updated
)

// Failure is the failure of an instance: its process ended, was not ready in time, or failed a
// check.
type Failure struct {
	Goal        Goal
	Unconfirmed bool // as in Instance
	Oneshot     bool
	Restarts    bool // its restart policy starts another process
}

// Judge returns what a failure means for a reload. The first failure of a new process fails the
// update: a version that starts anew each time would otherwise take down one replica after the
// other. Two cases wait for the restarts: in a rollback no better configuration is left, and a
// oneshot that is restarted takes nothing down.
func Judge(r Reload, f Failure) Verdict {
	switch {
	case f.Goal != Run || !f.Unconfirmed:
		return Unaffected
	case r.Enabled && !r.RollingBack && !r.Impossible:
		return RollBack
	case f.Restarts && (r.RollingBack || f.Oneshot):
		return Unaffected
	}
	return HaltUpdate
}
