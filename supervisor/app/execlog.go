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

// execFilter is the sink in front of the log of exec. It passes on what a person must act on,
// collects the leaks for --strict, and starts the stop of --term-after.
type execFilter struct{ *execution }

// Emit implements [event.Sink].
func (s *execFilter) Emit(e event.Event) {
	switch x := e.(type) {
	case event.Ready:
		s.termAfter()
	case event.NotReady:
		s.notReady = true
	case event.SignalSent:
		if x.Orphan != "" && x.Step == 1 && s.opt.Verbose == 0 {
			s.log.Emit(
				event.Leftover{
					What: "process", Number: x.Pid, Detail: x.Orphan + ", SIGTERM was sent",
				},
			)
			return
		}
	case event.Failed, event.UnexpectedEnd: // the exit code tells it
		return
	case event.Reaped:
		if s.opt.Verbose == 0 {
			return
		}
	case event.FDClosed:
		if x.By == event.ByKernel && x.NotCounted == "" && s.addLeak(leakOf(x)) {
			return
		}
	case event.Leftover:
		if s.addLeak(leak{x.Detail, "-", "process", fmt.Sprint("pid ", x.Number), ""}) {
			return
		}
	case event.ShutdownComplete:
		if s.opt.Strict && s.opt.Verbose == 0 {
			return // the last line of the table tells it
		}
	}
	s.log.Emit(e)
}

// addLeak adds a leak to the table, and reports whether the log needs no line for it.
func (s *execFilter) addLeak(r leak) bool {
	if !s.opt.Strict {
		return false
	}
	s.leaks = append(s.leaks, r)
	return s.opt.Verbose == 0
}

// termAfter starts the stop of --term-after when its time has passed.
func (s *execFilter) termAfter() {
	if s.opt.TermAfter >= 0 {
		s.termTimer = time.AfterFunc(s.opt.TermAfter, func() {
			s.guard.Arm()
			s.orchestrator.Signal(unix.SIGTERM)
		})
	}
}

// leakOf returns the row of a leaked descriptor.
func leakOf(e event.FDClosed) leak {
	process := e.Process
	if e.Process = ""; process == "" { // the column PROCESS tells it
		process = e.Owner
	}
	return leak{
		fmt.Sprintf("%s[%d]", process, e.Pid), strconv.Itoa(e.FD), e.Kind, e.Target,
		report.Notes(e),
	}
}

// writeLeaks prints the table of leaks, if there are any, and the verdict. Names come from the
// command, so they are escaped.
func writeLeaks(w io.Writer, left []leak, v event.Verdict, code int) {
	if len(left) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "PROCESS\tFD\tKIND\tTARGET\tNOTES")
		for _, r := range left {
			fmt.Fprintf(
				t, "%s\t%s\t%s\t%s\t%s\n", termtext.Escape(r.process), r.fd,
				termtext.Escape(r.kind), termtext.Escape(r.target), termtext.Escape(r.notes),
			)
		}
		_ = t.Flush()
	}
	fmt.Fprintf(w, "supervisor: verdict %s, %d left, exit code %d\n", v, len(left), code)
}
