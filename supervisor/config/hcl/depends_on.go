package hclconfig

import (
	"fmt"
	"slices"
	"strings"
	"tp0/supervisor/config"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// dependencies reads a list of names and of objects with child and until.
func dependencies(v cty.Value) ([]config.Dependency, error) {
	if v.IsNull() || !(v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType()) {
		return nil, wrong(`A list is needed here, as ["db", { child = "migrate", until = "completed" }].`)
	}
	var list []config.Dependency
	for _, element := range v.Elements() {
		d, err := dependency(element)
		if err != nil {
			return nil, &elementError{index: len(list), err: err}
		}
		list = append(list, d)
	}
	return list, nil
}

func dependency(v cty.Value) (d config.Dependency, err error) {
	if v.IsNull() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		d.Child, err = text(v)
		return d, err
	}
	for name, value := range v.Elements() {
		switch key := name.AsString(); key {
		case "child":
			d.Child, err = text(value)
		case "until":
			d.Until, err = oneOf(config.UntilStarted, config.UntilReady, config.UntilCompleted)(value)
		default:
			err = wrong("A dependency has child and until, not %s.%s", quote(key), didYouMean(key, []string{"child", "until"}))
		}
		if err != nil {
			return d, err
		}
	}
	if d.Child == "" {
		return d, wrong(`A dependency needs the name of a child, as { child = "db", until = "started" }.`)
	}
	return d, nil
}

// edge is a dependency that was resolved.
type edge struct {
	to    *childBlock
	until config.Until
	at    int // in depends_on
}

func (c *childBlock) resolveDependencies(byName map[string]*childBlock, names []string) hcl.Diagnostics {
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
		if before, double := has[name]; double {
			if before != d.Until {
				diags = diags.Append(fault(&place, "Invalid dependency", "The child waits for %s until it is %s already.", quote(name), before))
			}
			continue
		}
		has[name] = d.Until
		switch {
		case name == c.name:
			c.cyclic = true
			diags = diags.Append(fault(&place, "Invalid dependency", "The child depends on itself."))
		case dep == nil:
			hint := ""
			if len(diags) < maxHints {
				hint = didYouMean(name, names)
			}
			stem := strings.TrimRight(name, "0123456789")
			if owner := byName[stem]; owner != nil && owner.values.count != noCount && stem != name {
				hint = fmt.Sprintf(" A child depends on all instances of another: write %s.", quote(stem))
			}
			diags = diags.Append(fault(&place, "Unknown child", "There is no child %s.%s", quote(name), hint))
		default:
			c.dependsOn = append(c.dependsOn, edge{dep, d.Until, i})
		}
	}
	return diags
}

// dependency is where the i-th of depends_on is.
func (c *childBlock) dependency(i int) hcl.Range {
	s, _ := c.setting("depends_on")
	if tuple, ok := s.expr.(*hclsyntax.TupleConsExpr); ok && i < len(tuple.Exprs) {
		return tuple.Exprs[i].Range()
	}
	return *c.at("depends_on")
}

// checkCompletion finds those who wait for the end of one that never ends: it
// is started again after every end.
func checkCompletion(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, c := range children {
		for _, dep := range c.dependsOn {
			always := func(i *config.Instance) bool { return i.Policy.Restart.On == "always" }
			if dep.until == config.UntilCompleted && !dep.to.values.policy.Oneshot && slices.ContainsFunc(dep.to.instances, always) {
				place := c.dependency(dep.at)
				diags = diags.Append(fault(&place, "Invalid dependency", "The child %s never completes: it is restarted always.", quote(dep.to.name)))
			}
		}
	}
	return diags
}
