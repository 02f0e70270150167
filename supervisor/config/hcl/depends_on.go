package hclconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
)

// resolveDependencies finds the children of depends_on. names are candidates for misspelt names.
func (c *childBlock) resolveDependencies(
	byName map[string]*childBlock, names []string,
) hcl.Diagnostics {
	var diags hcl.Diagnostics
	has := map[string]config.Until{}
	for i, d := range c.values.dependsOn {
		name, dep, place := d.Child, byName[d.Child], c.dependency(i)
		if d.Until == "" {
			d.Until = config.UntilReady
			if dep != nil && dep.values.policy.Oneshot {
				d.Until = config.UntilCompleted
			}
		}
		if before, duplicate := has[name]; duplicate {
			if before != d.Until {
				diags = diags.Append(fault(&place, "Invalid dependency",
					"The child already depends on %s with until = \"%s\".", quote(name), before))
			}
			continue
		}
		has[name] = d.Until
		switch {
		case name == c.name:
			c.cyclic = true
			diags = diags.Append(fault(&place, "Invalid dependency",
				"The child depends on itself."))
		case dep == nil:
			hint := ""
			if len(diags) < maxHints {
				hint = didYouMean(name, names)
			}
			stem := strings.TrimRight(name, "0123456789")
			if owner := byName[stem]; owner != nil && owner.values.count != noCount &&
				stem != name {
				hint = fmt.Sprintf(" A child depends on all instances of another child. Write %s.",
					quote(stem))
			}
			diags = diags.Append(fault(&place, "Unknown child",
				"The configuration has no child %s.%s", quote(name), hint))
		default:
			c.dependsOn = append(c.dependsOn, edge{dep, d.Until, i})
		}
	}
	return diags
}

// findCycles reports each dependency that closes a cycle.
func findCycles(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	depth := map[*childBlock]int{} // in path; 0 is not visited
	const visited = -1
	var path []*childBlock
	var visit func(*childBlock)
	visit = func(c *childBlock) {
		path = append(path, c)
		depth[c] = len(path)
		for _, dep := range c.dependsOn {
			switch at := depth[dep.to]; at {
			case visited:
			case 0:
				visit(dep.to)
			default:
				c.cyclic = true
				place := c.dependency(dep.at)
				diags = diags.Append(fault(&place, "Cycle of dependencies",
					"These children depend on each other: %s.",
					arrows(childNames(append(slices.Clone(path[at-1:]), dep.to)))))
			}
		}
		path = path[:len(path)-1]
		depth[c] = visited
	}
	for _, c := range children {
		if depth[c] == 0 {
			visit(c)
		}
	}
	return diags
}

// checkCompletion finds dependencies on the completion of a child that never completes, because it
// is always restarted.
func checkCompletion(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, c := range children {
		for _, dep := range c.dependsOn {
			always := func(i *config.Instance) bool { return i.Policy.Restart.On == "always" }
			if dep.until == config.UntilCompleted && !dep.to.values.policy.Oneshot &&
				slices.ContainsFunc(dep.to.instances, always) {
				place := c.dependency(dep.at)
				diags = diags.Append(fault(&place, "Invalid dependency",
					"The child %s never completes, because it has restart { on = \"always\" }.",
					quote(dep.to.name)))
			}
		}
	}
	return diags
}
