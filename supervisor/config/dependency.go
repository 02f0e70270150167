package config

// Until is the state that a child must have reached before its dependent starts.
type Until string

// The values of Until.
const (
	UntilStarted   Until = "started"   // the child is executed
	UntilReady     Until = "ready"     // the child is ready, or has completed
	UntilCompleted Until = "completed" // the child has ended with success
)

// Dependency is a child that another child depends on.
type Dependency struct {
	Child string
	Until Until
}

func (d Dependency) String() string { return d.Child + " " + string(d.Until) }

// StopsAfterDependent reports whether the child stops after its dependent. A dependent that
// waits for the completion of the child needs only its result, so it returns false then.
func (d Dependency) StopsAfterDependent() bool { return d.Until != UntilCompleted }
