package hclconfig

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// CheckFormattable checks that a file can be formatted: it is not JSON, and its syntax has no
// faults. The faults are a [*Faults]. Package format formats it.
func CheckFormattable(src []byte, filename string) error {
	if isJSON(filename) {
		return fmt.Errorf("cannot format %s: it is JSON", filename)
	}
	s := &source{name: filename, src: src}
	if len(src) > maxFile || countTokens(src) > maxTokens {
		return fmt.Errorf("cannot format %s: it is too large: the limits are %d MiB, and %d "+
			"words and symbols", filename, maxFile>>20, maxTokens)
	}
	for _, check := range []func([]byte, string) *hcl.Diagnostic{checkText, checkShape} {
		if d := check(src, filename); d != nil {
			return newFaults([]*source{s}, hcl.Diagnostics{d})
		}
	}
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if s.file = file; diags.HasErrors() {
		return newFaults([]*source{s}, withoutQuote(diags))
	}
	return nil
}
