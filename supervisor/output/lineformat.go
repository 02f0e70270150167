package output

import (
	"tp0/supervisor/output/retain"
	"tp0/supervisor/termtext"
)

// A LineFormat formats lines in memory as they are in a log file.
type LineFormat struct {
	form    func(retain.Line) *formatter
	streams map[printer]*formatter
}

// printer is what printed a line of an instance.
type printer struct {
	hook   retain.Hook
	stream retain.Stream
}

// NewLineFormat returns the format of the lines of an instance. timed says that lines of the format
// text have the time.
func NewLineFormat(format, colors, instance string, timed bool) *LineFormat {
	var s style
	if colors == colorsStrip {
		s.colors = termtext.StripColors
	}
	form := func(l retain.Line) *formatter {
		from := &Spec{Instance: instance, Hook: l.Hook.String()}
		return newFormatter(format, from, l.Stream.String(), s, func() bool { return timed })
	}
	return &LineFormat{form, map[printer]*formatter{}}
}

// Format appends a line with its end.
func (f *LineFormat) Format(dst []byte, l retain.Line) []byte {
	of := printer{l.Hook, l.Stream}
	if f.streams[of] == nil {
		f.streams[of] = f.form(l)
	}
	form, end := f.streams[of], newline
	if l.Partial {
		end = more
	}
	form.stamp(l.At)
	return form.append(dst, l.Text, end)
}
