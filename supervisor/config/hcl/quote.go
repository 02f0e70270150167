package hclconfig

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// withoutQuote returns the faults of a syntax. If a closing quote is missing, the parser takes the
// lines after it for a part of the string, and reports a fault in many of them. Then there is one
// fault, after those of the lines before.
func withoutQuote(diags hcl.Diagnostics) hcl.Diagnostics {
	i := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool {
		return d.Summary == "Invalid multi-line string" && d.Subject != nil
	})
	if i < 0 {
		return diags
	}
	at := *diags[i].Subject
	kept := slices.DeleteFunc(slices.Clone(diags), func(d *hcl.Diagnostic) bool {
		return d.Subject == nil || d.Subject.Start.Line >= at.Start.Line
	})
	return append(kept, fault(&at, "Missing closing quote",
		"The string has no closing quote in this line. The faults of the lines after it are not "+
			"shown. For a line break in a string write \\n, or use a heredoc."))
}
