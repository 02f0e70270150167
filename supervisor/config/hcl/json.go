package hclconfig

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func isJSON(filename string) bool { return strings.HasSuffix(filename, ".json") }

// checkJSON bounds what HCL's reader of JSON will recurse into, and numbers.
func checkJSON(src []byte, filename string) *hcl.Diagnostic {
	refuse := func(at int, summary, detail string, limit int) *hcl.Diagnostic {
		pos := position(src, at)
		end := hcl.Pos{Line: pos.Line, Column: pos.Column + 1, Byte: at + 1}
		return fault(&hcl.Range{Filename: filename, Start: pos, End: end}, summary, detail, limit)
	}
	depth, number, quoted := 0, 0, false
	for i := 0; i < len(src); i++ {
		c := src[i]
		if quoted {
			if c == '\\' {
				i++
			}
			quoted = c != '"'
			continue
		}
		if c >= '0' && c <= '9' || strings.IndexByte("+-.eE", c) >= 0 {
			number++
		} else {
			number = 0
		}
		switch c {
		case '"':
			quoted = true
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth > maxNesting {
			return refuse(i, "Nested too deeply", "More than %d brackets are open here.", maxNesting)
		}
		if number > maxDigits {
			return refuse(i, "Number too long", "A number may have %d characters.", maxDigits)
		}
	}
	return nil
}

func position(src []byte, at int) hcl.Pos {
	return hcl.Pos{
		Line:   bytes.Count(src[:at], []byte("\n")) + 1,
		Column: utf8.RuneCount(src[bytes.LastIndexByte(src[:at], '\n')+1:at]) + 1,
		Byte:   at,
	}
}

// native is an expression as one of HCL's own syntax. HCL parses the texts of
// a JSON file each time they are evaluated; here that is done once, and with
// the same checks as for a whole file.
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
			object.Items = append(object.Items, hclsyntax.ObjectConsItem{KeyExpr: key, ValueExpr: value})
		}
		return object, nil
	}
	v, diags := expr.Value(nil) // without a context texts are what they are
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		return &hclsyntax.LiteralValueExpr{Val: v, SrcRange: place}, diags
	}
	text := v.AsString()
	e, diags := inside(text, place, hclsyntax.LexTemplate, hclsyntax.ParseTemplate)
	if e != nil && len(text) != place.End.Byte-place.Start.Byte-2 {
		e = &located{&hclsyntax.ParenthesesExpr{Expression: e, SrcRange: place}}
	}
	return e, diags
}

// keyword is an expression that is not evaluated, as the type of a variable.
func keyword(expr hcl.Expression) (hclsyntax.Expression, hcl.Diagnostics) {
	if e, ok := expr.(hclsyntax.Expression); ok {
		return e, nil
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
		place := expr.Range()
		return nil, hcl.Diagnostics{fault(&place, "Invalid type", "The name of a type is needed here, as a text.")}
	}
	return inside(v.AsString(), expr.Range(), hclsyntax.LexExpression, hclsyntax.ParseExpression)
}

// inside parses what stands in a text at a place of a file.
func inside(text string, place hcl.Range,
	lex func([]byte, string, hcl.Pos) (hclsyntax.Tokens, hcl.Diagnostics),
	parse func([]byte, string, hcl.Pos) (hclsyntax.Expression, hcl.Diagnostics),
) (hclsyntax.Expression, hcl.Diagnostics) {
	start := hcl.Pos{Line: place.Start.Line, Column: place.Start.Column + 1, Byte: place.Start.Byte + 1}
	tokens, _ := lex([]byte(text), place.Filename, start) // the parser reports them again
	if d := checkTokens(tokens); d != nil {
		d.Subject = &place
		return nil, hcl.Diagnostics{d}
	}
	e, diags := parse([]byte(text), place.Filename, start)
	if diags.HasErrors() {
		return nil, within(diags, place)
	}
	return e, nil
}

// located is an expression whose own places are wrong, since they were counted
// in a text without its escapes.
type located struct{ *hclsyntax.ParenthesesExpr }

func (e *located) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := e.Expression.Value(ctx)
	for _, d := range diags {
		d.Subject = &e.SrcRange
	}
	return v, diags
}

// within moves to a place what is not in it.
func within(diags hcl.Diagnostics, place hcl.Range) hcl.Diagnostics {
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Start.Line != place.Start.Line || d.Subject.End.Byte > place.End.Byte {
			d.Subject = &place
		}
	}
	return diags
}
