package app

import (
	"context"
	"os"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/report"
)

// openReport opens the file of the report, if one is asked for. It is in the
// books while they are checked: its own close comes after the check, because
// the report has the outcome of that.
func (h *house) openReport() *report.File {
	path := h.report
	if path == "" {
		path = h.fleet.Config().Shutdown.Report
	}
	if path == "" {
		return nil
	}
	var file *report.File
	err := h.flush(func(ctx context.Context) (err error) {
		file, err = report.Create(ctx, path, h.book)
		return err
	}, 2*flushLeast)
	if err != nil {
		h.unreported(err)
	}
	return file
}

// reportMost is how long the reader of a pipe may hold up the end.
const reportMost = time.Second

func (h *house) writeReport(file *report.File) {
	if file == nil {
		return
	}
	cfg := h.fleet.Config()
	host, _ := os.Hostname()
	facts := report.Facts{Version: h.version, Host: host, Config: cfg.Path, Group: map[string]string{}, DependsOn: cfg.StoppedBefore()}
	complete, outcome := h.judge(1)
	facts.Complete, facts.Code = complete, h.code(outcome)
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			facts.Group[i.Name] = c.Name
		}
	}
	d := h.record.Document(facts)
	err := h.flush(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, reportMost)
		defer cancel()
		return file.Write(ctx, d)
	}, flushLeast)
	if err != nil {
		h.unreported(err)
	}
}

func (h *house) unreported(err error) {
	h.Emit(event.Warning{What: "report not written", Reason: err.Error()})
}
