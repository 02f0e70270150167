package hclconfig

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variableEnv stands before the name of a variable in the environment.
const variableEnv = "SUPERVISOR_VAR_"

// variable is a variable block. One without a type takes any value; what is
// given for it as a text stays one.
type variable struct {
	name     string
	place    hcl.Range
	typ      cty.Type
	typed    bool
	defaults *typeexpr.Defaults
	fallback cty.Value // NilVal: it has to be given
	refused  bool      // the block has a fault
}

// openVarFiles reads the files of variables, which have attributes only.
func (d *decoder) openVarFiles() (hcl.Diagnostics, error) {
	var diags hcl.Diagnostics
	for _, path := range d.opt.VarFiles {
		d.opt.saw(path)
		src, err := d.opt.read(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read variables: %w", err)
		}
		s, more := d.parseSource(path, src)
		if diags = append(diags, more...); more.HasErrors() {
			continue
		}
		attrs, more := s.file.Body.JustAttributes()
		diags = append(diags, more...)
		for _, attr := range attrs {
			d.given = append(d.given, attr)
		}
	}
	return diags, nil
}

// decodeVariables finds the value of each variable: that of --var, else that
// of the last file that has it, else that of the environment, else its default.
func (d *decoder) decodeVariables(blocks hcl.Blocks) hcl.Diagnostics {
	var diags hcl.Diagnostics
	d.vars = map[string]cty.Value{}
	d.scope = map[string]cty.Value{"var": cty.EmptyObjectVal, "local": cty.EmptyObjectVal}
	declared := map[string]hcl.Range{}
	texts, more := d.givenTexts()
	diags = append(diags, more...)
	var names []string
	for _, b := range blocks {
		v, more := d.decodeVariable(b)
		diags = append(diags, more...)
		if before, double := declared[v.name]; double {
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate variable",
				"The variable %s was already declared in %s.", quote(v.name),
				lineOf(before, v.place)))
			continue
		}
		declared[v.name] = v.place
		names = append(names, v.name)
		if d.vars[v.name], more = d.valueOf(v, texts); more.HasErrors() {
			d.vars[v.name] = cty.DynamicVal
		}
		diags = append(diags, more...)
	}
	for _, text := range d.opt.Vars {
		name, _, ok := strings.Cut(text, "=")
		if _, there := declared[name]; ok && !there {
			diags = diags.Append(fault(nil, "Unknown variable",
				"--var gives %s, which no variable block declares.%s", quote(name),
				d.hint(name, names)))
		}
	}
	for _, g := range d.given {
		if _, there := declared[g.Name]; !there {
			diags = diags.Append(fault(&g.NameRange, "Unknown variable",
				"No variable block declares %s.%s", quote(g.Name), d.hint(g.Name, names)))
		}
	}
	d.scope["var"] = cty.ObjectVal(d.vars)
	return diags
}

// givenTexts are the values of --var, of which the last one counts.
func (d *decoder) givenTexts() (map[string]string, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	texts := map[string]string{}
	for _, text := range d.opt.Vars {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			diags = diags.Append(fault(nil, "Invalid --var",
				"A variable is given as --var name=value, not %s.", quote(text)))
			continue
		}
		texts[name] = value
	}
	return texts, diags
}

var variableSchema = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}}}

func (d *decoder) decodeVariable(block *hcl.Block) (*variable, hcl.Diagnostics) {
	v := &variable{name: block.Labels[0], place: block.DefRange, typ: cty.DynamicPseudoType}
	content, diags := block.Body.Content(variableSchema)
	if !hclsyntax.ValidIdentifier(v.name) || len(v.name) > maxNameLength {
		diags = diags.Append(fault(&block.LabelRanges[0], "Invalid name",
			"The name of a variable has letters, digits, underscores and dashes only, begins "+
				"with a letter, and has %d characters at most.", maxNameLength))
	}
	if attr, ok := content.Attributes["type"]; ok {
		v.typed = true
		expr, more := keyword(attr.Expr)
		if !more.HasErrors() {
			v.typ, v.defaults, more = typeexpr.TypeConstraintWithDefaults(expr)
		}
		diags = append(diags, more...)
	}
	if attr, ok := content.Attributes["description"]; ok {
		var ignored string
		s := newSetting(d, &descriptionAttribute, "", attr)
		_, more := evaluate(d, s, &hcl.EvalContext{}, &ignored)
		diags = append(diags, more...)
	}
	if attr, ok := content.Attributes["default"]; ok && !diags.HasErrors() {
		value, more := d.evaluateValue(attr.Expr, v, &hcl.EvalContext{Functions: d.strict})
		diags = append(diags, more...)
		v.fallback = value
	}
	v.refused = diags.HasErrors()
	return v, diags
}

var descriptionAttribute = field("description", func(s *string) *string { return s },
	stringKind, "", "")

// valueOf is the value of a variable, from where it is given.
func (d *decoder) valueOf(v *variable, texts map[string]string) (cty.Value, hcl.Diagnostics) {
	if v.refused {
		return cty.DynamicVal, nil // and told
	}
	if value, ok := texts[v.name]; ok {
		return d.fromText(v, value, "--var")
	}
	for i := len(d.given) - 1; i >= 0; i-- {
		if g := d.given[i]; g.Name == v.name {
			return d.evaluateValue(g.Expr, v, &hcl.EvalContext{})
		}
	}
	if value, ok := d.env[variableEnv+v.name]; ok {
		return d.fromText(v, value, variableEnv+v.name)
	}
	if v.fallback == cty.NilVal {
		return cty.DynamicVal, hcl.Diagnostics{fault(&v.place, "No value for variable",
			"The variable %s has no default and must be given: with --var %s=…, in a "+
				"--var-file, or as %s%s.", quote(v.name), v.name, variableEnv, v.name)}
	}
	return v.fallback, nil
}

// fromText reads a value as Terraform does: a text is what it says, the rest
// is an expression.
func (d *decoder) fromText(v *variable, value, from string) (cty.Value, hcl.Diagnostics) {
	given := cty.StringVal(value)
	if v.typed && !v.typ.IsPrimitiveType() {
		expr, diags := inside(value, v.place, hclsyntax.LexExpression, hclsyntax.ParseExpression)
		if !diags.HasErrors() {
			diags = d.prepare(expr)
		}
		if !diags.HasErrors() {
			given, diags = d.value(expr, v.place, &hcl.EvalContext{})
		}
		if diags.HasErrors() {
			return cty.DynamicVal, hcl.Diagnostics{d.unsuitable(v, &v.place, from, diags[0].Summary+": "+diags[0].Detail)}
		}
	}
	given, err := d.convert(given, v)
	if err != nil {
		return cty.DynamicVal, hcl.Diagnostics{d.unsuitable(v, &v.place, from, err.Error())}
	}
	return given, nil
}

// evaluateValue is a value that stands in a file.
func (d *decoder) evaluateValue(from hcl.Expression, v *variable, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	place := from.Range()
	expr, diags := native(from)
	if !diags.HasErrors() {
		diags = d.prepare(expr)
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	value, diags := d.value(expr, place, ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	value, err := d.convert(value, v)
	if err != nil {
		return cty.DynamicVal, hcl.Diagnostics{d.unsuitable(v, &place, "", err.Error())}
	}
	return value, nil
}

func (d *decoder) unsuitable(v *variable, place *hcl.Range, from, why string) *hcl.Diagnostic {
	if from != "" {
		from = " from " + from
	}
	return fault(place, "Invalid value for variable",
		"The value of the variable %s%s does not suit its type, %s: %s.", quote(v.name), from,
		typeexpr.TypeString(v.typ), strings.TrimSuffix(why, "."))
}

func (d *decoder) convert(value cty.Value, v *variable) (cty.Value, error) {
	if err := d.convertible(value); err != nil {
		return value, err
	}
	if d.over() {
		return cty.DynamicVal, errOver
	}
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	return convert.Convert(value, v.typ)
}
