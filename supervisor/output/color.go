package output

import "tp0/supervisor/termtext"

// colorsStrip is the value of [Spec.Colors] that removes colors.
const colorsStrip = "strip"

// palette are the colors of prefixes, as SGR sequences. Red is the color of errors.
var palette = []string{
	"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m",
	"\x1b[96m", "\x1b[93m", "\x1b[92m", "\x1b[95m", "\x1b[94m",
}

// styleOf returns the style of the lines of a process at a destination. Only a terminal gets
// colors. A terminal without colors gets the lines as the child would have written them without.
func (set *sinkSet) styleOf(spec *Spec, to target) (s style) {
	if isTerminal(to) && spec.Format == formatText {
		s.colors = termtext.StripColors
		if set.opt.Color {
			s = style{termtext.KeepColors, set.prefixColor(spec.Child)}
		}
	}
	if spec.Colors == colorsStrip {
		s.colors = termtext.StripColors
	}
	return s
}

// isTerminal reports whether a target is a terminal.
func isTerminal(to target) bool {
	switch to := to.(type) {
	case *descriptor:
		return to.terminal
	case *logFile:
		return to.terminal
	default:
		return false
	}
}

// prefixColor returns the color of the prefix of a child. The children get the colors in the order
// of their first process, and keep them.
func (set *sinkSet) prefixColor(child string) string {
	set.mu.Lock()
	defer set.mu.Unlock()
	i, ok := set.colors[child]
	if !ok {
		i = len(set.colors)
		set.colors[child] = i
	}
	return palette[i%len(palette)]
}
