package app

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/event"
	"tp0/supervisor/findings"
	"tp0/supervisor/limits"
	"tp0/supervisor/verb"
	"tp0/supervisor/watch"
)

// loadResult is the result of a load.
type loadResult struct {
	cfg     *config.Config
	sources *watch.Sources // the files that were read; nil: --watch is not set
	doubts  []error        // files that other users can change
	err     error
}

// load loads the configuration. It blocks as long as the file system does.
func (a *app) load(o verb.RunOptions) (l loadResult) {
	a.pendingLoads.Add(1)
	defer a.pendingLoads.Add(-1)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		l.err = fmt.Errorf("cannot read the limit of open files: %w", err)
		return l
	}
	opt := hclconfig.Options{
		Files: a.files, Environ: os.Environ(), Only: o.Only, NoFile: limit.Cur,
		Vars: o.Vars, VarFiles: o.VarFiles, Streams: &a.streams, RefuseDoubts: o.StrictConfig,
		OnDoubt: func(path string, reasons []string) {
			l.doubts = append(l.doubts, fmt.Errorf("%s can be changed by other users: %s", path,
				strings.Join(reasons, "; ")))
		},
	}
	if o.Watch {
		l.sources = watch.NewSources(a.files)
		opt.OnRead, opt.OnList = l.sources.AddFile, l.sources.AddDirectory
	}
	if l.cfg, l.err = hclconfig.Load(o.Config, opt); l.err == nil {
		setFindings(&l.cfg.Shutdown.Findings, o.Findings)
		l.cfg.Log.Level = cmp.Or(o.LogLevel, l.cfg.Log.Level)
		l.cfg.Log.Format = cmp.Or(o.LogFormat, l.cfg.Log.Format)
	}
	return l
}

// warnOfDoubts logs which files of a configuration other users can change.
func (a *app) warnOfDoubts(doubts []error) {
	for _, err := range doubts {
		a.Emit(event.Warning{What: "configuration not protected", Reason: err.Error()})
	}
}

// setFindings applies --findings and --allow to the policy of the file.
func setFindings(p *findings.Policy, flags findings.Policy) {
	if flags.Level != "" {
		p.Level = flags.Level
	}
	p.Allow = append(p.Allow, flags.Allow...)
}

// reload loads the configuration again for a reload. The text of its error is for the log.
func (a *app) reload(o verb.RunOptions) (*config.Config, error) {
	if err := checkRepeatable(o); err != nil {
		return nil, err
	}
	l := a.load(o)
	a.warnOfDoubts(l.doubts)
	if l.sources != nil && a.watcher != nil {
		a.watcher.SetSources(l.sources, l.err != nil)
	}
	if l.err == nil {
		l.err = a.reserveThreads(l.cfg)
	}
	if l.err == nil {
		l.err = a.observation.endpoint.Prepare(l.cfg.Metrics.Listen)
	}
	if l.err != nil {
		return nil, errors.New(faultText(l.err))
	}
	return l.cfg, nil
}

// loadAgain loads the configuration again and applies nothing.
func (a *app) loadAgain(o verb.RunOptions) (*config.Config, error) {
	if err := checkRepeatable(o); err != nil {
		return nil, err
	}
	l := a.load(o)
	if l.err != nil {
		return nil, errors.New(faultText(l.err))
	}
	return l.cfg, nil
}

// checkRepeatable returns an error if the configuration cannot be read twice.
func checkRepeatable(o verb.RunOptions) error {
	if _, once := hclconfig.Stream(o.Config); once {
		return fmt.Errorf("the configuration was read from %s, a pipe, which cannot be read "+
			"again. Use a file if you need reloads", o.Config)
	}
	return nil
}

// faultText returns the text of an error of a load, with all faults of the configuration.
func faultText(err error) string {
	var faults *hclconfig.Faults
	if !errors.As(err, &faults) {
		return err.Error()
	}
	var text strings.Builder
	_ = faults.Write(&text, 0, false)
	return text.String()
}

// reserveThreads reserves the threads that a new configuration needs.
func (a *app) reserveThreads(cfg *config.Config) error {
	needs := threadNeedsOf(cfg, a.threadNeeds)
	if err := limits.ReserveMore(a.threadNeeds, needs); err != nil {
		return err
	}
	a.threadNeeds = needs
	return nil
}

// threadNeedsOf returns needs with those of a configuration added.
func threadNeedsOf(cfg *config.Config, needs limits.ThreadNeeds) limits.ThreadNeeds {
	needs.Metrics = needs.Metrics || cfg.Metrics.Listen != ""
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			l := &i.Launch
			needs.Notify = needs.Notify || l.Ready != nil && l.Ready.Notify
			for _, dest := range []string{l.Logs.Stdout, l.Logs.Stderr} {
				isFile := dest != "stdout" && dest != "stderr" && dest != "none"
				needs.LogFiles = needs.LogFiles || isFile
			}
		}
	}
	return needs
}

// configEdited starts a reload. The watcher calls it when a file of the configuration changed.
func (a *app) configEdited() {
	a.Emit(event.ConfigEdited{})
	a.orchestrator.Reload()
}
