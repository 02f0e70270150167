package hclconfig

import (
	"strings"
)

// Diagnostic is a [Fault] for a program, such as an editor. It has the JSON form of
// terraform validate -json.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Range    *Range   `json:"range,omitempty"` // nil if the fault has no position
	Snippet  *Snippet `json:"snippet,omitempty"`
}

// Range is a part of a file, from Start up to but not including End.
type Range struct {
	Filename string   `json:"filename"`
	Start    Position `json:"start"`
	End      Position `json:"end"`
}

// Position is a place in a file.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"` // in characters; line and column count from 1
	Byte   int `json:"byte"`   // counts from 0
}

// Snippet is the first line of a range, as [Faults.Write] shows it.
type Snippet struct {
	Context string `json:"context,omitempty"` // the header of the enclosing block
	Code    string `json:"code"`
}

// Diagnostics returns the faults in the order of [Faults.List].
func (f *Faults) Diagnostics() []Diagnostic {
	list := make([]Diagnostic, 0, len(f.list))
	for i := range f.list {
		ft := &f.list[i]
		d := Diagnostic{
			Severity: ft.Severity, Summary: ft.Summary, Detail: strings.TrimSpace(ft.Detail),
		}
		if ft.Line > 0 {
			line, _, _ := ft.snippet(0)
			d.Range = &Range{
				Filename: ft.source.name,
				Start:    Position{ft.Line, ft.Column, ft.start},
				End:      Position{ft.until.Line, ft.until.Column, ft.end},
			}
			d.Snippet = &Snippet{ft.block, line}
		}
		list = append(list, d)
	}
	return list
}
