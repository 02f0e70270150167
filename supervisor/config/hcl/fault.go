package hclconfig

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"golang.org/x/text/width"

	"tp0/supervisor/termtext"
)

// Severity is the severity of a fault.
type Severity string

// The severities. A configuration with an error is rejected.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// source is one file of a configuration.
type source struct {
	name   string
	src    []byte    // see withoutMarks
	secret bool      // no line of the file is shown: the values of variables can be sensitive
	json   bool      // the file is JSON, not HCL's native syntax
	file   *hcl.File // nil if it cannot be parsed
}

// Fault is a fault of a configuration. Control characters in its texts are escaped, so the texts
// are safe for a terminal.
type Fault struct {
	Severity     Severity
	File         string
	Line, Column int // Column in characters; both count from 1, and are 0 without a position
	Summary      string
	Detail       string

	source     *source
	block      string  // the header of the enclosing block, such as `child "server"`
	start, end int     // bytes of the source
	until      hcl.Pos // the end of the range
	hidden     bool    // the source line can have a sensitive value
}

// Faults are all faults of a configuration, in the order of the files. Faults without a position
// come last. Faults is an error.
type Faults struct {
	list []Fault
}

// Error returns one line with the first fault and the number of the others.
func (f *Faults) Error() string {
	if len(f.list) == 0 {
		return "no faults"
	}
	first := f.list[0]
	text := first.Summary
	if first.Detail != "" {
		text += ": " + first.Detail
	}
	if first.Line > 0 {
		text = fmt.Sprintf("%s:%d:%d: %s", first.File, first.Line, first.Column, text)
	} else if first.File != "" {
		text = first.File + ": " + text
	}
	if more := len(f.list) - 1; more > 0 {
		text += fmt.Sprintf(" (and %s)", termtext.Count(more, "more fault", "more faults"))
	}
	return text
}

// Len returns the number of faults.
func (f *Faults) Len() int { return len(f.list) }

// List returns a copy of the faults.
func (f *Faults) List() []Fault { return slices.Clone(f.list) }

// Write prints each fault in the layout of HCL's diagnostics, with carets under the subject. It
// wraps text at width columns, and cuts longer source lines around the subject. A width of 0 or
// less disables the wrapping. Write escapes all text from the file, which HCL's writer does not.
// The error is that of w.
func (f *Faults) Write(w io.Writer, width int, color bool) error {
	for i := range f.list {
		var b bytes.Buffer
		f.list[i].render(&b, width, color)
		if _, err := w.Write(b.Bytes()); err != nil {
			return fmt.Errorf("cannot write faults: %w", err)
		}
	}
	return nil
}

// newFaults converts diagnostics. A diagnostic without one of the sources gets the first
// source.
func newFaults(sources []*source, diags hcl.Diagnostics) *Faults {
	faults := &Faults{}
	more := max(len(diags)-maxFaults, 0)
	diags = diags[:len(diags)-more]
	order := map[*source]int{}
	for i, s := range sources {
		order[s] = i
	}
	for _, d := range diags {
		from := sources[0]
		if d.Subject != nil {
			is := func(s *source) bool { return s.name == d.Subject.Filename }
			if i := slices.IndexFunc(sources, is); i >= 0 {
				from = sources[i]
			}
		}
		faults.list = append(faults.list, newFault(from, d))
	}
	slices.SortStableFunc(faults.list, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) {
			return b.Line - a.Line // faults with a position come first
		}
		return cmp.Or(order[a.source]-order[b.source], a.start-b.start)
	})
	if more > 0 {
		faults.list = append(faults.list, newFault(sources[0], fault(fileRange(sources[0].name),
			"Too many faults", "%d more faults are not shown.", more)))
	}
	return faults
}

func newFault(from *source, d *hcl.Diagnostic) Fault {
	detail := d.Detail
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	ft := Fault{
		Severity: SeverityError,
		File:     escape(from.name),
		Summary:  escape(d.Summary),
		Detail:   escape(detail),
		source:   from,
	}
	_, ft.hidden = d.Extra.(hidden)
	ft.hidden = ft.hidden || from.secret
	if d.Severity == hcl.DiagWarning {
		ft.Severity = SeverityWarning
	}
	if d.Subject != nil {
		ft.Line, ft.Column = d.Subject.Start.Line, d.Subject.Start.Column
		ft.start = min(max(d.Subject.Start.Byte, 0), len(from.src))
		ft.end = min(max(d.Subject.End.Byte, ft.start), len(from.src))
		ft.until = d.Subject.End
		ft.block = escape(enclosingBlock(from.file, ft.start))
	}
	return ft
}

// enclosingBlock returns the header of the block at a byte of the file, or "". HCL's own function
// searches from the start of the file, which takes minutes for many faults in many blocks.
func enclosingBlock(file *hcl.File, at int) string {
	if file == nil {
		return ""
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return ""
	}
	i, _ := slices.BinarySearchFunc(body.Blocks, at, func(b *hclsyntax.Block, at int) int {
		return b.Range().End.Byte - at
	})
	if i == len(body.Blocks) || body.Blocks[i].Range().Start.Byte > at {
		return ""
	}
	header, labels := body.Blocks[i].Type, body.Blocks[i].Labels
	for _, label := range labels[:min(len(labels), maxLabels)] {
		header += " " + quote(label)
	}
	if len(labels) > maxLabels {
		header += " …"
	}
	return header
}

// maxLabels is the number of labels of a header that a fault shows. No valid block has more.
const maxLabels = 3

func (ft *Fault) render(b *bytes.Buffer, columns int, color bool) {
	paint, reset := "", ""
	if color {
		paint, reset = "\x1b[31m", "\x1b[0m"
		if ft.Severity == SeverityWarning {
			paint = "\x1b[33m"
		}
	}
	title := "Error"
	if ft.Severity == SeverityWarning {
		title = "Warning"
	}
	fmt.Fprintf(b, "%s%s%s: %s\n\n", paint, title, reset, ft.Summary)
	if ft.Line > 0 {
		in := ""
		if ft.block != "" {
			in = ", in " + ft.block
		}
		fmt.Fprintf(b, "  on %s line %d%s:\n", ft.File, ft.Line, in)
		gutter := fmt.Sprintf("%4d: ", ft.Line)
		line, indent, carets := ft.snippet(columns - len(gutter))
		fmt.Fprintf(b, "%s%s\n", gutter, line)
		fmt.Fprintf(b, "%*s%s%s%s\n\n", len(gutter)+indent, "",
			paint, strings.Repeat("^", carets), reset)
	}
	if detail := ft.Detail; detail != "" {
		if columns > 0 {
			detail = termtext.Wrap(detail, columns)
		}
		fmt.Fprintf(b, "%s\n\n", detail)
	}
}

// snippet returns the source line of a fault, escaped and cut to width columns, with the column and
// the number of the carets. It reads only the part of the file that it returns, because a line can
// have megabytes.
func (ft *Fault) snippet(width int) (line string, indent, carets int) {
	if ft.hidden {
		return "(sensitive)", 0, 1
	}
	src := ft.source.src
	const most = 200 // columns if the width is unknown
	if width <= 0 || width > most {
		width = most
	}
	width = max(width, 20)

	var before []string
	at, full := ft.start, false
	for at > 0 && src[at-1] != '\n' {
		r, size := utf8.DecodeLastRune(src[:at])
		text, columns := cell(r, src[at-size:at])
		if indent+columns > width/2 {
			full = true
			break
		}
		before = append(before, text)
		indent += columns
		at -= size
	}
	slices.Reverse(before)
	if full {
		before = append([]string{"…"}, before...)
		indent++
	}

	var after strings.Builder
	used := indent
	for at = ft.start; at < len(src) && !lineEnds(src[at:]); {
		r, size := utf8.DecodeRune(src[at:])
		text, columns := cell(r, src[at:at+size])
		if used+columns > width-1 {
			after.WriteString("…")
			break
		}
		after.WriteString(text)
		used += columns
		if at < ft.end {
			carets += columns
		}
		at += size
	}
	return strings.Join(before, "") + after.String(), indent, max(carets, 1)
}

// lineEnds reports whether src begins with the end of a line.
func lineEnds(src []byte) bool {
	return src[0] == '\n' || len(src) > 1 && src[0] == '\r' && src[1] == '\n'
}

// cell returns a character in a form that is safe for a terminal, and the number of its columns.
func cell(r rune, raw []byte) (string, int) {
	switch {
	case r == '\t':
		return "    ", 4
	case r == '\ufeff':
		return "", 0 // the byte order mark at the start of a file; the lexer rejects it elsewhere
	case r == utf8.RuneError && len(raw) == 1:
		return fmt.Sprintf(`\x%02x`, raw[0]), 4
	case !strconv.IsPrint(r):
		text := termtext.Escape(string(raw))
		return text, len(text)
	case unicode.In(r, unicode.Mn, unicode.Me):
		return string(r), 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return string(r), 2
	}
	return string(r), 1
}
