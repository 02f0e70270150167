package hclconfig

import (
	"fmt"
	"strings"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"

	"github.com/hashicorp/hcl/v2"
)

// timeoutPath returns the attribute that sets how long the child may take to end.
func (c *childBlock) timeoutPath() string {
	if _, ok := c.setting("kill_sequence"); ok {
		return "kill_sequence"
	}
	return "kill_timeout"
}

func (c *childBlock) timeoutGiven() bool {
	_, ok := c.setting(c.timeoutPath())
	return ok
}

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
			diags = diags.Append(fault(&c.place, "No time to end", "The kill_timeouts given on the way to this child take %v of the %v that a stop has, and leave it none. Give it one of its own, shorten theirs, or raise the deadline.", b.Longest[i], available))
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
	told := map[string]bool{}
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
		if told[text] {
			continue
		}
		told[text] = true
		shutdown := draft.Shutdown
		diags = diags.Append(fault(children[longest].at(children[longest].timeoutPath()), "Timeouts exceed the deadline",
			"These are stopped one after the other: %s. That takes up to %v; the deadline of %v leaves %v, with %v kept for the sweep.",
			text, sum, shutdown.Deadline, shutdown.Deadline-shutdown.Reserve, shutdown.Reserve))
	}
	return diags
}
