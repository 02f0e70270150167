package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"tp0/supervisor/event"
	"tp0/supervisor/termtext"
)

// Text prints the document as tables, what a person must act on first.
func Text(w io.Writer, d *Document) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	why := d.Signal
	if why == "" {
		why = d.Reason
	}
	t.line("%s: exit code %d after %s of %s ms", d.Verdict, d.Code, num(d.Elapsed), num(d.Deadline))
	t.line("%s on %s at %s, supervisor %s, %s", why, d.Host, d.Began.Format("2006-01-02 15:04:05.000Z07:00"), d.Supervisor, d.Config)
	t.left(d)
	t.warnings(d)
	t.budget(d)
	t.children(d)
	t.orphans(d)
	b := d.Balance
	t.head("BALANCE", "", "")
	t.row("runs", fmt.Sprintf("%d spawned, %d reaped, %d killed, %d orphans", b.Spawned, b.Reaped, b.Killed, b.Orphans))
	t.row("supervisor's descriptors", fmt.Sprintf("%d opened, %d closed", b.Opened, b.Closed))
	t.row("children's descriptors", fmt.Sprintf("%d left to the kernel", b.Left))
	if d.Omitted > 0 {
		t.line("\n%d entries are not in the report: there were too many.", d.Omitted)
	}
	return t.flush()
}

// table prints sections, each with columns of its own.
type table struct {
	w   *tabwriter.Writer
	err error
}

func (t *table) flush() error {
	if err := t.w.Flush(); t.err == nil {
		t.err = err
	}
	return t.err
}

func (t *table) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = shown(s)
		}
	}
	_ = t.flush()
	fmt.Fprintf(t.w, format+"\n", args...)
	_ = t.flush()
}

func (t *table) head(columns ...string) {
	_ = t.flush()
	fmt.Fprintln(t.w)
	t.row(columns...)
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = shown(c)
	}
	fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

func (t *table) left(d *Document) {
	first := true
	for _, c := range d.Children {
		for _, f := range counted(c.Left) {
			if first {
				t.head("LEFT OPEN BY", "PID", "FD", "KIND", "PROOF", "TARGET")
				first = false
			}
			t.row(c.Child, strconv.Itoa(or(f.Pid, c.Pid)), strconv.Itoa(f.FD), f.Kind, string(f.Proof), strings.Join(append([]string{f.Target}, f.notes()...), ", "))
		}
	}
}

func (t *table) warnings(d *Document) {
	if len(d.Warnings) > 0 {
		t.head("WARNING", "AT MS", "ABOUT", "REASON")
	}
	for _, m := range d.Warnings {
		t.row(m.What, num(m.At), m.Child, m.Why)
	}
}

func (t *table) budget(d *Document) {
	t.head("WHO TOOK THE TIME", "PID", "MS", "SHARE", "SIGNALS")
	for _, s := range totals(d.Budget) {
		t.row(s.Who, number(s.Pid), num(s.Took), fmt.Sprintf("%.1f %%", 100*s.Share), number(s.Steps))
	}
}

func (t *table) children(d *Document) {
	if len(d.Children) > 0 {
		t.head("CHILD", "PID", "SIGNALS", "AT MS", "STOP MS", "END", "CLOSED", "LEFT", "PROOF")
	}
	for _, c := range d.Children {
		t.row(c.Child, strconv.Itoa(c.Pid), signals(c.Steps), first(c.Steps), maybe(c.Stop), end(c.Exit), strconv.Itoa(c.ClosedN), strconv.Itoa(c.LeftN), string(c.Proof))
		for _, p := range c.Processes {
			t.row("  "+p.Command, strconv.Itoa(p.Pid), "", "", "", fate(p.Exit), strconv.Itoa(p.ClosedN), strconv.Itoa(p.LeftN), string(p.Proof))
		}
	}
	if len(d.Before) > 0 {
		t.head("ENDED BEFORE", "PID", "END")
	}
	for _, b := range d.Before {
		t.row(b.Child, strconv.Itoa(b.Pid), b.Exit.String())
	}
}

func (t *table) orphans(d *Document) {
	if len(d.Orphans) > 0 {
		t.head("ORPHAN", "PID", "SIGNALS", "AT MS", "ENDED MS", "END")
	}
	for _, o := range d.Orphans {
		t.row(o.Command, strconv.Itoa(o.Pid), signals(o.Steps), first(o.Steps), maybe(o.Ended), end(o.Exit))
	}
}

// Notes says what else an event knows of a descriptor, in words.
func Notes(e event.FDClosed) string { return strings.Join(fdOf(e).notes(), ", ") }

// notes says what else is known of a descriptor.
func (f FD) notes() (n []string) {
	if f.State != "" {
		n = append(n, f.State)
	}
	if f.Mode != "" {
		n = append(n, "mode "+f.Mode)
	}
	if f.Unread > 0 {
		n = append(n, fmt.Sprintf("%d bytes unread", f.Unread))
	}
	if f.Unsent > 0 {
		n = append(n, fmt.Sprintf("%d bytes unsent", f.Unsent))
	}
	if f.Lock != "" {
		n = append(n, "lock "+f.Lock)
	}
	if f.Deleted {
		n = append(n, "deleted")
	}
	if f.Process != "" {
		n = append(n, "by "+f.Process)
	}
	if f.HeldBy != "" {
		n = append(n, "held by "+f.HeldBy)
	}
	return n
}

func signals(steps []Step) string {
	names := make([]string, len(steps))
	for i, r := range steps {
		names[i] = short(r.Signal)
	}
	return strings.Join(names, " ")
}

func short(signal string) string { return strings.TrimPrefix(signal, "SIG") }

func first(steps []Step) string {
	if len(steps) == 0 {
		return ""
	}
	return num(steps[0].At)
}

// end is how a run or an orphan ended.
func end(e *event.Exit) string {
	if e == nil {
		return "survived"
	}
	return e.String()
}

// fate is how a process below a run ended, if somebody saw it.
func fate(e *event.Exit) string {
	if e == nil {
		return "unseen"
	}
	return e.String()
}

func maybe(ms *float64) string {
	if ms == nil {
		return ""
	}
	return num(*ms)
}

func or(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// num is a time as a person reads it: three digits say enough.
func num(ms float64) string {
	switch {
	case ms >= 100 || ms <= -100 || ms == float64(int64(ms)):
		return strconv.FormatFloat(ms, 'f', 0, 64)
	case ms >= 10 || ms <= -10:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 2, 64)
}

// shown escapes what a terminal would act upon; anybody may have chosen the
// text.
func shown(s string) string {
	return termtext.Escape(strings.ReplaceAll(s, "\n", " ⏎ "))
}
