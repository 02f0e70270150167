package hclconfig

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// shareDeadline gives each instance without a kill_timeout its share of the deadline. It
// reports the timeouts that do not fit the deadline.
func shareDeadline(children []*childBlock, shutdown config.Shutdown) hcl.Diagnostics {
	draft := &config.Config{Shutdown: shutdown}
	for _, c := range children {
		draft.Children = append(draft.Children, c.draft())
	}
	b := plan.NewBudget(draft)
	diags := overBudget(children, draft, b)
	available := shutdown.Deadline - shutdown.Reserve
	for i, c := range children {
		if c.timeoutGiven() || len(c.numbers) == 0 {
			continue
		}
		if b.Timeouts[i] < time.Millisecond && b.Longest[i] <= available {
			diags = diags.Append(fault(&c.place, "No time to stop",
				"The `kill_timeout`s in the chain of dependencies of this child take %v of the "+
					"%v of a stop and leave no time for it. Set its `kill_timeout`, shorten the "+
					"others, or raise `deadline`.", b.Longest[i], available))
		}
		for _, instance := range c.instances {
			instance.Policy.KillTimeout = b.Timeouts[i]
		}
	}
	return diags
}

// draft is the child for the budget. A child whose instances have a fault takes part in the
// budget too, so that all faults are reported at once.
func (c *childBlock) draft() *config.Child {
	child := c.child()
	if len(c.instances) == 0 && len(c.numbers) > 0 {
		policy := c.values.policy
		policy.SharedTimeout = !c.timeoutGiven()
		child.Instances = []*config.Instance{{Policy: policy}}
	}
	return child
}

// overBudget reports the chains of dependencies whose timeouts exceed the deadline.
func overBudget(children []*childBlock, draft *config.Config, b plan.Budget) hcl.Diagnostics {
	var diags hcl.Diagnostics
	reported := map[string]bool{}
	timeout := func(i int) time.Duration {
		if !children[i].timeoutGiven() {
			return 0
		}
		return draft.Children[i].KillTimeout()
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
			line := lineOf(*c.at(c.timeoutPath()), *first.at(first.timeoutPath()))
			parts = append(parts, fmt.Sprintf("%s %v (%s)", c.name, timeout(i), line))
		}
		text := strings.Join(parts, " → ")
		if reported[text] {
			continue
		}
		reported[text] = true
		shutdown := draft.Shutdown
		slowest := children[longest]
		diags = diags.Append(fault(slowest.at(slowest.timeoutPath()),
			"Timeouts exceed the deadline",
			"These children stop one after the other: %s. They take up to %v, but the deadline "+
				"of %v leaves %v for them. The rest of %v is for orphan cleanup and output.",
			text, sum, shutdown.Deadline, shutdown.Deadline-shutdown.Reserve, shutdown.Reserve))
	}
	return diags
}
