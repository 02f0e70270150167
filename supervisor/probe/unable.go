package probe

// NotStartedError is the error of a look that could not be made: what it lacked is the
// supervisor's or the machine's, and nothing is known of the run.
type NotStartedError struct{ Err error }

func (u *NotStartedError) Error() string { return "the probe could not be started: " + u.Err.Error() }

// Unwrap returns what the look lacked.
func (u *NotStartedError) Unwrap() error { return u.Err }
