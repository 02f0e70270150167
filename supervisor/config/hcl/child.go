package hclconfig

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
	"tp0/supervisor/termtext"
)

// decodeHeaders decodes the name and the shared attributes of each child, such as count and
// depends_on.
func (d *decoder) decodeHeaders(blocks hcl.Blocks) ([]*childBlock, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	var children []*childBlock
	byName := map[string]*childBlock{}
	for _, block := range blocks {
		c, more := d.decodeHeader(block)
		diags = append(diags, more...)
		children = append(children, c)
		if before, duplicate := byName[c.name]; duplicate {
			diags = diags.Append(fault(&block.LabelRanges[0], "Duplicate child",
				"The child %s is already defined in %s.", quote(c.name),
				lineOf(before.place, c.place)))
			continue
		}
		byName[c.name] = c
	}
	diags = append(diags, numberInstances(children)...)
	diags = append(diags, checkNames(children)...)
	names := make([]string, 0, len(children))
	for _, c := range children {
		names = append(names, c.name)
	}
	hints := maxHints
	for _, c := range children {
		more := c.resolveDependencies(byName, names)
		if hints -= len(more); hints <= 0 {
			names = nil
		}
		diags = append(diags, more...)
	}
	return children, append(diags, findCycles(children)...)
}

func (d *decoder) decodeHeader(block *hcl.Block) (*childBlock, hcl.Diagnostics) {
	c := &childBlock{
		name:   block.Labels[0],
		place:  block.DefRange,
		failed: map[string]bool{},
		values: defaultChild(),
	}
	var diags hcl.Diagnostics
	switch {
	case len(c.name) > maxNameLength:
		diags = diags.Append(fault(&block.LabelRanges[0], "Invalid name",
			"The name of a child must have at most %d characters.", maxNameLength))
	case !nameForm().MatchString(c.name):
		diags = diags.Append(fault(&block.LabelRanges[0], "Invalid name",
			"The name of a child must have only letters, digits, dots, underscores and dashes, "+
				"and must not begin with a dot or a dash."))
	}
	others := []hcl.BlockHeaderSchema{listenSchema().header(), checkSchema().header()}
	settings, blocks, more := bind(d, block.Body, childSchema(), "", map[string]hcl.Range{},
		&hcl.BodySchema{Blocks: others})
	diags = append(diags, more...)
	c.settings = settings
	var checks hcl.Blocks
	for _, block := range blocks {
		if block.Type == listenSchema().name {
			c.listens = append(c.listens, listenBlock{block, defaultListen()})
		} else {
			checks = append(checks, block)
		}
	}
	diags = append(diags, d.bindChecks(c, checks)...)
	ctx := d.context(d.strict)
	for _, s := range settings {
		if !s.shared {
			continue
		}
		ok, more := evaluate(d, s, ctx, &c.values)
		c.failed[s.path] = !ok
		diags = append(diags, more...)
	}
	return c, diags
}

// bindChecks adds the settings of the check blocks to those of the child.
func (d *decoder) bindChecks(c *childBlock, blocks hcl.Blocks) hcl.Diagnostics {
	var diags hcl.Diagnostics
	first := map[string]int{} // lines
	for _, b := range blocks {
		name := b.Labels[0]
		line, duplicate := first[name]
		switch {
		case duplicate:
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate check",
				"The check %s is already defined in line %d.", quote(name), line))
			continue
		case len(name) > maxNameLength || !nameForm().MatchString(name):
			diags = diags.Append(fault(&b.LabelRanges[0], "Invalid name",
				"The name of a check must have only letters, digits, dots, underscores and "+
					"dashes, must not begin with a dot or a dash, and must have at most %d "+
					"characters.", maxNameLength))
		}
		first[name] = b.LabelRanges[0].Start.Line
		settings, _, more := bind(d, b.Body, checkSchema(), "check."+name+".",
			map[string]hcl.Range{}, nil)
		diags = append(diags, more...)
		for _, s := range settings {
			c.settings = append(c.settings, ofCheck(name, s))
		}
	}
	return diags
}

// numberInstances sets the indices of the instances of each child.
func numberInstances(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	total := 0
	for _, c := range children {
		n := c.values.count
		switch {
		case c.values.disabled:
			n = 0
		case n == noCount:
			n = 1
		}
		if total+n > maxInstances {
			if diags == nil {
				diags = diags.Append(fault(c.at("count"), "Too many instances",
					"The configuration must have at most %d instances.", maxInstances))
			}
			continue
		}
		total += n
		for i := range n {
			c.numbers = append(c.numbers, i+1)
		}
	}
	return diags
}

// checkNames finds instances with the same name: a child a1, and two instances of a child a.
func checkNames(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	owner := map[string]*childBlock{}
	for _, c := range children {
		reported := false
		for _, index := range c.numbers {
			name := c.instanceName(index)
			switch before := owner[name]; {
			case reported:
			case before == nil:
				owner[name] = c
			case before.name != c.name: // else the duplicate child is reported
				reported = true
				diags = diags.Append(fault(&c.place, "Duplicate instance",
					"An instance of this child has the name %s, but an instance of the child %s "+
						"in %s has it too.",
					quote(name), quote(before.name), lineOf(before.place, c.place)))
			}
		}
		n := len(c.numbers)
		if n > 0 && len(c.name) <= maxNameLength &&
			len(c.instanceName(c.numbers[n-1])) > maxNameLength {
			diags = diags.Append(fault(&c.place, "Invalid name",
				"The name with the index must have at most %d characters.", maxNameLength))
		}
	}
	return diags
}

// only excludes the children and instances that opt.Only does not name.
func (d *decoder) only(children []*childBlock) hcl.Diagnostics {
	if len(d.opt.Only) == 0 {
		return nil
	}
	names := map[string]bool{}
	var known []string
	for _, c := range children {
		names[c.name] = true
		known = append(known, c.name)
		for _, index := range c.numbers {
			if name := c.instanceName(index); !names[name] {
				names[name] = true
				known = append(known, name)
			}
		}
	}
	var diags hcl.Diagnostics
	wanted := map[string]bool{}
	for _, name := range d.opt.Only {
		wanted[name] = true
		if !names[name] {
			diags = diags.Append(fault(nil, "Unknown name",
				"The configuration has no child or instance %s.%s", quote(name),
				didYouMean(name, known)))
		}
	}
	for _, c := range children {
		if wanted[c.name] {
			continue
		}
		c.numbers = slices.DeleteFunc(c.numbers, func(index int) bool {
			return !wanted[c.instanceName(index)]
		})
		c.excluded = len(c.numbers) == 0
	}
	return diags
}

// decodeInstances evaluates the attributes of a child for the first instance. For each further
// instance it evaluates only the attributes that use index; instances share the other values. A
// child without instances is evaluated to report its faults.
func (d *decoder) decodeInstances(c *childBlock) hcl.Diagnostics {
	if c.excluded || len(c.numbers) == 0 {
		diags := d.evaluateInstance(c, d.indexed(d.lenient, 1), &c.values, false)
		return append(diags, d.finish(c, &c.values, nil, true)...)
	}
	diags := d.evaluateInstance(c, d.indexed(d.strict, c.numbers[0]), &c.values, false)
	first := c.values
	diags = append(diags, d.finish(c, &first, nil, false)...)
	if diags.HasErrors() {
		return diags
	}
	warnings := diags
	c.addInstance(c.numbers[0], first)
	differ := slices.ContainsFunc(c.settings,
		func(s setting[childValues]) bool { return s.indexed })
	var env []string
	if !slices.ContainsFunc(c.settings, func(s setting[childValues]) bool {
		return s.indexed && slices.Contains(environmentPaths, s.path)
	}) {
		env = first.launch.Env
	}
	for _, index := range c.numbers[1:] {
		next := first
		diags = nil
		if differ {
			next = c.values
			diags = d.evaluateInstance(c, d.indexed(d.strict, index), &next, true)
			if !diags.HasErrors() {
				diags = d.finish(c, &next, env, false)
			}
		}
		if diags.HasErrors() { // other instances probably have the same fault
			for _, diag := range diags {
				diag.Detail += fmt.Sprintf(" The value of index is %d.", index)
			}
			return diags
		}
		warnings = append(warnings, diags...)
		c.addInstance(index, next)
	}
	return warnings
}

// evaluateInstance evaluates the attributes of an instance. With indexedOnly it evaluates only
// those that use index.
func (d *decoder) evaluateInstance(
	c *childBlock, ctx *hcl.EvalContext, v *childValues, indexedOnly bool,
) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, s := range c.settings {
		if s.shared || indexedOnly && !s.indexed {
			continue
		}
		ok, more := evaluate(d, s, ctx, v)
		c.failed[s.path] = !ok
		diags = append(diags, more...)
	}
	return diags
}

// checkDescriptors checks that the supervisor may open all descriptors that it needs.
func (d *decoder) checkDescriptors(children []*childBlock) hcl.Diagnostics {
	if d.opt.NoFile == 0 {
		return nil
	}
	total, each, sockets := uint64(0), uint64(0), uint64(0)
	for _, c := range children {
		total += uint64(len(c.numbers))
		each += uint64(len(c.numbers)) * c.descriptors()
		sockets += uint64(len(c.listens))
	}
	need := baseNoFile + startNoFile*min(total, config.MaxStarting) + each + sockets
	if need > d.opt.NoFile {
		return hcl.Diagnostics{fault(nil, "Too few descriptors",
			"%s need %d descriptors, but the limit (ulimit -n) is %d.",
			termtext.Count(int(total), "instance", "instances"), need, d.opt.NoFile)}
	}
	return nil
}
