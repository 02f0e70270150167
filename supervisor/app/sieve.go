package app

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/report"
	"tp0/supervisor/termtext"
)

// sieve stands before the journal of exec: it lets through what somebody must
// act upon, and takes the moments that --term-after waits for.
type sieve struct{ *execution }

func (s *sieve) Emit(e event.Event) {
	switch x := e.(type) {
	case event.Ready:
		s.termAfter()
	case event.NotReady:
		s.unready = true
	case event.SignalSent:
		if x.Orphan != "" && x.Step == 1 && s.opt.Verbose == 0 {
			s.journal.Emit(event.Leftover{What: "process", Number: x.Pid, Detail: x.Orphan + ", which is told to end"})
			return
		}
	case event.Failed, event.UnexpectedEnd: // the exit code says it
		return
	case event.Reaped:
		if s.opt.Verbose == 0 {
			return
		}
	case event.FDClosed:
		if x.By == event.ByKernel && x.NotCounted == "" && s.keep(descriptor(x)) {
			return
		}
	case event.Leftover:
		if s.keep(remainder{x.Detail, "-", "process", fmt.Sprint("pid ", x.Number), ""}) {
			return
		}
	case event.ShutdownComplete:
		if s.opt.Strict && s.opt.Verbose == 0 {
			return // the last line of the table says it
		}
	}
	s.journal.Emit(e)
}

// keep keeps something that was left for the table, and reports whether that is
// enough.
func (s *sieve) keep(r remainder) bool {
	if !s.opt.Strict {
		return false
	}
	s.left = append(s.left, r)
	return s.opt.Verbose == 0
}

// termAfter begins the stop that was asked for on the command line.
func (s *sieve) termAfter() {
	if s.opt.TermAfter >= 0 {
		s.timer = time.AfterFunc(s.opt.TermAfter, func() {
			s.guard.Arm()
			s.fleet.Signal(unix.SIGTERM)
		})
	}
}

// remainder is something that the command left: a line of the table.
type remainder struct{ process, fd, kind, target, notes string }

func descriptor(e event.FDClosed) remainder {
	process := e.Process
	if e.Process = ""; process == "" { // it has a column of its own
		process = e.Owner
	}
	return remainder{fmt.Sprintf("%s[%d]", process, e.Pid), strconv.Itoa(e.FD), e.Kind, e.Target, report.Notes(e)}
}

// table writes the table of what was left, if anything was, and how it all
// ended. Names are the command's own: what a terminal would act upon is quoted.
func table(w io.Writer, left []remainder, v event.Verdict, code int) {
	if len(left) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "PROCESS\tFD\tKIND\tTARGET\tNOTES")
		for _, r := range left {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", termtext.Escape(r.process), r.fd, termtext.Escape(r.kind), termtext.Escape(r.target), termtext.Escape(r.notes))
		}
		_ = t.Flush()
	}
	fmt.Fprintf(w, "supervisor: verdict %s, %d left, exit code %d\n", v, len(left), code)
}
