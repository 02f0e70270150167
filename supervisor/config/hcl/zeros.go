package hclconfig

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// leadingZeros returns a fault for each number with a leading zero. HCL reads 08080 as 8080 and
// 0660 as 660, not as an octal number, so a child silently gets another value than the file has.
// Places that other faults name are skipped.
func leadingZeros(s *source, others hcl.Diagnostics) (diags hcl.Diagnostics) {
	if s.json {
		return nil // JSON has no such numbers
	}
	known := map[hcl.Pos]bool{}
	for _, d := range others {
		if d.Subject != nil && d.Subject.Filename == s.name {
			known[d.Subject.Start] = true
		}
	}
	tokens, _ := hclsyntax.LexConfig(s.src, s.name, hcl.InitialPos)
	for _, token := range tokens {
		text := string(token.Bytes)
		if token.Type != hclsyntax.TokenNumberLit || len(text) < 2 || text[0] != '0' ||
			text[1] < '0' || text[1] > '9' || known[token.Range.Start] {
			continue
		}
		plain := strings.TrimLeft(text[:len(text)-1], "0") + text[len(text)-1:]
		d := fault(&token.Range, "Number with a leading zero",
			"The number %s is decimal, so its value is %s. Write \"%s\" to keep the zero, or "+
				"%s for the number.", text, plain, text, plain)
		if s.secret {
			hide(hcl.Diagnostics{d})
			d.Detail = "A number is decimal. Write it in quotes to keep the zero."
		}
		diags = append(diags, d)
	}
	return diags
}
