// Package metrics counts facts, and writes the counts and the state of all instances in the text
// format of Prometheus. Nothing is read or computed until a scrape asks, and nothing is counted
// while the configuration has no metrics block.
package metrics

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
)

// Options are the sources of what is read at a scrape. Any goroutine may call the functions.
type Options struct {
	Version string
	// Status returns the state of all instances, with what their process trees use.
	Status func(context.Context) (api.Status, error)
	// Own returns what the supervisor itself uses, or nil.
	Own func() *api.Usage
	// Output returns what was relayed of standard output and standard error, by instance.
	Output func() map[string][2]Output
	// LinesLost returns the number of lines that were not delivered.
	LinesLost func() uint64
}

// Metrics is a sink of events.
type Metrics struct {
	opt      Options
	enabled  atomic.Bool
	scraping chan struct{} // full while a scrape is under way

	mu        sync.Mutex
	instances map[string]*instance // of the last two configurations
	inForce   map[string]bool      // those of the configuration in force
	durations *histograms          // of stops, in seconds
	ratios    *histograms          // of stops, as a share of their timeout
	orphans   uint64
	bytesLost uint64
	reloads   reloads
}

// New returns metrics that count nothing until Configure.
func New(opt Options) *Metrics {
	m := &Metrics{opt: opt, scraping: make(chan struct{}, 1)}
	m.reloads = reloads{results: newTally(reloadResults), success: time.Now()}
	return m
}

// Configure applies a configuration. The counts of an instance that was removed are kept until the
// next scrape after its end, or until the next configuration.
func (m *Metrics) Configure(cfg *config.Config) {
	m.mu.Lock()
	defer m.mu.Unlock()
	enabled := cfg.Metrics.Listen != ""
	if !enabled || !m.enabled.Load() {
		m.instances, m.inForce = map[string]*instance{}, nil
		m.durations, m.ratios = newHistograms(&stopDuration, durationBounds),
			newHistograms(&stopRatio, ratioBounds)
		m.orphans, m.bytesLost, m.reloads.results = 0, 0, newTally(reloadResults)
	}
	m.enabled.Store(enabled)
	if !enabled {
		return
	}
	before := m.inForce
	m.inForce = map[string]bool{}
	for _, spec := range cfg.Instances() {
		m.inForce[spec.Name] = true
		if i := m.instances[spec.Name]; i == nil || i.child != spec.Child {
			m.instances[spec.Name] = newInstance(spec.Child)
		}
	}
	m.keep(before)
}

// keep forgets all instances but those of the configuration in force and those named.
func (m *Metrics) keep(names map[string]bool) {
	children := map[string]bool{}
	for name, i := range m.instances {
		if !m.inForce[name] && !names[name] {
			delete(m.instances, name)
			continue
		}
		children[i.child] = true
	}
	m.durations.keep(children)
	m.ratios.keep(children)
}

// Emit implements [event.Sink].
func (m *Metrics) Emit(e event.Event) {
	if !m.enabled.Load() {
		m.noteReload(e)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e := e.(type) {
	case event.OrphanReaped:
		m.orphans++
	case event.OutputDropped:
		m.bytesLost += e.Bytes
	case event.ConfigReloaded:
		m.reloads.add("success")
	case event.ConfigRejected:
		m.reloads.add("rejected")
	case event.ReloadIgnored:
		m.reloads.add("ignored")
	case event.Reaped:
		m.observeStop(e)
	}
	if i := m.instances[instanceOf(e)]; i != nil {
		i.emit(e)
	}
}

// noteReload notes the success of a reload while nothing is counted: a later scrape shows it.
func (m *Metrics) noteReload(e event.Event) {
	if _, ok := e.(event.ConfigReloaded); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.reloads.failed, m.reloads.success = false, time.Now()
	}
}

// observeStop adds a stop to the histograms.
func (m *Metrics) observeStop(e event.Reaped) {
	i := m.instances[e.Child]
	if i == nil || !e.Stopped {
		return
	}
	m.durations.observe(i.child, e.Stop.Seconds())
	if e.Timeout > 0 {
		m.ratios.observe(i.child, e.Stop.Seconds()/e.Timeout.Seconds())
	}
}

// instanceOf returns the name of the instance that an event is about, if such events are counted.
func instanceOf(e event.Event) string {
	switch e := e.(type) {
	case event.Spawned:
		return e.Child
	case event.SpawnFailed:
		return e.Child
	case event.Restarting:
		return e.Child
	case event.SignalSent:
		return e.Child
	case event.FDClosed:
		return e.Owner
	case event.FDLeakSuspected:
		return e.Child
	case event.FDLimitNear:
		return e.Child
	case event.HookStarted:
		return e.Child
	case event.HookEnded:
		return e.Child
	case event.HookNotStarted:
		return e.Child
	case event.Reaped:
		return e.Child
	}
	return ""
}

// CountCheck counts an attempt of a check.
func (m *Metrics) CountCheck(name, check string, r event.CheckResult) {
	if !m.enabled.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.instances[name]; i != nil {
		i.addCheck(check, r)
	}
}

// Scrape reads all values. write writes them in the text format of Prometheus. One call reads at a
// time; the others wait, as long as ctx lasts.
func (m *Metrics) Scrape(ctx context.Context) (write func(io.Writer) error, err error) {
	select {
	case m.scraping <- struct{}{}:
		defer func() { <-m.scraping }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	status, err := m.opt.Status(ctx)
	if err != nil {
		return nil, err
	}
	s := &snapshot{
		version: m.opt.Version, supervisor: status.Supervisor, own: m.opt.Own(),
		linesLost: m.opt.LinesLost(),
	}
	output := m.opt.Output()
	m.mu.Lock()
	defer m.mu.Unlock()
	s.merge(status.Instances, m.instances, output)
	m.keep(s.names())
	s.orphans, s.bytesLost, s.reloads = m.orphans, m.bytesLost, m.reloads.clone()
	s.durations, s.ratios = m.durations.set, m.ratios.set
	return s.write, nil
}
