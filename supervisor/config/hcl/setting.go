package hclconfig

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// setting is an attribute that is set in the file.
type setting[T any] struct {
	*attribute[T]
	path    string // with its block, such as ready.tcp
	expr    hclsyntax.Expression
	place   hcl.Range       // of the value
	indexed bool            // the expression uses index
	refused hcl.Diagnostics // the faults that forbid its evaluation
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

// bind returns the attributes of a body that are in the schema b, with those of its nested blocks.
// It reports attributes and blocks that are in no schema, and those whose path is already in first,
// and adds the paths of the body to first. Blocks that only the schema others has are returned
// undecoded.
func bind[T any](
	d *decoder, body hcl.Body, b *block[T], prefix string, first map[string]hcl.Range,
	others *hcl.BodySchema,
) ([]setting[T], hcl.Blocks, hcl.Diagnostics) {
	schema := b.schema()
	if others != nil {
		schema.Attributes = append(schema.Attributes, others.Attributes...)
		schema.Blocks = append(schema.Blocks, others.Blocks...)
	}
	content, diags := body.Content(schema)
	hintAtForeign(diags, b.foreign)
	var settings []setting[T]
	for i := range b.attributes {
		attr, ok := content.Attributes[b.attributes[i].name]
		if !ok {
			continue
		}
		// The other attribute is in another file: the parser reports two in one file.
		if before, duplicate := first[prefix+attr.Name]; duplicate {
			diags = diags.Append(fault(&attr.NameRange, "Duplicate attribute",
				"`%s` is already set in %s.", attr.Name, lineOf(before, attr.NameRange)))
			continue
		}
		first[prefix+attr.Name] = attr.NameRange
		settings = append(settings, newSetting(d, &b.attributes[i], prefix, attr))
	}
	diags = append(diags, checkOneOf(b.oneOf, content.Attributes, body.MissingItemRange())...)
	diags = append(diags, checkAnyOf(b.anyOf, content.Attributes, body.MissingItemRange())...)
	diags = withoutMisspelled(diags)
	var rest hcl.Blocks
	for _, found := range content.Blocks {
		i := slices.IndexFunc(b.blocks, func(sub block[T]) bool { return sub.name == found.Type })
		if i < 0 {
			rest = append(rest, found)
			continue
		}
		if before, duplicate := first[prefix+found.Type]; duplicate {
			diags = diags.Append(fault(&found.DefRange, "Duplicate block",
				"The %s block is already in %s. Only one is allowed.", found.Type,
				lineOf(before, found.DefRange)))
			continue
		}
		first[prefix+found.Type] = found.DefRange
		sub, _, more := bind(d, found.Body, &b.blocks[i], prefix+found.Type+".", first, nil)
		settings = append(settings, sub...)
		diags = append(diags, more...)
	}
	return settings, rest, diags
}

// missingArgument is also the summary of HCL's fault.
const missingArgument = "Missing required argument"

var (
	proposedName = lazyPattern("(?:Did you mean \"|Use `)(\\w+)")
	anyName      = lazyPattern(`\w+`)
)

// withoutMisspelled returns the faults of a block without those of missing arguments that the block
// has under a wrong name. The fault of the wrong name proposes the right one.
func withoutMisspelled(diags hcl.Diagnostics) hcl.Diagnostics {
	proposed := map[string]bool{}
	for _, d := range diags {
		if d.Summary == "Unsupported argument" || d.Summary == "Extraneous JSON object property" {
			if m := proposedName().FindStringSubmatch(d.Detail); m != nil {
				proposed[m[1]] = true
			}
		}
	}
	return slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool {
		return d.Summary == missingArgument && slices.ContainsFunc(
			anyName().FindAllString(d.Detail, -1), func(s string) bool { return proposed[s] })
	})
}

// checkOneOf checks that exactly one of the attributes is set. missing is the place of the fault if
// none is set.
func checkOneOf(names []string, given hcl.Attributes, missing hcl.Range) hcl.Diagnostics {
	var found []*hcl.Attribute
	for _, name := range names {
		if attr, ok := given[name]; ok {
			found = append(found, attr)
		}
	}
	if len(found) == 0 && len(names) > 0 {
		return hcl.Diagnostics{fault(&missing, missingArgument,
			"One of %s is required.", quotedList(names))}
	}
	slices.SortFunc(found,
		func(a, b *hcl.Attribute) int { return a.Range.Start.Byte - b.Range.Start.Byte })
	var diags hcl.Diagnostics
	for i := 1; i < len(found); i++ {
		diags = diags.Append(fault(&found[i].NameRange, "Conflicting arguments",
			"Only one of %s can be set, but `%s` is already set in %s.",
			quotedList(names), found[0].Name, lineOf(found[0].Range, found[i].Range)))
	}
	return diags
}

// checkAnyOf checks that at least one of the attributes is set. missing is the place of the fault.
func checkAnyOf(names []string, given hcl.Attributes, missing hcl.Range) hcl.Diagnostics {
	if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool {
		return given[name] != nil
	}) {
		return nil
	}
	return hcl.Diagnostics{fault(&missing, missingArgument,
		"At least one of %s is required.", quotedList(names))}
}

// maxElementFaults is the number of faults that are reported for a list or an object.
const maxElementFaults = 20

// evaluate stores the value of a setting in the target. It returns false if the setting has a fault
// or depends on a value that has one. The latter fault is not reported again.
func evaluate[T any](
	d *decoder, s setting[T], ctx *hcl.EvalContext, target *T,
) (bool, hcl.Diagnostics) {
	if s.refused.HasErrors() {
		return false, s.refused
	}
	if _, ok := ctx.Variables["index"]; s.indexed && !ok {
		return false, hcl.Diagnostics{fault(&s.place, "Invalid use of index",
			"`index` differs between instances, but `%s` has one value for all of them.",
			s.path)}
	}
	v, diags := d.value(s.expr, s.place, ctx)
	s.nameType(diags)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return false, diags
	}
	v, marks := v.UnmarkDeep()
	if len(marks) > 0 {
		return s.setSensitive(target, v)
	}
	err := s.set(target, v)
	if err == nil {
		return true, nil
	}
	errs, several := err.(elementErrors)
	if !several {
		errs = elementErrors{err}
	}
	for _, err := range errs[:min(len(errs), maxElementFaults)] {
		diags = diags.Append(s.explain(err, ctx))
	}
	return false, diags
}

// nameType replaces the hint at quotes if the value is an unknown name and must not be a string.
func (s *setting[T]) nameType(diags hcl.Diagnostics) {
	for _, word := range []string{"string", "duration", "size"} {
		if strings.HasPrefix(s.typ, word) {
			return
		}
	}
	article := "a"
	if strings.HasPrefix(s.typ, "object") {
		article = "an"
	}
	for _, diag := range diags {
		text, _, quotes := strings.Cut(diag.Detail, needsQuotes)
		if quotes && diag.Expression == hcl.Expression(s.expr) {
			diag.Detail = fmt.Sprintf("%s `%s` must be %s %s.", text, s.path, article, s.typ)
		}
	}
}

// setSensitive stores a sensitive value, if the attribute can have one. No fault shows the value.
func (s *setting[T]) setSensitive(target *T, v cty.Value) (bool, hcl.Diagnostics) {
	if s.markSensitive == nil {
		return false, hcl.Diagnostics{fault(&s.place, "Sensitive value not allowed",
			"`%s` is shown in messages, so it cannot have a sensitive value. Use the value in "+
				"`env`, or in the arguments of a command.", s.path)}
	}
	if s.set(target, v) != nil {
		return false, hcl.Diagnostics{fault(&s.place, "Invalid value for "+s.path,
			"The value is sensitive, so it is not shown. The type is %s, and allowed is: %s.",
			s.typ, s.allowed)}
	}
	s.markSensitive(target)
	return true, nil
}

// value evaluates an expression, see [evaluation.prepare].
func (d *decoder) value(
	expr hclsyntax.Expression, place hcl.Range, ctx *hcl.EvalContext,
) (cty.Value, hcl.Diagnostics) {
	if d.over() {
		return cty.DynamicVal, nil // already reported
	}
	if diags := d.checkReferences(expr, ctx); diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	v, diags := expr.Value(ctx)
	err := d.charge(v)
	switch {
	case d.over():
		return cty.DynamicVal, hcl.Diagnostics{fault(&place, "Too many evaluation steps",
			"The evaluation of the configuration exceeds %d steps here. Simplify the expression.",
			int(maxWork))}
	case diags.HasErrors() && usesSensitive(expr, ctx):
		return cty.DynamicVal, withoutDetails(d.addHints(diags))
	case diags.HasErrors():
		return cty.DynamicVal, d.addHints(diags)
	case err != nil:
		return cty.DynamicVal, hcl.Diagnostics{fault(&place, "Operation failed",
			"The expression cannot be evaluated: %v.", err)}
	}
	return v, nil
}

// explain returns the diagnostic for an error of the value.
func (s *setting[T]) explain(err error, ctx *hcl.EvalContext) *hcl.Diagnostic {
	place := s.element(err, ctx)
	var typeErr *typeError
	if !errors.As(err, &typeErr) {
		return fault(&place, "Invalid value for "+s.path, "%v", err)
	}
	subject := "`" + s.path + "`"
	if e, ok := err.(*elementError); ok {
		subject = "An element of " + subject
		if e.key != "" {
			subject = "`" + s.path + "." + shorten(e.key) + "`"
		}
	}
	return fault(&place, "Incorrect attribute value type", "%s", typeErr.describe(subject))
}

// element returns the place of an error of the value. It is the place of the element if the file
// has the list or the object in literal form.
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
			v, _ = v.Unmark()
			if !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String &&
				v.AsString() == e.key {
				return hcl.RangeBetween(item.KeyExpr.Range(), item.ValueExpr.Range())
			}
		}
	}
	return s.place
}

// addHints adds the most frequent cause to diagnostics of HCL. It replaces the proposal of a
// function: if several names are equally similar, HCL proposes a random one.
func (d *decoder) addHints(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, diag := range diags {
		switch e := diag.Expression.(type) {
		case *hclsyntax.ScopeTraversalExpr:
			if diag.Summary == "Unknown variable" && !strings.Contains(diag.Detail, "Did you") {
				name := e.Traversal.RootName()
				_, isVariable := d.vars[name]
				_, isLocal := d.locals[name]
				diag.Detail = fmt.Sprintf("There is no variable named %s.%s", quote(name),
					unknownNameHint(name, isVariable, isLocal))
			}
		case *hclsyntax.FunctionCallExpr:
			if diag.Summary != "Call to unknown function" {
				continue
			}
			diag.Detail = fmt.Sprintf("There is no function named %s.%s", quote(e.Name),
				didYouMean(e.Name, functionNames()))
		}
	}
	return diags
}

// refers returns the place of the first reference to one of the roots, or nil.
func refers(expr hclsyntax.Expression, roots ...string) *hcl.Range {
	for _, t := range expr.Variables() {
		if slices.Contains(roots, t.RootName()) {
			place := t.SourceRange()
			return &place
		}
	}
	return nil
}

// checkReferences finds references to undefined variables and locals. HCL would report a missing
// attribute of an object.
func (d *decoder) checkReferences(
	expr hclsyntax.Expression, ctx *hcl.EvalContext,
) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, t := range expr.Variables() {
		known, what := d.vars, "variable"
		if t.RootName() == "local" {
			known, what = d.locals, "local"
		} else if t.RootName() != "var" {
			continue
		}
		name, ok := referredName(t)
		_, defined := known[name]
		if _, scoped := ctx.Variables[t.RootName()]; !ok || defined || !scoped {
			continue
		}
		var names []string
		if d.hints < maxHints {
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
		}
		place := t.SourceRange()
		diags = diags.Append(fault(&place, "Unknown "+what,
			"There is no %s %s.%s", what, quote(name), d.hint(name, names)))
	}
	return diags
}

// hint calls didYouMean, which is slow, for the first maxHints names of a load.
func (d *decoder) hint(name string, names []string) string {
	if d.hints++; d.hints > maxHints {
		return ""
	}
	return didYouMean(name, names)
}

// absolute returns a path that is relative to dir as an absolute path.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
