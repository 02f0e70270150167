package app

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/report"
	"tp0/supervisor/termtext"
)

// execFilter is the sink in front of the log of exec. It passes on the events that a person must
// act on, collects the rows of the table of --strict, and starts the stop of --term-after.
type execFilter struct{ *execution }

// Emit implements [event.Sink].
func (s *execFilter) Emit(e event.Event) {
	switch x := e.(type) {
	case event.Spawned:
		s.signals.catchLate()
		// The supervisor keeps no mount busy. A relative path of the report is absolute by now.
		_ = os.Chdir("/")
	case event.SignalNotHandled:
		if s.app.atTerminal && s.opt.Verbose == 0 && x.Disposition == "ignored" {
			return // an interactive shell ignores SIGTERM
		}
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
	case event.Failed, event.UnexpectedEnd: // the exit code says it
		return
	case event.Reaped:
		if s.opt.Verbose == 0 {
			return
		}
	case event.FDClosed:
		if x.Finding != "" && s.addRow(rowOf(x)) {
			return
		}
	case event.Leftover:
		left := row{
			process: x.Detail, fd: "-", kind: "process", target: fmt.Sprint("pid ", x.Number),
			finding: "-",
		}
		if s.addRow(left) {
			return
		}
	case event.ShutdownComplete:
		s.unproven = x.UnprovenNames
		if s.opt.Strict && s.opt.Verbose == 0 {
			return // the last line of the table says it
		}
	}
	s.log.Emit(e)
}

// addRow adds a row to the table, and reports whether the log needs no line for it.
func (s *execFilter) addRow(r row) bool {
	if !s.opt.Strict {
		return false
	}
	s.rows = append(s.rows, r)
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

// rowOf returns the row of a finding.
func rowOf(e event.FDClosed) row {
	process := e.Process
	if e.Process = ""; process == "" { // the column PROCESS has it
		process = e.Owner
	}
	return row{
		process: fmt.Sprintf("%s[%d]", process, e.Pid), fd: strconv.Itoa(e.FD), kind: e.Kind,
		target: e.Target, finding: e.Finding, notes: report.Notes(e),
		advice: e.Harm + ": " + e.Advice,
	}
}

// maxAdvice is the number of sentences below the table.
const maxAdvice = 10

// writeTable prints the table of --strict if it has rows, then each advice once, then the verdict.
// Two descriptors of one file or socket have the same advice. Names are escaped, because the
// command can choose them.
func writeTable(w io.Writer, rows []row, unproven []string, v event.Verdict, code int) {
	if len(rows) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "PROCESS\tFD\tKIND\tTARGET\tFINDING\tNOTES")
		for _, r := range rows {
			fmt.Fprintf(
				t, "%s\t%s\t%s\t%s\t%s\t%s\n", termtext.Escape(r.process), r.fd,
				termtext.Escape(r.kind), termtext.Escape(r.target), r.finding,
				termtext.Escape(r.notes),
			)
		}
		_ = t.Flush()
	}
	found, explained := 0, map[string]bool{}
	for _, r := range rows {
		if r.advice == "" {
			continue
		}
		if found++; len(explained) < maxAdvice && !explained[r.advice] {
			explained[r.advice] = true
			fmt.Fprintf(w, "supervisor: %s\n", termtext.Escape(r.advice))
		}
	}
	if len(unproven) > 0 {
		names := termtext.Escape(strings.Join(unproven, ", "))
		fmt.Fprintf(w, "supervisor: without an exact proof: %s\n", names)
	}
	noun := "findings"
	if found == 1 {
		noun = "finding"
	}
	fmt.Fprintf(w, "supervisor: verdict %s, %d %s, exit code %d\n", v, found, noun, code)
}
