package app

import (
	"context"
	"fmt"

	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/metrics"
	"tp0/supervisor/metrics/endpoint"
	"tp0/supervisor/usage"
)

// openMetrics makes the metrics, and opens their address if the configuration has one.
func (a *app) openMetrics(cfg *config.Config) error {
	m := &observation{}
	m.metrics = metrics.New(metrics.Options{
		Version: a.version, Own: usage.Own, LinesLost: a.lostLines.Load,
		Status: func(ctx context.Context) (api.Status, error) {
			status, err := a.orchestrator.Status(ctx)
			if err == nil {
				measure(ctx, &status)
			}
			return status, err
		},
		Output: a.relayedOutput,
	})
	m.endpoint = endpoint.New(endpoint.Options{
		FDs: a.ledger, Scrape: m.metrics.Scrape, Alive: a.alive, NotReady: a.notReady,
		Answered: a.idleMemory.used,
		Warn: func(err error) {
			a.Emit(event.Warning{What: "metrics not served", Reason: err.Error()})
		},
	})
	if err := m.endpoint.Prepare(cfg.Metrics.Listen); err != nil {
		return err
	}
	m.configure(cfg)
	a.observation = m
	return nil
}

// relayedOutput returns what was relayed of each instance.
func (a *app) relayedOutput() map[string][2]metrics.Output {
	all := map[string][2]metrics.Output{}
	for name, n := range a.relay.Relayed() {
		all[name] = [2]metrics.Output{metrics.Output(n[0]), metrics.Output(n[1])}
	}
	return all
}

// notReady returns which instances are not ready, without those of oneshots. An instance that has
// completed counts as ready. During the stop nothing is ready.
func (a *app) notReady(ctx context.Context) (names []string, err error) {
	status, err := a.orchestrator.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.Supervisor.State == "stopping" {
		return []string{"stopping"}, nil
	}
	oneshot := map[string]bool{}
	for _, i := range a.control.running().Instances() {
		oneshot[i.Name] = i.Policy.Oneshot
	}
	for i := range status.Instances {
		s := &status.Instances[i]
		if s.Ready || s.Surge || s.State == "succeeded" || oneshot[s.Name] {
			continue
		}
		line := fmt.Sprintf("%s is %s", s.Name, api.StateWords(s.State))
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		names = append(names, line)
	}
	return names, nil
}
