package hclconfig

import (
	"errors"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// evaluation counts the steps of the evaluation of a configuration: one for each expression, for
// each element of its value, and for each 8 bytes of its strings. It refuses to go beyond maxWork
// steps. A few lines of HCL can otherwise take any time and memory: nested loops, strings that
// double in each local, a format of a million columns. A deadline does not replace the count,
// because Go cannot interrupt a running function.
type evaluation struct{ steps float64 }

func (m *evaluation) over() bool { return m.steps > maxWork }

var (
	errOver = errors.New("the evaluation takes too many steps")
	errLong = errors.New("the number has too many digits")
)

// charge counts a value. The error is that of a string or number that is slow to convert.
func (m *evaluation) charge(v cty.Value) error {
	s := m.measure(v)
	m.steps += 1 + s.elements + s.text
	return s.err
}

// convertible counts a value that can be converted. The time to unify the types of the elements
// of a tuple grows with the square of their number.
func (m *evaluation) convertible(v cty.Value) error {
	s := m.measure(v)
	m.steps += 1 + s.elements + s.text + s.elements*s.elements/64
	return s.err
}

// valueSize is the size of a value in steps.
type valueSize struct {
	elements, text float64
	err            error
}

func (m *evaluation) measure(v cty.Value) valueSize {
	var s valueSize
	s.add(v, maxWork-m.steps)
	return s
}

// add adds the size of a value. It returns early when the size exceeds most.
func (s *valueSize) add(v cty.Value, most float64) {
	if s.elements+s.text > most || s.err != nil {
		return
	}
	v, _ = v.Unmark()
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
	case ty.IsListType() || ty.IsTupleType() || ty.IsSetType() || ty.IsMapType() ||
		ty.IsObjectType():
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

// countedExpr is an expression whose value is counted when it is evaluated. It embeds parentheses,
// so that hclsyntax.VisitAll visits the inner expression.
type countedExpr struct {
	*hclsyntax.ParenthesesExpr
	evaluation *evaluation
	use        operandUse
}

// operandUse says what the evaluation does with the value of an operand.
type operandUse int

const (
	usedOnce  operandUse = iota
	converted            // the types of its elements can be unified
	repeated             // evaluated for each element, in a new scope
)

const perScope = 5 // steps; a new scope takes as long as 5 expressions

func (e *countedExpr) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if e.evaluation.over() {
		return cty.DynamicVal, nil // the outer expression is refused
	}
	v, diags := e.Expression.Value(ctx)
	count := e.evaluation.charge
	switch e.use {
	case converted:
		count = e.evaluation.convertible
	case repeated:
		e.evaluation.steps += perScope
	}
	err := count(v)
	if e.evaluation.over() {
		return cty.DynamicVal, nil
	}
	if err != nil && !diags.HasErrors() {
		return cty.DynamicVal, diags.Append(fault(&e.SrcRange, "Operation failed",
			"The expression cannot be evaluated: %v.", err))
	}
	return v, diags
}

// prepare changes an expression so that its evaluation is bounded: it wraps each operand in a
// countedExpr, and arithmetic refuses enormous numbers. It reports duplicate keys of an object, of
// which HCL silently takes the last one.
func (m *evaluation) prepare(expr hclsyntax.Expression) hcl.Diagnostics {
	return hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		switch n := node.(type) {
		case *hclsyntax.LiteralValueExpr:
			if n.Val.Type() == cty.Number && enormous(n.Val) {
				return hcl.Diagnostics{fault(&n.SrcRange, "Number too large",
					"The exponent of the number is too large.")}
			}
		case *hclsyntax.BinaryOpExpr:
			n.Op = bounded(n.Op)
			m.wrap(usedOnce, &n.LHS, &n.RHS)
		case *hclsyntax.UnaryOpExpr:
			n.Op = bounded(n.Op)
			m.wrap(usedOnce, &n.Val)
		case *hclsyntax.ConditionalExpr:
			m.wrap(converted, &n.TrueResult, &n.FalseResult)
		case *hclsyntax.FunctionCallExpr:
			m.wrapAll(converted, n.Args)
		case *hclsyntax.TupleConsExpr:
			m.wrapAll(usedOnce, n.Exprs)
		case *hclsyntax.TemplateExpr:
			m.wrapAll(usedOnce, n.Parts)
		case *hclsyntax.ForExpr:
			m.wrap(repeated, &n.KeyExpr, &n.ValExpr, &n.CondExpr)
		case *hclsyntax.SplatExpr:
			m.wrap(repeated, &n.Each)
		case *hclsyntax.IndexExpr:
			m.wrap(usedOnce, &n.Key)
		case *hclsyntax.ObjectConsExpr:
			for i := range n.Items {
				m.wrap(usedOnce, &n.Items[i].ValueExpr)
			}
			return duplicateKeys(n)
		}
		return nil
	})
}

func (m *evaluation) wrapAll(use operandUse, operands []hclsyntax.Expression) {
	for i := range operands {
		m.wrap(use, &operands[i])
	}
}

func (m *evaluation) wrap(use operandUse, operands ...*hclsyntax.Expression) {
	for _, e := range operands {
		switch (*e).(type) {
		case nil, *countedExpr, *hclsyntax.LiteralValueExpr:
			continue
		}
		inner := &hclsyntax.ParenthesesExpr{Expression: *e, SrcRange: (*e).Range()}
		*e = &countedExpr{inner, m, use}
	}
}

// duplicateKeys reports keys that an object has more than once.
func duplicateKeys(object *hclsyntax.ObjectConsExpr) hcl.Diagnostics {
	var diags hcl.Diagnostics
	lines := map[string]int{}
	for _, item := range object.Items {
		name, ok := literalKey(item.KeyExpr)
		if !ok {
			continue
		}
		place := item.KeyExpr.Range()
		if line, duplicate := lines[name]; duplicate {
			diags = diags.Append(fault(&place, "Duplicate key",
				"The object already has the key %s in line %d.", quote(name), line))
			continue
		}
		lines[name] = place.Start.Line
	}
	return diags
}

// literalKey returns the key of an object if it is not computed.
func literalKey(expr hclsyntax.Expression) (string, bool) {
	if key, ok := expr.(*hclsyntax.ObjectConsKeyExpr); ok {
		if name := hcl.ExprAsKeyword(key); name != "" {
			return name, true
		}
		expr = key.Wrapped
	}
	if text, ok := expr.(*hclsyntax.TemplateExpr); ok && text.IsStringLiteral() {
		v, diags := text.Value(nil)
		if !diags.HasErrors() && v.Type() == cty.String {
			return v.AsString(), true
		}
	}
	return "", false
}
