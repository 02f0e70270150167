package hclconfig

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns a file in the canonical layout of HCL. It changes only the spaces and tabs within
// lines. If the syntax has faults, the error is a [*Faults].
func Format(src []byte, filename string) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("cannot format %s: internal fault: %v", filename, r)
		}
	}()
	if isJSON(filename) {
		return nil, fmt.Errorf("cannot format %s: it is JSON", filename)
	}
	s := &source{name: filename, src: src}
	for _, check := range []func([]byte, string) *hcl.Diagnostic{checkText, checkShape} {
		if d := check(src, filename); d != nil {
			return nil, newFaults([]*source{s}, hcl.Diagnostics{d})
		}
	}
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if s.file = file; diags.HasErrors() {
		return nil, newFaults([]*source{s}, diags)
	}
	return hclwrite.Format(src), nil
}
