package hclconfig

import (
	"errors"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var errEnormous = errors.New("the numbers are too large")

// enormous reports whether a number has an exponent of more than maxBits bits.
func enormous(v cty.Value) bool {
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.Number {
		return false
	}
	f := v.AsBigFloat()
	exponent := f.MantExp(nil)
	return exponent > maxBits || exponent < -maxBits
}

// bounded returns an operation that refuses enormous numbers: cty writes a number with all its
// digits, and computes a remainder with an integer.
func bounded(op *hclsyntax.Operation) *hclsyntax.Operation {
	switch op {
	case hclsyntax.OpAdd, hclsyntax.OpSubtract, hclsyntax.OpMultiply, hclsyntax.OpDivide,
		hclsyntax.OpModulo, hclsyntax.OpNegate:
	default:
		return op
	}
	impl := op.Impl
	return &hclsyntax.Operation{Type: op.Type, Impl: function.New(&function.Spec{
		Params: impl.Params(),
		Type:   function.StaticReturnType(op.Type),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, arg := range args {
				if enormous(arg) {
					return cty.NilVal, errEnormous
				}
			}
			v, err := impl.Call(args)
			if err == nil && enormous(v) {
				return cty.NilVal, errEnormous
			}
			return v, err
		},
	})}
}

// digits returns the number of digits at the start of a text. The time of the conversion to a
// number grows with the square of it.
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
