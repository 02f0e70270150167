// Package format formats configurations. It is apart from package hclconfig because the writer of
// HCL, which only `supervisor fmt` needs, would be a part of the process with pid 1.
package format

import (
	"fmt"

	"github.com/hashicorp/hcl/v2/hclwrite"

	hclconfig "tp0/supervisor/config/hcl"
)

// Format returns a file in the canonical layout of HCL. It changes only the spaces and tabs within
// lines. If the syntax has faults, the error is a [*hclconfig.Faults].
func Format(src []byte, filename string) (out []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("cannot format %s: internal fault: %v", filename, r)
		}
	}()
	if err := hclconfig.CheckFormattable(src, filename); err != nil {
		return nil, err
	}
	return hclwrite.Format(src), nil
}
