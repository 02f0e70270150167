package hclconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"tp0/supervisor/config"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

const (
	maxNameLength = 64
	maxInstances  = 65_536 // of a file
	baseNoFile    = 48     // descriptors the supervisor needs for itself
	startNoFile   = 4      // for each instance that is being spawned: its ends of two pipes, and both of a gate
	maxHints      = 20     // misspelt children that a name is proposed for
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// childBlock is a child block on its way to a [Child].
type childBlock struct {
	name      string
	place     hcl.Range // of its header
	settings  []setting[childValues]
	failed    map[string]bool // paths that have no value, for a reason that was said
	values    childValues     // as the file has them, for the first instance
	numbers   []int           // the indices of its instances
	dependsOn []edge          // without doubles
	listens   []listenBlock
	out       bool // --only leaves it out
	cyclic    bool // it depends on itself in the end
	instances []*config.Instance
}

func (c *childBlock) instanceName(index int) string {
	if c.values.count == noCount {
		return c.name
	}
	return c.name + strconv.Itoa(index)
}

func (c *childBlock) setting(path string) (setting[childValues], bool) {
	for _, s := range c.settings {
		if s.path == path {
			return s, true
		}
	}
	return setting[childValues]{}, false
}

// at is the place of an attribute's value, or of the header if it is not given.
func (c *childBlock) at(path string) *hcl.Range {
	if s, ok := c.setting(path); ok {
		return &s.place
	}
	return &c.place
}

// decodeHeaders decodes of each child what decides over its instances: name,
// count and depends_on.
func (d *decoder) decodeHeaders(blocks hcl.Blocks) ([]*childBlock, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	var children []*childBlock
	byName := map[string]*childBlock{}
	for _, block := range blocks {
		c, more := d.decodeHeader(block)
		diags = append(diags, more...)
		children = append(children, c)
		if before, double := byName[c.name]; double {
			diags = diags.Append(fault(&block.LabelRanges[0], "Duplicate child", "There is a child %s in %s already.", quote(c.name), lineOf(before.place, c.place)))
			continue
		}
		byName[c.name] = c
	}
	diags = append(diags, number(children)...)
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
	c := &childBlock{name: block.Labels[0], place: block.DefRange, failed: map[string]bool{}, values: defaultChild()}
	var diags hcl.Diagnostics
	switch {
	case len(c.name) > maxNameLength:
		diags = diags.Append(fault(&block.LabelRanges[0], "Invalid name", "The name of a child may have %d characters.", maxNameLength))
	case !nameForm.MatchString(c.name):
		diags = diags.Append(fault(&block.LabelRanges[0], "Invalid name", "The name of a child has letters, digits, dots, underscores and dashes only, and begins with none of dot and dash."))
	}
	settings, blocks, more := bind(d, block.Body, &childSchema, "", map[string]hcl.Range{},
		&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{listenSchema.header(), checkSchema.header()}})
	diags = append(diags, more...)
	c.settings = settings
	var checks hcl.Blocks
	for _, block := range blocks {
		if block.Type == listenSchema.name {
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

// bindChecks finds the settings of the checks.
func (d *decoder) bindChecks(c *childBlock, blocks hcl.Blocks) hcl.Diagnostics {
	var diags hcl.Diagnostics
	first := map[string]int{} // lines
	for _, b := range blocks {
		name := b.Labels[0]
		line, double := first[name]
		switch {
		case double:
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate check", "There is a check %s in line %d already.", quote(name), line))
			continue
		case len(name) > maxNameLength || !nameForm.MatchString(name):
			diags = diags.Append(fault(&b.LabelRanges[0], "Invalid name", "The name of a check has letters, digits, dots, underscores and dashes only, begins with none of dot and dash, and has %d characters at most.", maxNameLength))
		}
		first[name] = b.LabelRanges[0].Start.Line
		settings, _, more := bind(d, b.Body, &checkSchema, "check."+name+".", map[string]hcl.Range{}, nil)
		diags = append(diags, more...)
		for _, s := range settings {
			c.settings = append(c.settings, ofCheck(name, s))
		}
	}
	return diags
}

// ofCheck makes a setting of a child's check one of the child.
func ofCheck(name string, s setting[config.Check]) setting[childValues] {
	set := func(v *childValues, value cty.Value) error { return s.set(v.check(name), value) }
	return setting[childValues]{
		attribute: &attribute[childValues]{name: s.name, doc: s.doc, set: set},
		path:      s.path, expr: s.expr, place: s.place, indexed: s.indexed, refused: s.refused,
	}
}

// check is the check of a name, which is made if need be. The list is a new
// one each time: instances begin with that of the first.
func (v *childValues) check(name string) *config.Check {
	v.policy.Checks = slices.Clone(v.policy.Checks)
	i := slices.IndexFunc(v.policy.Checks, func(c config.Check) bool { return c.Name == name })
	if i < 0 {
		i = len(v.policy.Checks)
		c := defaultCheck()
		c.Name = name
		v.policy.Checks = append(v.policy.Checks, c)
	}
	return &v.policy.Checks[i]
}

// number gives the children the indices of their instances.
func number(children []*childBlock) hcl.Diagnostics {
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
				diags = diags.Append(fault(c.at("count"), "Too many instances", "With this child the file has more than %d.", maxInstances))
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

// checkNames finds instances of one name: a1 beside two instances of a.
func checkNames(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	owner := map[string]*childBlock{}
	for _, c := range children {
		told := false
		for _, index := range c.numbers {
			name := c.instanceName(index)
			switch before := owner[name]; {
			case told:
			case before == nil:
				owner[name] = c
			case before.name != c.name: // of two children of one name that is all there is to say
				told = true
				diags = diags.Append(fault(&c.place, "Duplicate instance", "An instance of this child is called %s, and so is one of the child %s in %s.",
					quote(name), quote(before.name), lineOf(before.place, c.place)))
			}
		}
		if n := len(c.numbers); n > 0 && len(c.name) <= maxNameLength && len(c.instanceName(c.numbers[n-1])) > maxNameLength {
			diags = diags.Append(fault(&c.place, "Invalid name", "With the index behind it the name has more than %d characters.", maxNameLength))
		}
	}
	return diags
}

// findCycles reports every dependency that closes a cycle.
func findCycles(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	depth := map[*childBlock]int{} // 0: not seen; done: left
	const done = -1
	var path []*childBlock
	var visit func(*childBlock)
	visit = func(c *childBlock) {
		path = append(path, c)
		depth[c] = len(path)
		for _, dep := range c.dependsOn {
			switch at := depth[dep.to]; at {
			case done:
			case 0:
				visit(dep.to)
			default:
				c.cyclic = true
				place := c.dependency(dep.at)
				diags = diags.Append(fault(&place, "Cycle of dependencies", "None of these can start first: %s.", arrows(childNames(append(slices.Clone(path[at-1:]), dep.to)))))
			}
		}
		path = path[:len(path)-1]
		depth[c] = done
	}
	for _, c := range children {
		if depth[c] == 0 {
			visit(c)
		}
	}
	return diags
}

func childNames(children []*childBlock) []string {
	var names []string
	for _, c := range children {
		names = append(names, c.name)
	}
	return names
}

func arrows(chain []string) string {
	const most = 12
	if n := len(chain); n > most {
		chain = append(slices.Clone(chain[:most-1]), "…", chain[n-1])
	}
	return strings.Join(chain, " → ")
}

func acyclic(children []*childBlock) bool {
	return !slices.ContainsFunc(children, func(c *childBlock) bool { return c.cyclic })
}

// only leaves out what opt.Only does not name.
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
			diags = diags.Append(fault(nil, "Unknown name", "There is no child and no instance %s to run.%s", quote(name), didYouMean(name, known)))
		}
	}
	for _, c := range children {
		if wanted[c.name] {
			continue
		}
		c.numbers = slices.DeleteFunc(c.numbers, func(index int) bool { return !wanted[c.instanceName(index)] })
		c.out = len(c.numbers) == 0
	}
	return diags
}

// decodeInstances evaluates a child once, and for each further instance again
// what uses index; all else they share. A child without instances is evaluated
// for its faults.
func (d *decoder) decodeInstances(c *childBlock) hcl.Diagnostics {
	if c.out || len(c.numbers) == 0 {
		diags := d.evaluateInstance(c, d.indexed(d.lenient, 1), &c.values, false)
		return append(diags, d.finish(c, &c.values, nil, true)...)
	}
	diags := d.evaluateInstance(c, d.indexed(d.strict, c.numbers[0]), &c.values, false)
	first := c.values
	diags = append(diags, d.finish(c, &first, nil, false)...)
	if diags.HasErrors() {
		return diags
	}
	c.addInstance(c.numbers[0], first)
	differ := slices.ContainsFunc(c.settings, func(s setting[childValues]) bool { return s.indexed })
	var env []string
	if !slices.ContainsFunc(c.settings, func(s setting[childValues]) bool { return s.indexed && slices.Contains(environmentPaths, s.path) }) {
		env = first.launch.Env
	}
	for _, index := range c.numbers[1:] {
		next := first
		if differ {
			next = c.values
			diags = d.evaluateInstance(c, d.indexed(d.strict, index), &next, true)
			if !diags.HasErrors() {
				diags = d.finish(c, &next, env, false)
			}
		}
		if diags.HasErrors() { // the others have the same fault in all likelihood
			for _, diag := range diags {
				diag.Detail += fmt.Sprintf(" This is with index = %d.", index)
			}
			return diags
		}
		c.addInstance(index, next)
	}
	return nil
}

func (d *decoder) indexed(functions map[string]function.Function, index int) *hcl.EvalContext {
	ctx := d.context(functions)
	ctx.Variables["index"] = cty.NumberIntVal(int64(index))
	return ctx
}

func (c *childBlock) addInstance(index int, v childValues) {
	v.policy.SharedTimeout = !c.timeoutGiven()
	c.instances = append(c.instances, &config.Instance{Name: c.instanceName(index), Child: c.name, Index: index, Launch: v.launch, Policy: v.policy})
}

// probed says whether there is a ready block; one without attributes is a
// fault.
func (c *childBlock) probed() bool {
	return slices.ContainsFunc(c.settings, func(s setting[childValues]) bool { return strings.HasPrefix(s.path, "ready.") })
}

func (d *decoder) evaluateInstance(c *childBlock, ctx *hcl.EvalContext, v *childValues, again bool) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, s := range c.settings {
		if s.shared || again && !s.indexed {
			continue
		}
		ok, more := evaluate(d, s, ctx, v)
		c.failed[s.path] = !ok
		diags = append(diags, more...)
	}
	return diags
}

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
	if need := baseNoFile + startNoFile*min(total, config.MaxStarting) + each + sockets; need > d.opt.NoFile {
		return hcl.Diagnostics{fault(nil, "Too few descriptors", "%s need %d descriptors, and the limit (ulimit -n) is %d.", plural(int(total), "instance"), need, d.opt.NoFile)}
	}
	return nil
}

// descriptors is how many of ours each instance needs: a pipe for each stream
// that we read.
func (c *childBlock) descriptors() (n uint64) {
	for _, s := range c.values.sinks() {
		if c.values.launch.Logs.Format != config.LogInherit && *s.sink != config.LogNone {
			n++
		}
	}
	return n
}

// child is the finished child.
func (c *childBlock) child() *config.Child {
	child := &config.Child{Name: c.name, Disabled: c.values.disabled, Instances: c.instances}
	for _, dep := range c.dependsOn {
		if !dep.to.out {
			child.DependsOn = append(child.DependsOn, config.Dependency{Child: dep.to.name, Until: dep.until})
		}
	}
	return child
}
