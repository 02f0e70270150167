package hclconfig

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/termtext"
)

// maxHints is the number of misspelt names for which the load proposes another name.
const maxHints = 20

// fault returns an error diagnostic. A nil place means the configuration as a whole.
func fault(place *hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Subject: place}
	d.Severity, d.Summary, d.Detail = hcl.DiagError, summary, fmt.Sprintf(detail, args...)
	return d
}

// fileRange returns the range that stands for a whole file.
func fileRange(name string) *hcl.Range {
	return &hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// lineOf returns the line of a place in words, for a diagnostic at from. It names the file if that
// is another one.
func lineOf(place, from hcl.Range) string {
	if place.Filename == from.Filename {
		return fmt.Sprintf("line %d", place.Start.Line)
	}
	return fmt.Sprintf("%s line %d", place.Filename, place.Start.Line)
}

// didYouMean returns a sentence with the candidate that is most similar to the given name. It
// returns "" if no candidate is similar.
func didYouMean[V ~string](given string, candidates []V) string {
	if len(given) > maxName {
		return ""
	}
	best, nearest := "", 3 // HCL has the same limit
	for _, c := range candidates {
		if d := levenshtein.Distance(given, string(c), nil); d < nearest && d < len(given) {
			best, nearest = string(c), d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s?", quote(best))
}

// quotedList returns the values in quotes, as a list for a sentence.
func quotedList[V ~string](values []V) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case i == 0:
		case i == len(values)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(quote(string(v)))
	}
	return b.String()
}

// arrows joins the names of a chain by arrows. It leaves out the middle of a long one.
func arrows(chain []string) string {
	const most = 12
	if n := len(chain); n > most {
		chain = append(slices.Clone(chain[:most-1]), "…", chain[n-1])
	}
	return strings.Join(chain, " → ")
}

// quote returns a text of the file in quotes, shortened for a message.
func quote(s string) string { return strconv.Quote(shorten(s)) }

// shorten cuts a text to 64 bytes.
func shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// escape returns s in one line, with escapes for control characters, bidirectional overrides
// and all other characters that are not printable.
func escape(s string) string {
	return termtext.Escape(strings.NewReplacer("\n", " ", "\t", " ").Replace(s))
}
