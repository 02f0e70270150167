package app

import (
	"context"
	"os"
	"time"

	"tp0/supervisor/config/plan"
	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/report"
)

// result returns the last event and the result of the stop. openFDs is the number of descriptors
// that the supervisor closes later. They count as closed.
func (a *app) result(openFDs int) (event.ShutdownComplete, fdledger.Result) {
	outcome, complete := a.orchestrator.Result(), a.orchestrator.Summary()
	complete.Opened, complete.Closed = a.ledger.Counts()
	complete.Closed += openFDs
	complete.LinesDropped = a.lostLines.Load()
	outcome.Strict = outcome.Strict || a.strict
	outcome.Fault = outcome.Fault || a.failed || complete.Opened != complete.Closed
	complete.Verdict, complete.Strict = outcome.Verdict(), outcome.Strict
	return complete, outcome
}

// lastLineReserve is the end of the deadline, which is reserved for the last line. A flush takes
// this time at most if the deadline has passed.
const lastLineReserve = 50 * time.Millisecond

// flush calls do with a context that ends reserve before the deadline, and not before
// lastLineReserve from now.
func (a *app) flush(do func(context.Context) error, reserve time.Duration) error {
	until := a.orchestrator.Deadline().Add(-reserve)
	if least := time.Now().Add(lastLineReserve); until.Before(least) {
		until = least
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	return do(ctx)
}

// openReport opens the file of the report. It returns nil if no report is configured or its file
// cannot be opened. The ledger is checked
// while the file is open, because the report has the result of the check.
func (a *app) openReport() *report.File {
	path := a.reportPath
	if path == "" {
		path = a.orchestrator.Config().Shutdown.Report
	}
	if path == "" {
		return nil
	}
	var file *report.File
	err := a.flush(func(ctx context.Context) (err error) {
		file, err = report.Create(ctx, path, a.ledger)
		return err
	}, 2*lastLineReserve)
	if err != nil {
		a.warnReport(err)
	}
	return file
}

// reportTimeout limits the write of the report: its file can be a pipe without a reader.
const reportTimeout = time.Second

// writeReport writes the report and closes its file. A nil file is no report. openFDs is as for
// result.
func (a *app) writeReport(file *report.File, openFDs int) {
	if file == nil {
		return
	}
	cfg := a.orchestrator.Config()
	host, _ := os.Hostname()
	facts := report.Facts{
		Version: a.version, Host: host, Config: cfg.Path, Group: map[string]string{},
		DependsOn: plan.StoppedBefore(cfg),
	}
	complete, outcome := a.result(openFDs)
	facts.Complete, facts.Code = complete, a.exitCode(outcome)
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			facts.Group[i.Name] = c.Name
		}
	}
	d := a.recorder.Report(facts)
	err := a.flush(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, reportTimeout)
		defer cancel()
		return file.Write(ctx, d)
	}, lastLineReserve)
	if err != nil {
		a.warnReport(err)
	}
}

// warnReport logs why no report was written.
func (a *app) warnReport(err error) {
	a.Emit(event.Warning{What: "report not written", Reason: err.Error()})
}

// openTerminationLog opens the file for the summary of the stop. It returns nil if that file does
// not exist or cannot be opened.
func (a *app) openTerminationLog() (l *terminationLog) {
	_ = a.flush(func(ctx context.Context) error {
		l = openTerminationLog(ctx, a.terminationLog, a.ledger)
		return nil
	}, 2*lastLineReserve)
	return l
}

// writeTerminationLog writes the summary of the stop. A nil l is no file.
func (a *app) writeTerminationLog(l *terminationLog) {
	if l == nil {
		return
	}
	complete, _ := a.result(1)
	if err := a.flush(func(ctx context.Context) error {
		return l.write(ctx, complete)
	}, lastLineReserve); err != nil {
		a.Emit(event.Warning{What: "termination log not written", Reason: err.Error()})
	}
}
