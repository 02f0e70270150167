package hclconfig

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is a variable block. A variable without a type can have any value; a value from the
// command line or the environment is then a string.
type variable struct {
	name     string
	place    hcl.Range
	typ      cty.Type
	typed    bool
	defaults *typeexpr.Defaults
	fallback cty.Value // the default; NilVal if there is none
	refused  bool      // the block has a fault
	// sensitive says that no message shows the value.
	sensitive bool
}

// openVarFiles reads the files with values of variables. They have only attributes.
func (d *decoder) openVarFiles() (hcl.Diagnostics, error) {
	var diags hcl.Diagnostics
	for _, path := range d.opt.VarFiles {
		d.opt.reportRead(path)
		src, err := d.opt.read(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read variables: %w", err)
		}
		s, more := d.parseSource(path, src)
		s.secret = d.hasSensitive()
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

// decodeVariables finds the value of each variable. The first of these counts: --var, the last file
// that has the variable, the environment, the default.
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
		if before, duplicate := declared[v.name]; duplicate {
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate variable",
				"The variable %s is already declared in %s.", quote(v.name),
				lineOf(before, v.place)))
			continue
		}
		declared[v.name] = v.place
		names = append(names, v.name)
		value, more := d.valueOf(v, texts)
		if more.HasErrors() {
			value = cty.DynamicVal
		}
		if v.sensitive {
			value = value.Mark(sensitive)
		}
		d.vars[v.name] = value
		diags = append(diags, more...)
	}
	for _, text := range d.opt.Vars {
		name, _, ok := strings.Cut(text, "=")
		if _, known := declared[name]; ok && !known {
			diags = diags.Append(fault(nil, "Unknown variable",
				"--var sets the variable %s, but no variable block declares it.%s", quote(name),
				d.hint(name, names)))
		}
	}
	for _, g := range d.given {
		if _, known := declared[g.Name]; !known {
			diags = diags.Append(fault(&g.NameRange, "Unknown variable",
				"No variable block declares %s.%s", quote(g.Name), d.hint(g.Name, names)))
		}
	}
	d.scope["var"] = cty.ObjectVal(d.vars)
	return diags
}

// givenTexts returns the values of --var by name. The last value of a name counts.
func (d *decoder) givenTexts() (map[string]string, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	texts := map[string]string{}
	for _, text := range d.opt.Vars {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			diags = diags.Append(fault(nil, "Invalid --var",
				"The form is --var name=value, but the argument is %s.", d.shown(text)))
			continue
		}
		texts[name] = value
	}
	return texts, diags
}

func variableSchema() *hcl.BodySchema {
	return &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: sensitiveAttribute().name},
	}}
}

func (d *decoder) decodeVariable(block *hcl.Block) (*variable, hcl.Diagnostics) {
	v := &variable{name: block.Labels[0], place: block.DefRange, typ: cty.DynamicPseudoType}
	content, diags := block.Body.Content(variableSchema())
	if !hclsyntax.ValidIdentifier(v.name) || len(v.name) > maxNameLength {
		diags = diags.Append(fault(&block.LabelRanges[0], "Invalid name",
			"The name of a variable must have only letters, digits, underscores and dashes, "+
				"must begin with a letter, and must have at most %d characters.", maxNameLength))
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
	if attr, ok := content.Attributes[sensitiveAttribute().name]; ok {
		s := newSetting(d, sensitiveAttribute(), "", attr)
		_, more := evaluate(d, s, &hcl.EvalContext{}, &v.sensitive)
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

// valueOf returns the value of a variable, see decodeVariables.
func (d *decoder) valueOf(v *variable, texts map[string]string) (cty.Value, hcl.Diagnostics) {
	if v.refused {
		return cty.DynamicVal, nil // the fault is already reported
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
			"The variable %s has no default. Set it with --var %s=…, in a file for --var-file, "+
				"or in the environment as %s%s.", quote(v.name), v.name, variableEnv, v.name)}
	}
	return v.fallback, nil
}

// fromText parses a value from the command line or the environment, as Terraform does. For a
// string, a number or a bool it is the value itself, for other types it is an expression.
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
			why := diags[0].Summary + ": " + diags[0].Detail
			return cty.DynamicVal, hcl.Diagnostics{d.invalidValue(v, &v.place, from, why)}
		}
	}
	given, err := d.convert(given, v)
	if err != nil {
		return cty.DynamicVal, hcl.Diagnostics{d.invalidValue(v, &v.place, from, err.Error())}
	}
	return given, nil
}

// evaluateValue returns the value of a variable from an expression in a file.
func (d *decoder) evaluateValue(
	from hcl.Expression, v *variable, ctx *hcl.EvalContext,
) (cty.Value, hcl.Diagnostics) {
	place := from.Range()
	value, diags := d.plainValue(from, ctx)
	if !diags.HasErrors() {
		var err error
		if value, err = d.convert(value, v); err != nil {
			diags = hcl.Diagnostics{d.invalidValue(v, &place, "", err.Error())}
		}
	}
	if diags.HasErrors() {
		value = cty.DynamicVal
		if v.sensitive {
			diags = hide(diags)
		}
	}
	return value, diags
}

// plainValue returns the value of an expression in a file.
func (d *decoder) plainValue(
	from hcl.Expression, ctx *hcl.EvalContext,
) (cty.Value, hcl.Diagnostics) {
	expr, diags := native(from)
	if !diags.HasErrors() {
		diags = d.prepare(expr)
	}
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	return d.value(expr, from.Range(), ctx)
}

// invalidValue returns the fault of a value that does not have the type of its variable. from is
// the source of the value; it is "" if the value is at place.
func (d *decoder) invalidValue(v *variable, place *hcl.Range, from, why string) *hcl.Diagnostic {
	if from != "" {
		from = " from " + from
	}
	if v.sensitive {
		why = "it is sensitive, so the details are not shown"
	}
	return fault(place, "Invalid value for variable",
		"The value of the variable %s%s cannot be converted to its type, %s: %s.", quote(
			v.name), from,
		typeexpr.TypeString(v.typ), strings.TrimSuffix(why, "."))
}

// convert converts a value to the type of a variable.
func (d *decoder) convert(value cty.Value, v *variable) (cty.Value, error) {
	value, marks := value.UnmarkDeep()
	if err := d.convertible(value); err != nil {
		return value, err
	}
	// Each object of a list gets all optional attributes of its type.
	d.steps += typeSize(v.typ) * (1 + d.measure(value).elements)
	if d.over() {
		return cty.DynamicVal, errOver
	}
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	value, err := convert.Convert(value, v.typ)
	if err != nil {
		return value, err
	}
	return value.WithMarks(marks), nil
}

// typeSize returns the number of types that a type consists of, such as those of its attributes.
func typeSize(t cty.Type) float64 {
	n := 1.0
	switch {
	case t.IsObjectType():
		for _, attr := range t.AttributeTypes() {
			n += typeSize(attr)
		}
	case t.IsTupleType():
		for _, element := range t.TupleElementTypes() {
			n += typeSize(element)
		}
	case t.IsCollectionType():
		n += typeSize(t.ElementType())
	}
	return n
}

// hasSensitive reports whether the configuration has a sensitive variable, or could not be parsed.
func (d *decoder) hasSensitive() bool {
	return len(d.files) == 0 || slices.ContainsFunc(d.files, func(s *source) bool {
		return declaresSensitive(s.file.Body)
	})
}

// shown returns an argument for a message, which can be the value of a sensitive variable.
func (d *decoder) shown(argument string) string {
	if d.hasSensitive() {
		return "(sensitive)"
	}
	return quote(argument)
}

// declaresSensitive reports whether a file has a variable that is sensitive. Then no source line of
// a file with values is shown.
func declaresSensitive(body hcl.Body) bool {
	content, _, _ := body.PartialContent(&hcl.BodySchema{
		Blocks: []hcl.BlockHeaderSchema{{Type: "variable", LabelNames: []string{"name"}}},
	})
	if content == nil {
		return false
	}
	for _, b := range content.Blocks {
		attrs, _, _ := b.Body.PartialContent(&hcl.BodySchema{
			Attributes: []hcl.AttributeSchema{{Name: sensitiveAttribute().name}},
		})
		if attrs != nil && len(attrs.Attributes) > 0 {
			return true
		}
	}
	return false
}

const sensitiveDoc = "No message, plan, report or log shows the value, nor a value that is " +
	"computed from it."

var sensitiveAttribute = sync.OnceValue(func() *attribute[bool] {
	a := field("sensitive", func(b *bool) *bool { return b }, boolKind, "true", sensitiveDoc)
	return &a
})
