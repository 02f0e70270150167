package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/termtext"
)

// maxThreads is the number of threads that an explanation names.
const maxThreads = 3

// explain returns why the stop of a child was slow or not graceful, in sentences. It returns nil
// if there is nothing to explain.
func (c *Child) explain(elapsed float64) []string {
	switch {
	case len(c.Steps) == 0:
		return nil
	case c.endedAtOnce():
		return []string{c.Child + " has no " + c.NoHandler.Signal + " handler: it ended at once, " +
			cutRequests(c.connections())}
	case len(c.Slow) > 0:
		return c.explainSlow(c.Slow[len(c.Slow)-1], elapsed)
	case c.gotSIGKILL():
		return []string{fmt.Sprintf("%s did not end after %s: %s", c.Child, c.Steps[0].Signal,
			c.outcome(elapsed))}
	}
	return nil
}

// endedAtOnce reports whether the stop signal ended the process by its default disposition.
func (c *Child) endedAtOnce() bool {
	return c.NoHandler != nil && c.NoHandler.Disposition == "default" && c.Exit != nil &&
		c.Exit.Signal == c.NoHandler.Signal
}

func (c *Child) gotSIGKILL() bool {
	return slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Signal == "SIGKILL" })
}

// connections returns the number of connections that the process had open at its exit.
func (c *Child) connections() (n int) {
	for _, f := range c.Left {
		if f.Kind == "socket" && strings.Contains(f.Target, " -> ") {
			n++
		}
	}
	return n
}

// cutRequests says what an end without a signal handler means for n open connections.
func cutRequests(n int) string {
	switch n {
	case 0:
		return "and would have cut requests in flight"
	case 1:
		return "requests in flight on its connection were cut"
	}
	return fmt.Sprintf("requests in flight on its %d connections were cut", n)
}

// explainSlow explains a slow stop by the last examination of the process.
func (c *Child) explainSlow(s Slow, elapsed float64) []string {
	after := s.At - c.Steps[0].At
	did := "it waited"
	if s.CPU > after/2 {
		did = "it computed"
	}
	sentences := []string{
		c.Child + " " + reaction(s.Signal, s.Disposition) + ": " + c.outcome(elapsed),
		fmt.Sprintf("%s ms after its first signal %s, with %s ms of CPU used", formatMS(after), did,
			formatMS(s.CPU)),
	}
	for _, t := range s.Threads[:min(len(s.Threads), maxThreads)] {
		sentences = append(sentences, thread(t))
	}
	if more := len(s.Threads) - maxThreads; more > 0 {
		sentences = append(sentences, termtext.Count(more, "more thread", "more threads"))
	}
	return sentences
}

// reaction says how a process handles a signal, in a stop that is slow.
func reaction(signal, disposition string) string {
	switch disposition {
	case "caught":
		return "handles " + signal + " and was slow to end"
	case "awaited":
		return "takes " + signal + " with sigwait(3) and was slow to end"
	case "ignored":
		return "ignores " + signal
	case "blocked":
		return "blocks " + signal + ", so the signal was not delivered"
	case "default":
		return "has no " + signal + " handler, and the signal did not end it"
	}
	return "was slow to end after " + signal
}

// outcome says how the stop of the process ended.
func (c *Child) outcome(elapsed float64) string {
	switch {
	case c.Ended == nil:
		return "it survived the stop"
	case c.Exit != nil && c.Exit.Signal == "SIGKILL":
		return "SIGKILL ended it after " + formatMS(c.took(elapsed)) + " ms"
	}
	return "it ended after " + formatMS(c.took(elapsed)) + " ms"
}

// thread returns the report of the process loop about a thread as a phrase. The report is "14
// sleeps in …", or "sh (pid 14): 14 sleeps in …" for a thread of a descendant.
func thread(text string) string {
	if text != "" && '0' <= text[0] && text[0] <= '9' {
		return "thread " + text
	}
	return text
}

// maxExplained is the number of explanations that a page or a terminal shows.
const maxExplained = 20

// explanations returns the sentences about each child, the slowest child first, and the number of
// explanations beyond [maxExplained]. Children with the same single sentence share it.
func explanations(d *Document) (all [][]string, more int) {
	order := make([]*Child, 0, len(d.Children))
	for i := range d.Children {
		if len(d.Children[i].Why) > 0 {
			order = append(order, &d.Children[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *Child) int {
		return cmp.Compare(b.took(d.Elapsed), a.took(d.Elapsed))
	})
	same := map[string]int{} // number of children with a sentence
	for _, c := range order {
		if s, ok := c.sharedWhy(); ok {
			same[s]++
		}
	}
	for _, c := range order {
		why := c.Why
		if s, ok := c.sharedWhy(); ok {
			n := same[s]
			if n == 0 {
				continue // a slower child has the sentence
			}
			if same[s] = 0; n > 1 {
				why = []string{fmt.Sprintf("%s; the same is true of %d more", why[0], n-1)}
			}
		}
		all = append(all, why)
	}
	shown := min(len(all), maxExplained)
	return all[:shown], len(all) - shown
}

// sharedWhy returns the explanation without the name of the child, if it is a single sentence.
func (c *Child) sharedWhy() (sentence string, ok bool) {
	if len(c.Why) != 1 {
		return "", false
	}
	return strings.CutPrefix(c.Why[0], c.Child)
}
