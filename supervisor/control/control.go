// Package control opens the control socket of a supervisor and finds those of others. An abstract
// socket needs no writable path, and its name is the lock that prevents a second supervisor of the
// same children. A socket with a path is for those who may not, or cannot, use the abstract one.
// The kernel tells who is at the other end (unix(7), SO_PEERCRED).
package control

// Health is the state of a supervisor and its children.
type Health struct {
	Dead    string // a failure that is permanent; empty: there is none
	Unready string // a child that is not ready; empty: every child is ready or completed
	Note    string // a warning beside a good state; empty: there is none
}

// Question is what a health check asks.
type Question string

// The questions.
const (
	Alive Question = "alive" // whether Health.Dead is empty
	Ready Question = "ready" // whether Health.Dead and Health.Unready are empty
)

// Failure returns why the answer to a question is no. It is empty if the answer is yes.
func (h Health) Failure(q Question) string {
	if h.Dead == "" && q == Ready {
		return h.Unready
	}
	return h.Dead
}
