package hclconfig

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// shareDeadline gives each instance without a kill_timeout, and each post_stop hook without a
// timeout, its share of the deadline. It reports the timeouts that do not fit the deadline.
func shareDeadline(children []*childBlock, shutdown config.Shutdown) hcl.Diagnostics {
	draft := &config.Config{Shutdown: shutdown}
	for _, c := range children {
		draft.Children = append(draft.Children, c.draft())
	}
	b := plan.NewBudget(draft)
	shares := make([]time.Duration, len(children)) // of one timeout of each child
	for i := range children {
		if given, n := draft.Children[i].GivenStopTime(); n > 0 {
			shares[i] = (b.Timeouts[i] - given) / time.Duration(n)
		}
	}
	diags := append(overBudget(children, draft, b), shortShares(children, shutdown, b, shares)...)
	available := shutdown.Deadline - shutdown.Reserve
	for i, c := range children {
		_, n := draft.Children[i].GivenStopTime()
		if n == 0 || len(c.numbers) == 0 {
			continue
		}
		if shares[i] < time.Millisecond && b.Longest[i] <= available {
			diags = diags.Append(fault(&c.place, "No time to stop",
				"The timeouts in the chain of dependencies of this child take %v of the "+
					"%v of a stop and leave no time for it. Set its `kill_timeout`, shorten the "+
					"others, or raise `deadline`.", b.Longest[i], available))
		}
		for _, instance := range c.instances {
			instance.Policy.ShareDeadline(shares[i])
		}
	}
	return diags
}

// shortShare is the shortest share of the deadline without a warning. Many programs need about a
// second to end gracefully, and twice as much on a loaded machine.
const shortShare = 2 * time.Second

// shortShares warns about children without a kill_timeout whose share of the deadline is short. A
// timeout that the file gives is short on purpose. Children with equal shares have one warning.
func shortShares(
	children []*childBlock, shutdown config.Shutdown, b plan.Budget, of []time.Duration,
) hcl.Diagnostics {
	var shares []time.Duration
	names, first := map[time.Duration][]string{}, map[time.Duration]int{}
	for i, c := range children {
		share := of[i]
		if c.timeoutGiven() || len(c.numbers) == 0 || share >= shortShare {
			continue
		}
		if len(names[share]) == 0 {
			shares, first[share] = append(shares, share), i
		}
		names[share] = append(names[share], c.name)
	}
	var diags hcl.Diagnostics
	for _, share := range shares {
		i := first[share]
		w := fault(&children[i].place, "Short time to stop",
			"In the final stop %s %v from `kill_signal` to SIGKILL, and many programs need %v. "+
				"That is a share of the deadline of %v: %v are reserved%s%s. Raise `deadline`, "+
				"shorten the timeouts of other children, or set a `kill_timeout` here if the time "+
				"is enough.",
			have(names[share]), share.Round(time.Millisecond), shortShare, shutdown.Deadline,
			shutdown.Reserve, takenBefore(b.Longest[i]), dividedBy(b.Sharing))
		w.Severity = hcl.DiagWarning
		diags = diags.Append(w)
	}
	return diags
}

// have names children as the subject of a sentence.
func have(names []string) string {
	const most = 5
	n := len(names)
	switch {
	case n == 1:
		return "the child " + quote(names[0]) + " has"
	case n > most:
		names = append(slices.Clone(names[:most]), fmt.Sprintf("%d more", n-most))
		n = most + 1
	}
	return "the children " + strings.Join(names[:n-1], ", ") + " and " + names[n-1] + " have each"
}

func takenBefore(given time.Duration) string {
	if given == 0 {
		return ""
	}
	return fmt.Sprintf(", timeouts that the file gives take %v in its chain of dependencies", given)
}

func dividedBy(layers int) string {
	if layers < 2 {
		return ""
	}
	return fmt.Sprintf(", and %d layers of the stop order divide the rest", layers)
}

// draft is the child for the budget. A child whose instances have a fault takes part in the
// budget too, so that all faults are reported at once. A timeout that is itself a fault takes no
// time.
func (c *childBlock) draft() *config.Child {
	child := c.child()
	if len(c.instances) == 0 && len(c.numbers) > 0 {
		policy := c.values.policy
		_, given := c.setting("hooks.timeout")
		policy.SharedTimeout, policy.Hooks.SharedTimeout = !c.timeoutGiven(), !given
		if c.failed["hooks.timeout"] {
			policy.Hooks.Timeout = 0 // not the default, which the file replaces
		}
		child.Instances = []*config.Instance{{Policy: policy}}
	}
	return child
}

// overBudget reports the chains of dependencies whose timeouts exceed the deadline.
func overBudget(children []*childBlock, draft *config.Config, b plan.Budget) hcl.Diagnostics {
	var diags hcl.Diagnostics
	reported := map[string]bool{}
	timeout := func(i int) time.Duration {
		given, _ := draft.Children[i].GivenStopTime()
		return given
	}
	for _, chain := range b.Over {
		var parts []string
		var sum time.Duration
		longest := -1
		first := children[chain[0]]
		for _, i := range chain {
			if timeout(i) == 0 {
				continue
			}
			if longest < 0 || timeout(i) > timeout(longest) {
				longest = i
			}
			sum += timeout(i)
			c := children[i]
			line := lineOf(*c.timeoutPlace(), *first.timeoutPlace())
			parts = append(parts, fmt.Sprintf("%s %v (%s)", c.name, timeout(i), line))
		}
		text := strings.Join(parts, " → ")
		if reported[text] {
			continue
		}
		reported[text] = true
		shutdown := draft.Shutdown
		slowest := children[longest]
		diags = diags.Append(fault(slowest.timeoutPlace(),
			"Timeouts exceed the deadline",
			"These children stop one after the other: %s. They take up to %v, but the deadline "+
				"of %v leaves %v for them. The rest of %v is for orphan cleanup and output.",
			text, sum, shutdown.Deadline, shutdown.Deadline-shutdown.Reserve, shutdown.Reserve))
	}
	return diags
}
