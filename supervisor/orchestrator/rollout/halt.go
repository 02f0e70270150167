package rollout

// StaysHalted reports whether an instance of a child keeps its halted update from being complete:
// it runs by an older specification, or has not proved the present one. If the failed instance was
// restarted and none was given up, the update is complete after all.
func StaysHalted(instances []Instance, child string) bool {
	for _, i := range instances {
		present := i.Child == child && i.Role != Retired && !i.Goal.stops()
		if present && (i.GivenUp || i.Goal == Replace || !i.Updated()) {
			return true
		}
	}
	return false
}

// KeptAtHalt returns the names of the instances of a child that keep their process if its update is
// halted now.
func KeptAtHalt(instances []Instance, child string) (names []string) {
	for _, i := range instances {
		if i.Child == child && i.Goal == Replace && i.State.Satisfied() && i.Surge != SurgeUpdated {
			names = append(names, i.Name)
		}
	}
	return names
}
