package check

import (
	"fmt"
	"strings"
	"time"
)

// picture returns an SVG of the nested times of one child.
func picture(n times) string {
	const width, left, right, top, row = 820, 150, 30, 46, 44
	total := n.grace + n.grace/12
	x := func(d time.Duration) float64 {
		return left + float64(d)/float64(total)*(width-left-right)
	}
	var w strings.Builder
	height := top + 4*row + 40
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" `+
		`font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&w, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	line := func(at time.Duration, colour, label string) {
		fmt.Fprintf(&w,
			`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-dasharray="4 3"/>`+"\n",
			x(at), top-14, x(at), top+4*row+4, colour)
		fmt.Fprintf(&w, `<text x="%.1f" y="%d" text-anchor="middle" fill="%s">%s</text>`+"\n",
			x(at), top-20, colour, label)
	}
	line(0, "#555555", "leaves the service")
	line(n.before, "#0a7d4b", "SIGTERM")
	line(n.grace, "#c23b22", "SIGKILL by the engine")
	bar := func(i int, name string, from, to time.Duration, colour, text string) {
		y := top + i*row
		fmt.Fprintf(&w, `<text x="%d" y="%d" text-anchor="end" fill="#222222">%s</text>`+"\n",
			left-12, y+19, name)
		fmt.Fprintf(&w, `<rect x="%.1f" y="%d" width="%.1f" height="28" rx="4" fill="%s"/>`+"\n",
			x(from), y, x(to)-x(from), colour)
		fmt.Fprintf(&w, `<text x="%.1f" y="%d" fill="#111111">%s</text>`+"\n", x(from)+8, y+19,
			text)
	}
	bar(0, "the engine", 0, n.grace, "#f3d3cc",
		fmt.Sprintf("grace %v, of it %v before the signal", n.grace, n.before))
	bar(1, "the supervisor", n.before, n.before+n.deadline, "#fbe7bf",
		fmt.Sprintf("deadline %v", n.deadline))
	bar(2, n.child, n.before, n.before+n.kill, "#cfe6da",
		fmt.Sprintf("kill_timeout %v, then SIGKILL", n.kill))
	bar(3, "its program", n.before, n.before+n.drain, "#9ad1b6", fmt.Sprintf("drain %v", n.drain))
	fmt.Fprintf(&w, `<text x="%d" y="%d" text-anchor="end" fill="#555555">seconds</text>`+"\n",
		left-12, height-14)
	for s := time.Duration(0); s <= n.grace; s += 3 * time.Second {
		fmt.Fprintf(&w,
			`<text x="%.1f" y="%d" text-anchor="middle" fill="#555555">%.0f</text>`+"\n", x(s),
			height-14, s.Seconds())
	}
	w.WriteString("</svg>\n")
	return w.String()
}
