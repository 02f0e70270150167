package output

import (
	"tp0/supervisor/output/retain"
	"tp0/supervisor/termtext"
)

// A LineFormat formats lines in memory as they are in a log file.
type LineFormat struct{ streams [2]*formatter }

// NewLineFormat returns the format of the lines of an instance. timed says that lines of the format
// text have the time.
func NewLineFormat(format, colors, instance string, timed bool) *LineFormat {
	var f LineFormat
	var s style
	if colors == colorsStrip {
		s.colors = termtext.StripColors
	}
	for i := range f.streams {
		name := retain.Stream(i).String()
		f.streams[i] = newFormatter(format, instance, name, s, func() bool { return timed })
	}
	return &f
}

// Format appends a line with its end.
func (f *LineFormat) Format(dst []byte, l retain.Line) []byte {
	form, end := f.streams[l.Stream], newline
	if l.Partial {
		end = more
	}
	form.stamp(l.At)
	return form.append(dst, l.Text, end)
}
