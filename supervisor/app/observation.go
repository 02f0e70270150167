package app

import (
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/metrics"
	"tp0/supervisor/metrics/endpoint"
)

// observation is the metrics of run, and where they are served.
type observation struct {
	metrics  *metrics.Metrics
	endpoint *endpoint.Endpoint
}

// configure applies a configuration. The address was opened before, when it was loaded.
func (m *observation) configure(cfg *config.Config) {
	if m != nil {
		m.metrics.Configure(cfg)
		m.endpoint.Apply(cfg.Metrics.Listen)
	}
}

// emit passes an event on.
func (m *observation) emit(e event.Event) {
	if m == nil {
		return
	}
	if _, ok := e.(event.ConfigRejected); ok {
		m.endpoint.Discard()
	}
	m.metrics.Emit(e)
}
