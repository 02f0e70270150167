package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text prints the document as tables: first what a person must act on.
func Text(w io.Writer, d *Document) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	why := d.Signal
	if why == "" {
		why = d.Reason
	}
	t.line(
		"%s: exit code %d after %s of %s ms", d.Verdict, d.Code, formatMS(d.Elapsed),
		formatMS(d.Deadline),
	)
	t.line(
		"%s on %s at %s, supervisor %s, %s", why, d.Host,
		d.Began.Format("2006-01-02 15:04:05.000Z07:00"), d.Supervisor, d.Config,
	)
	t.left(d)
	t.warnings(d)
	t.budget(d)
	t.children(d)
	t.orphans(d)
	b := d.Balance
	t.head("BALANCE", "", "")
	t.row(
		"runs",
		fmt.Sprintf(
			"%d spawned, %d reaped, %d killed, %d orphans", b.Spawned, b.Reaped, b.Killed,
			b.Orphans,
		),
	)
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
			args[i] = escaped(s)
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
		cells[i] = escaped(c)
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
			t.row(
				c.Child, strconv.Itoa(or(f.Pid, c.Pid)), strconv.Itoa(f.FD), f.Kind,
				string(f.Proof), strings.Join(append([]string{f.Target}, f.notes()...), ", "),
			)
		}
	}
}

func (t *table) warnings(d *Document) {
	if len(d.Warnings) > 0 {
		t.head("WARNING", "AT MS", "ABOUT", "REASON")
	}
	for _, m := range d.Warnings {
		t.row(m.What, formatMS(m.At), m.Child, m.Why)
	}
}

func (t *table) budget(d *Document) {
	t.head("WHO TOOK THE TIME", "PID", "MS", "SHARE", "SIGNALS")
	for _, s := range totals(d.Budget) {
		t.row(
			s.Who, number(s.Pid), formatMS(s.Took), fmt.Sprintf(
				"%.1f %%", 100*s.Share,
			), number(s.Steps),
		)
	}
}

func (t *table) children(d *Document) {
	if len(d.Children) > 0 {
		t.head("CHILD", "PID", "SIGNALS", "AT MS", "STOP MS", "END", "CLOSED", "LEFT", "PROOF")
	}
	for _, c := range d.Children {
		t.row(
			c.Child, strconv.Itoa(c.Pid), signals(c.Steps), first(c.Steps), maybe(c.Stop),
			end(c.Exit), strconv.Itoa(c.ClosedN), strconv.Itoa(c.LeftN), string(c.Proof),
		)
		for _, p := range c.Processes {
			t.row(
				"  "+p.Command, strconv.Itoa(p.Pid), "", "", "", fate(p.Exit),
				strconv.Itoa(p.ClosedN), strconv.Itoa(p.LeftN), string(p.Proof),
			)
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
		t.row(
			o.Command, strconv.Itoa(o.Pid), signals(o.Steps), first(o.Steps), maybe(o.Ended),
			end(o.Exit),
		)
	}
}
