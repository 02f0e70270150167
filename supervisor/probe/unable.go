package probe

// Unable is the error of a look that could not be made: what it lacked is the
// supervisor's or the machine's, and nothing is known of the run.
type Unable struct{ Err error }

func (u *Unable) Error() string { return "the probe could not be started: " + u.Err.Error() }

// Unwrap returns what the look lacked.
func (u *Unable) Unwrap() error { return u.Err }
