package hclconfig

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// native returns an expression of a JSON file as one of HCL's native syntax. HCL parses the strings
// of a JSON file at each evaluation. native parses them once, with the checks for a whole file.
func native(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	if e, ok := expr.(hclsyntax.Expression); ok {
		return e, nil
	}
	place := expr.Range()
	if elements, diags := hcl.ExprList(expr); !diags.HasErrors() {
		tuple := &hclsyntax.TupleConsExpr{SrcRange: place, OpenRange: place}
		for _, element := range elements {
			e, diags := native(element)
			if diags.HasErrors() {
				return nil, diags
			}
			tuple.Exprs = append(tuple.Exprs, e)
		}
		return tuple, nil
	}
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		object := &hclsyntax.ObjectConsExpr{SrcRange: place, OpenRange: place}
		for _, pair := range pairs {
			key, diags := native(pair.Key)
			if diags.HasErrors() {
				return nil, diags
			}
			value, diags := native(pair.Value)
			if diags.HasErrors() {
				return nil, diags
			}
			object.Items = append(object.Items,
				hclsyntax.ObjectConsItem{KeyExpr: key, ValueExpr: value})
		}
		return object, nil
	}
	v, diags := expr.Value(nil) // without a context a string is not parsed as a template
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: place}, diags
	}
	text := v.AsString()
	e, diags := inside(text, place, hclsyntax.LexTemplate, hclsyntax.ParseTemplate)
	if e != nil && len(text) != place.End.Byte-place.Start.Byte-2 {
		e = &rangedExpr{&hclsyntax.ParenthesesExpr{Expression: e, SrcRange: place}}
	}
	return e, diags
}

// keyword returns an expression that is not evaluated, such as the type of a variable.
func keyword(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	if e, ok := expr.(hclsyntax.Expression); ok {
		return e, nil
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		place := expr.Range()
		return nil, hcl.Diagnostics{fault(&place, "Invalid type",
			"A string with the name of a type is required, such as \"number\".")}
	}
	return inside(v.AsString(), expr.Range(), hclsyntax.LexExpression, hclsyntax.ParseExpression)
}

// inside parses the text of a string that has a place in a file.
func inside(text string, place hcl.Range,
	lexer func([]byte, string, hcl.Pos) (hclsyntax.Tokens, hcl.Diagnostics),
	parser func([]byte, string, hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics),
) (hclsyntax.Expression, hcl.Diagnostics) {
	start := hcl.Pos{
		Line: place.Start.Line, Column: place.Start.Column + 1, Byte: place.Start.Byte + 1,
	}
	tokens, _ := lexer([]byte(text), place.Filename, start) // the parser reports them again
	if d := checkTokens(tokens); d != nil {
		d.Subject = &place
		return nil, hcl.Diagnostics{d}
	}
	e, diags := parser([]byte(text), place.Filename, start)
	if diags.HasErrors() {
		hintAtTemplates(diags)
		return nil, moveInto(diags, place)
	}
	return e, nil
}

// rangedExpr replaces the ranges in the diagnostics of an expression by its own range. The original
// ranges are wrong, because they are positions in a string without its escapes.
type rangedExpr struct{ *hclsyntax.ParenthesesExpr }

func (e *rangedExpr) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := e.Expression.Value(ctx)
	for _, d := range diags {
		d.Subject = &e.SrcRange
	}
	return v, diags
}

// moveInto sets the place of diagnostics that are outside of it.
func moveInto(diags hcl.Diagnostics, place hcl.Range) hcl.Diagnostics {
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Start.Line != place.Start.Line ||
			d.Subject.End.Byte > place.End.Byte {
			d.Subject = &place
		}
	}
	return diags
}
