package hclconfig

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// meter counts the steps that a configuration takes to evaluate: one for each
// expression, for each element of its value, and for 8 bytes of text in it. A
// few lines of HCL can ask for any amount: loops in loops, texts that are
// doubled in each, a format of a million columns.
type meter struct{ steps float64 }

func (m *meter) over() bool { return m.steps > maxWork }

var (
	errOver = errors.New("it takes more steps than a configuration should")
	errLong = errors.New("the number has too many digits")
)

// charge counts a value, and refuses what cty would take long to convert.
func (m *meter) charge(v cty.Value) error {
	s := m.measure(v)
	m.steps += 1 + s.elements + s.text
	return s.err
}

// convertible counts a value that may be converted: to unify the types of a
// tuple takes the square of their number.
func (m *meter) convertible(v cty.Value) error {
	s := m.measure(v)
	m.steps += 1 + s.elements + s.text + s.elements*s.elements/64
	return s.err
}

// size is how large a value is, up to what may be spent.
type size struct {
	elements, text float64
	err            error
}

func (m *meter) measure(v cty.Value) size {
	var s size
	s.add(v, maxWork-m.steps)
	return s
}

func (s *size) add(v cty.Value, most float64) {
	if s.elements+s.text > most || s.err != nil {
		return
	}
	if v.IsNull() || !v.IsKnown() {
		s.elements++
		return
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		text := v.AsString()
		s.text += float64(len(text)) / 8
		if digits(text) > maxDigits*10 {
			s.err = errLong
		}
	case ty == cty.Number:
		if enormous(v) {
			s.err = errEnormous
			return
		}
		exponent := v.AsBigFloat().MantExp(nil)
		s.text += float64(max(exponent, -exponent)) / 26 // of 8 digits
	case ty.IsListType() || ty.IsTupleType() || ty.IsSetType() || ty.IsMapType() || ty.IsObjectType():
		for it := v.ElementIterator(); it.Next(); {
			s.elements++
			key, element := it.Element()
			if ty.IsMapType() || ty.IsObjectType() {
				s.text += float64(len(key.AsString())) / 8
			}
			s.add(element, most)
			if s.elements+s.text > most {
				return
			}
		}
	}
}

// digits is how many a text begins with. To read them as a number takes the
// square of that.
func digits(text string) int {
	n := 0
	if n < len(text) && (text[n] == '-' || text[n] == '+') {
		n++
	}
	for n < len(text) && (text[n] >= '0' && text[n] <= '9' || text[n] == '.' || text[n] == '_') {
		n++
	}
	return n
}

// metered is an expression that is counted when it is evaluated. It is a kind
// of parentheses, so that a walk sees what is in it.
type metered struct {
	*hclsyntax.ParenthesesExpr
	meter *meter
	use   use
}

// use is what is done with the value of an operand.
type use int

const (
	taken     use = iota
	converted     // its type may be unified with others
	repeated      // once for each element, in a scope of its own
)

const perScope = 5 // steps: a scope takes as long as so many expressions

func (e *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if e.meter.over() {
		return cty.DynamicVal, nil // the expression around it is refused
	}
	v, diags := e.Expression.Value(ctx)
	count := e.meter.charge
	switch e.use {
	case converted:
		count = e.meter.convertible
	case repeated:
		e.meter.steps += perScope
	}
	err := count(v)
	if e.meter.over() {
		return cty.DynamicVal, nil
	}
	if err != nil && !diags.HasErrors() {
		return cty.DynamicVal, diags.Append(fault(&e.SrcRange, "Operation failed", "This cannot be evaluated: %v.", err))
	}
	return v, diags
}

// prepare makes an expression fit to be evaluated: every operand is metered,
// arithmetic is replaced by one that refuses enormous numbers, and keys that
// are given twice are found, of which HCL silently takes the last.
func (m *meter) prepare(expr hclsyntax.Expression) hcl.Diagnostics {
	return hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		switch n := node.(type) {
		case *hclsyntax.LiteralValueExpr:
			if n.Val.Type() == cty.Number && enormous(n.Val) {
				return hcl.Diagnostics{fault(&n.SrcRange, "Number too large", "Nothing here needs a number of that size.")}
			}
		case *hclsyntax.BinaryOpExpr:
			n.Op = bounded(n.Op)
			m.wrap(taken, &n.LHS, &n.RHS)
		case *hclsyntax.UnaryOpExpr:
			n.Op = bounded(n.Op)
			m.wrap(taken, &n.Val)
		case *hclsyntax.ConditionalExpr:
			m.wrap(converted, &n.TrueResult, &n.FalseResult)
		case *hclsyntax.FunctionCallExpr:
			m.wrapAll(converted, n.Args)
		case *hclsyntax.TupleConsExpr:
			m.wrapAll(taken, n.Exprs)
		case *hclsyntax.TemplateExpr:
			m.wrapAll(taken, n.Parts)
		case *hclsyntax.ForExpr:
			m.wrap(repeated, &n.KeyExpr, &n.ValExpr, &n.CondExpr)
		case *hclsyntax.SplatExpr:
			m.wrap(repeated, &n.Each)
		case *hclsyntax.IndexExpr:
			m.wrap(taken, &n.Key)
		case *hclsyntax.ObjectConsExpr:
			for i := range n.Items {
				m.wrap(taken, &n.Items[i].ValueExpr)
			}
			return doubleKeys(n)
		}
		return nil
	})
}

func (m *meter) wrapAll(use use, operands []hclsyntax.Expression) {
	for i := range operands {
		m.wrap(use, &operands[i])
	}
}

func (m *meter) wrap(use use, operands ...*hclsyntax.Expression) {
	for _, e := range operands {
		switch (*e).(type) {
		case nil, *metered, *hclsyntax.LiteralValueExpr:
			continue
		}
		*e = &metered{&hclsyntax.ParenthesesExpr{Expression: *e, SrcRange: (*e).Range()}, m, use}
	}
}
