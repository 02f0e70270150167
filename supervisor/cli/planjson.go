package cli

import (
	"tp0/supervisor/api"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// planDocument is what plan prints as JSON; docs/operating.md describes it.
type planDocument struct {
	Start [][]plannedStart `json:"start"` // layers, in the order of the start
	Stop  [][]plannedStop  `json:"stop"`  // layers, in the order of the stop
	Worst worstCase        `json:"worst_case"`
	// Running has what a reload would change about each supervisor that runs the configuration.
	Running []runningPlan `json:"running"`
}

type plannedStart struct {
	Child     string       `json:"child"`
	Instances int          `json:"instances"`
	Traits    []string     `json:"traits"` // as in the text: oneshot, sidecar, critical, hooks
	WaitsFor  []dependency `json:"waits_for"`
}

type dependency struct {
	Child string `json:"child"`
	Until string `json:"until"` // as in depends_on
}

type plannedStop struct {
	Child  string       `json:"child"`
	Takes  api.Duration `json:"takes"`  // at most
	Latest api.Duration `json:"latest"` // its last end, from the start of the stop
}

type worstCase struct {
	Chain    []string     `json:"chain"` // children that stop one after the other
	Takes    api.Duration `json:"takes"`
	Deadline api.Duration `json:"deadline"`
	Reserve  api.Duration `json:"reserve"`
	Left     api.Duration `json:"left"`
}

type runningPlan struct {
	Pid        int             `json:"pid"`
	Difference *api.Difference `json:"difference,omitempty"` // nil after an error
	Error      string          `json:"error,omitempty"`
}

// reloadDocument is what plan --from prints as JSON.
type reloadDocument struct {
	Difference api.Difference     `json:"difference"` // names of instances
	Changes    []changedInstance  `json:"changes"`    // one for each of Difference.Changed
	Supervisor []changedAttribute `json:"supervisor"` // attributes outside of children
}

type changedInstance struct {
	Instance   string             `json:"instance"`
	Restart    bool               `json:"restart"` // its process is replaced
	Attributes []changedAttribute `json:"attributes"`
}

// changedAttribute has its values as texts, as [plan.Difference] does.
type changedAttribute struct {
	Name    string `json:"name"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Restart bool   `json:"restart"` // the change replaces the process
}

// newPlanDocument returns the order of the start and of the stop.
func newPlanDocument(cfg *config.Config) planDocument {
	d := planDocument{
		Start: [][]plannedStart{}, Stop: [][]plannedStop{}, Worst: newWorstCase(cfg),
		Running: []runningPlan{},
	}
	for _, layer := range plan.StartLayers(cfg) {
		var starts []plannedStart
		for _, c := range layer {
			starts = append(starts, newPlannedStart(c))
		}
		d.Start = append(d.Start, starts)
	}
	latest := plan.LatestStops(cfg)
	for _, layer := range plan.StopLayers(cfg) {
		var stops []plannedStop
		for _, c := range layer {
			stops = append(stops, plannedStop{
				c.Name, api.Duration(c.StopTime()), api.Duration(latest[c.Name]),
			})
		}
		d.Stop = append(d.Stop, stops)
	}
	return d
}

func newPlannedStart(c *config.Child) plannedStart {
	s := plannedStart{
		Child: c.Name, Instances: len(c.Instances), Traits: notNil(properties(c)),
		WaitsFor: []dependency{},
	}
	for _, d := range c.DependsOn {
		s.WaitsFor = append(s.WaitsFor, dependency{d.Child, string(d.Until)})
	}
	return s
}

func newWorstCase(cfg *config.Config) worstCase {
	chain, sum := plan.WorstCase(cfg)
	s := cfg.Shutdown
	w := worstCase{
		Chain: []string{}, Takes: api.Duration(sum), Deadline: api.Duration(s.Deadline),
		Reserve: api.Duration(s.Reserve), Left: api.Duration(left(cfg, sum)),
	}
	for _, c := range chain {
		w.Chain = append(w.Chain, c.Name)
	}
	return w
}

// newReloadDocument returns the effect of a reload from old to cfg.
func newReloadDocument(old, cfg *config.Config) reloadDocument {
	changes := plan.Compare(old, cfg)
	globals, differences := plan.Differences(old, cfg)
	d := reloadDocument{
		Difference: api.Difference{
			Added: notNil(changes.Added), Removed: notNil(changes.Removed),
			Changed: notNil(namesOf(changes.Changed)), Kept: notNil(changes.Kept),
		},
		Changes: []changedInstance{}, Supervisor: newAttributes(globals),
	}
	for _, c := range changes.Changed {
		d.Changes = append(d.Changes, changedInstance{
			c.Name, c.Restart, newAttributes(differences[c.Name]),
		})
	}
	return d
}

func newAttributes(all []plan.Difference) []changedAttribute {
	list := []changedAttribute{}
	for _, a := range all {
		list = append(list, changedAttribute{a.Attribute, a.Old, a.New, a.Restart})
	}
	return list
}

// notNil returns a list that is [] in JSON, and not null, if it is empty.
func notNil(list []string) []string { return append([]string{}, list...) }
