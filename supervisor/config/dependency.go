package config

// Until is how far a child must have come before another one starts.
type Until string

// The three of them.
const (
	UntilStarted   Until = "started"   // it is executed
	UntilReady     Until = "ready"     // it serves, or has completed
	UntilCompleted Until = "completed" // it has run to success
)

// Dependency is a child that another one waits for.
type Dependency struct {
	Child string
	Until Until
}

func (d Dependency) String() string { return d.Child + " " + string(d.Until) }

// StopsAfterDependent reports whether what is depended on is to be there for as long as
// the dependent, so that it is stopped after it. The result of one that
// completed is all that was wanted of it.
func (d Dependency) StopsAfterDependent() bool { return d.Until != UntilCompleted }
