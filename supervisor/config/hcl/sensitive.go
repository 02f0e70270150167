package hclconfig

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// sensitive is the mark of a value that no message shows: the value of a variable with
// `sensitive = true`, and the result of secret. Every value that is computed from it has the mark.
type sensitiveMark struct{}

var sensitive = sensitiveMark{}

const secretFunction = "secret"

// hidden is the Extra of a diagnostic whose source line can have a sensitive value.
type hidden struct{}

// hide hides the source lines of diagnostics.
func hide(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		d.Extra = hidden{}
	}
	return diags
}

// usesSensitive reports whether an expression can use a sensitive value. Then the texts of HCL and
// of functions are not shown, because they quote values.
func usesSensitive(expr hclsyntax.Expression, ctx *hcl.EvalContext) bool {
	for _, t := range expr.Variables() {
		value, ok := ctx.Variables[t.RootName()]
		if !ok {
			continue
		}
		name, named := referredName(t)
		if named && value.Type().IsObjectType() && value.Type().HasAttribute(name) {
			value = value.GetAttr(name)
		}
		if value.ContainsMarked() {
			return true
		}
	}
	calls := false
	_ = hclsyntax.VisitAll(expr, func(node hclsyntax.Node) hcl.Diagnostics {
		if call, ok := node.(*hclsyntax.FunctionCallExpr); ok && call.Name == secretFunction {
			calls = true
		}
		return nil
	})
	return calls
}

// withoutDetails replaces the details of diagnostics, which can quote a sensitive value.
func withoutDetails(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if d.Summary == "Unknown variable" || d.Summary == "Call to unknown function" ||
			isFaultOfFile(d) {
			continue // the fault of a name or of a file
		}
		d.Detail = "The expression cannot be evaluated. It uses a sensitive value, so the " +
			"details are not shown."
	}
	return diags
}

// isFaultOfFile reports whether a diagnostic is about the file of a call of secret. HCL reports the
// fault with the argument of the call as its expression.
func isFaultOfFile(d *hcl.Diagnostic) bool {
	call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
	if !ok || call.CalledFunctionName() != secretFunction {
		return false
	}
	if d.Expression == nil || d.EvalContext == nil {
		return false
	}
	path, diags := d.Expression.Value(d.EvalContext) // it can be the variable of a for expression
	return !diags.HasErrors() && !path.ContainsMarked()
}
