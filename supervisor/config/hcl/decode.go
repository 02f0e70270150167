package hclconfig

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"tp0/supervisor/config"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Parse returns the configuration that src is. The name is used in faults and
// for Config.Path. Faults come back as [*Faults]: all of them, but if the
// syntax is broken only those of the syntax, since what stands after a break
// cannot be told. Commands, directories and variables of the machine that are
// not there are faults too, unless opt.Only leaves out the child that needs
// them. Texts are compared and handed on in the Unicode form NFC, as HCL has
// them.
func Parse(src []byte, filename string, opt Options) (c *config.Config, err error) {
	// A panic in the parser must not end the children that run already.
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("cannot parse %s: internal fault: %v", filename, r)
		}
	}()
	return parse(src, filename, opt)
}

func parse(src []byte, filename string, opt Options) (*config.Config, error) {
	if len(src) > maxFile {
		return nil, fmt.Errorf("cannot parse %s: it is larger than %d MiB", filename, maxFile>>20)
	}
	path, err := filepath.Abs(filename)
	if err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", filename, err)
	}
	wd, err := filepath.Abs(".")
	if err != nil {
		return nil, fmt.Errorf("cannot parse %s: %w", filename, err)
	}
	d := newDecoder(opt, wd)
	diags := d.open(filename, src, nil)
	more, err := d.openVarFiles()
	if err != nil {
		return nil, err
	}
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, newFaults(d.sources, diags)
	}
	c, diags := d.decode()
	if diags.HasErrors() {
		return nil, newFaults(d.sources, diags)
	}
	c.Path = path
	return c, nil
}

// decoder is what the decoding of a configuration knows besides its values.
type decoder struct {
	meter
	opt     Options
	sources []*source // in the order they were opened; files of variables are among them
	files   []*source // those that are the configuration
	opened  map[string]bool
	total   int              // bytes of the sources
	entries int              // of directories, see maxEntries
	given   []*hcl.Attribute // of the files of variables
	vars    map[string]cty.Value
	locals  map[string]cty.Value
	scope   map[string]cty.Value // vars and locals as expressions see them
	hints   int                  // names that were proposed
	wd      string
	environ []string          // the supervisor's own, sorted, without doubles
	env     map[string]string // the same
	strict  map[string]function.Function
	lenient map[string]function.Function // for children that are left out: what is not there is unknown
	found   map[search]lookup
	far     map[string]bool         // programs that are [IsRemote]
	bases   map[string]*environment // see environmentOf
	users   accounts                // nil: not read yet, or there are none
	groups  accounts
}

func newDecoder(opt Options, wd string) *decoder {
	d := &decoder{opt: opt, wd: wd, env: map[string]string{}, found: map[search]lookup{}, far: map[string]bool{}, opened: map[string]bool{}, bases: map[string]*environment{}}
	for _, entry := range opt.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			d.env[name] = value // of doubles the last one wins, as in os/exec
		}
	}
	d.environ = slices.DeleteFunc(assign(nil, d.env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return isHandedOn(name)
	})
	d.strict, d.lenient = map[string]function.Function{}, map[string]function.Function{}
	for name, f := range library {
		d.strict[name] = d.within(name, f)
		d.lenient[name] = d.strict[name]
	}
	d.strict["env"], d.lenient["env"] = d.envFunction(false), d.envFunction(true)
	return d
}

// context is what the expressions of the file see.
func (d *decoder) context(functions map[string]function.Function) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: functions, Variables: maps.Clone(d.scope)}
}

// envFunction is env(name, default).
func (d *decoder) envFunction(lenient bool) function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, "env takes a name and one default")
			}
			name := args[0].AsString()
			if value, ok := d.env[name]; ok {
				return cty.StringVal(value), nil
			}
			switch {
			case len(args) == 2:
				return args[1], nil
			case lenient:
				return cty.UnknownVal(cty.String), nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "the environment has no variable %s; a default can be given as env(%s, \"…\")", quote(name), quote(name))
		},
	})
}

func (d *decoder) decode() (*config.Config, hcl.Diagnostics) {
	c := defaultConfig()
	var settings []setting[config.Config]
	var diags hcl.Diagnostics
	others := map[string]hcl.Blocks{}
	first := map[string]hcl.Range{}
	for _, s := range d.files {
		set, rest, more := bind(d, s.file.Body, &fileSchema, "", first, languageSchema())
		settings = append(settings, set...)
		diags = append(diags, more...)
		for _, b := range rest {
			others[b.Type] = append(others[b.Type], b)
		}
	}
	blocks := others[childSchema.name]
	if len(blocks) == 0 && !diags.HasErrors() { // a misspelt one was reported
		diags = diags.Append(fault(d.files[0].file.Body.MissingItemRange().Ptr(), "No child", `There is nothing to run: the file has no block such as child "server" { command = "server" }.`))
	}
	diags = append(diags, d.decodeVariables(others["variable"])...)
	diags = append(diags, d.decodeLocals(others["locals"])...)
	ctx := d.context(d.strict)
	failed := map[string]bool{}
	for _, s := range settings {
		ok, more := evaluate(d, s, ctx, c)
		failed[s.path] = !ok
		diags = append(diags, more...)
	}
	children, more := d.decodeHeaders(blocks)
	diags = append(diags, more...)
	diags = append(diags, d.only(children)...)
	for _, b := range children {
		diags = append(diags, d.decodeListen(b)...)
		diags = append(diags, d.decodeInstances(b)...)
	}
	diags = append(diags, checkListen(children)...)
	diags = append(diags, checkCompletion(children)...)
	kept := slices.DeleteFunc(slices.Clone(children), func(c *childBlock) bool { return c.out })
	diags = append(diags, d.checkDescriptors(kept)...)
	c.Shutdown.Reserve = config.Reserve(c.Shutdown.Deadline)
	if !failed["shutdown.deadline"] && acyclic(kept) {
		diags = append(diags, shareDeadline(kept, c.Shutdown)...)
	}
	for _, b := range kept {
		c.Children = append(c.Children, b.child())
	}
	return c, diags
}

// setting is an attribute that the file has.
type setting[T any] struct {
	*attribute[T]
	path    string // with the block it is in, as ready.tcp
	expr    hclsyntax.Expression
	place   hcl.Range       // of the value
	indexed bool            // it uses index
	refused hcl.Diagnostics // why it must not be evaluated
}

func newSetting[T any](d *decoder, a *attribute[T], prefix string, attr *hcl.Attribute) setting[T] {
	s := setting[T]{attribute: a, path: prefix + attr.Name, place: attr.Expr.Range()}
	if s.expr, s.refused = native(attr.Expr); s.refused.HasErrors() {
		return s
	}
	s.refused = d.prepare(s.expr)
	s.indexed = refers(s.expr, "index") != nil
	return s
}

// bind finds what a body has of the schema, blocks included, and reports what
// else it has, and what first has already. What only others has is returned
// as it is.
func bind[T any](d *decoder, body hcl.Body, b *block[T], prefix string, first map[string]hcl.Range, others *hcl.BodySchema) ([]setting[T], hcl.Blocks, hcl.Diagnostics) {
	schema := b.schema()
	if others != nil {
		schema.Attributes = append(schema.Attributes, others.Attributes...)
		schema.Blocks = append(schema.Blocks, others.Blocks...)
	}
	content, diags := body.Content(schema)
	var settings []setting[T]
	for i := range b.attributes {
		attr, ok := content.Attributes[b.attributes[i].name]
		if !ok {
			continue
		}
		if before, double := first[prefix+attr.Name]; double { // in another file; in one, the parser tells
			diags = diags.Append(fault(&attr.NameRange, "Duplicate attribute", "%s was already given in %s.", attr.Name, lineOf(before, attr.NameRange)))
			continue
		}
		first[prefix+attr.Name] = attr.NameRange
		settings = append(settings, newSetting(d, &b.attributes[i], prefix, attr))
	}
	diags = append(diags, choose(b.oneOf, content.Attributes, body.MissingItemRange())...)
	var rest hcl.Blocks
	for _, found := range content.Blocks {
		i := slices.IndexFunc(b.blocks, func(sub block[T]) bool { return sub.name == found.Type })
		if i < 0 {
			rest = append(rest, found)
			continue
		}
		if before, double := first[prefix+found.Type]; double {
			diags = diags.Append(fault(&found.DefRange, "Duplicate block", "The %s block was already given in %s; there can be only one.", found.Type, lineOf(before, found.DefRange)))
			continue
		}
		first[prefix+found.Type] = found.DefRange
		sub, _, more := bind(d, found.Body, &b.blocks[i], prefix+found.Type+".", first, nil)
		settings = append(settings, sub...)
		diags = append(diags, more...)
	}
	return settings, rest, diags
}

// choose reports where not exactly one of the names is given.
func choose(names []string, given hcl.Attributes, missing hcl.Range) hcl.Diagnostics {
	var found []*hcl.Attribute
	for _, name := range names {
		if attr, ok := given[name]; ok {
			found = append(found, attr)
		}
	}
	if len(found) == 0 && len(names) > 0 {
		return hcl.Diagnostics{fault(&missing, "Nothing to go by", "One of %s is needed here.", list(names))}
	}
	slices.SortFunc(found, func(a, b *hcl.Attribute) int { return a.Range.Start.Byte - b.Range.Start.Byte })
	var diags hcl.Diagnostics
	for i := 1; i < len(found); i++ {
		diags = diags.Append(fault(&found[i].NameRange, "Too much to go by", "Only one of %s can be given, and there is %s in %s.",
			list(names), found[0].Name, lineOf(found[0].Range, found[i].Range)))
	}
	return diags
}

// evaluate puts the value of a setting into the target, and says whether there
// is one: it may depend on what has a fault that was told.
func evaluate[T any](d *decoder, s setting[T], ctx *hcl.EvalContext, target *T) (bool, hcl.Diagnostics) {
	if s.refused.HasErrors() {
		return false, s.refused
	}
	if _, ok := ctx.Variables["index"]; s.indexed && !ok {
		return false, hcl.Diagnostics{fault(&s.place, "No index here", "index differs from instance to instance, and %s is the same for all of them.", s.path)}
	}
	v, diags := d.value(s.expr, s.place, ctx)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return false, diags
	}
	if v.IsNull() {
		return false, hcl.Diagnostics{fault(&s.place, "Invalid value for "+s.path, "A value is needed here, and null is none. To leave the attribute out, leave out its line.")}
	}
	if err := s.set(target, v); err != nil {
		place := s.element(err, ctx)
		return false, hcl.Diagnostics{fault(&place, "Invalid value for "+s.path, "%v", err)}
	}
	return true, nil
}

// value evaluates an expression that is prepared.
func (d *decoder) value(expr hclsyntax.Expression, place hcl.Range, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if d.over() {
		return cty.DynamicVal, nil // said already
	}
	if diags := d.checkReferences(expr, ctx); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, diags := expr.Value(ctx)
	err := d.charge(v)
	switch {
	case d.over():
		return cty.DynamicVal, hcl.Diagnostics{fault(&place, "Too much to evaluate", "With this expression the file takes more steps than a configuration should.")}
	case diags.HasErrors():
		return cty.DynamicVal, explain(diags)
	case err != nil:
		return cty.DynamicVal, hcl.Diagnostics{fault(&place, "Operation failed", "This cannot be evaluated: %v.", err)}
	}
	return v, nil
}

// element is where a fault of the value is: at the element if it is one of a
// list or of an object that stands in the file as such.
func (s *setting[T]) element(err error, ctx *hcl.EvalContext) hcl.Range {
	e, ok := err.(*elementError)
	if !ok {
		return s.place
	}
	switch expr := s.expr.(type) {
	case *hclsyntax.TupleConsExpr:
		if e.index < len(expr.Exprs) {
			return expr.Exprs[e.index].Range()
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range expr.Items {
			v, diags := item.KeyExpr.Value(ctx)
			if !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String && v.AsString() == e.key {
				return hcl.RangeBetween(item.KeyExpr.Range(), item.ValueExpr.Range())
			}
		}
	}
	return s.place
}

// explain adds to HCL's words what people mean most often when they get them.
// Of functions with equally near names HCL proposes any.
func explain(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		switch call, _ := d.Expression.(*hclsyntax.FunctionCallExpr); {
		case d.Summary == "Unknown variable":
			d.Detail += " A text needs quotes around it."
		case d.Summary == "Call to unknown function" && call != nil:
			d.Detail = fmt.Sprintf("There is no function named %s.%s", quote(call.Name), didYouMean(call.Name, functionNames()))
		}
	}
	return diags
}

// assign puts variables over a sorted environment; the result is sorted too.
func assign(environ []string, over map[string]string) []string {
	result := make([]string, 0, len(environ)+len(over))
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if _, ok := over[name]; !ok {
			result = append(result, entry)
		}
	}
	for name, value := range over {
		result = append(result, name+"="+value)
	}
	slices.SortFunc(result, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return cmp.Compare(nameA, nameB)
	})
	return result
}
