package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// handOvers are the addresses that processes hand over in a reload, by the configuration alone: who
// listens now is known only to the supervisor that runs.
type handOvers struct {
	waits map[string]string // by instance: a text that says what its start waits for
	part  map[string]bool   // the instances that give or take an address
	twice []plan.DoubleClaim
}

func findHandOvers(old, cfg *config.Config) handOvers {
	h := handOvers{waits: map[string]string{}, part: map[string]bool{}}
	starting, ending := plan.Processes(old, cfg)
	started := map[string]bool{}
	for i, all := range plan.HandOvers(starting, ending) {
		name := starting[i].Spec.Name
		started[name] = true
		var reasons []string
		for _, hand := range all {
			var givers []string
			for _, g := range hand.Givers {
				h.part[ending[g].Spec.Name] = true
				givers = append(givers, ending[g].Spec.Name)
			}
			h.part[name] = true
			reasons = append(reasons, fmt.Sprintf("%s (%s)", strings.Join(givers, ", "),
				hand.Reason()))
		}
		if len(reasons) > 0 {
			h.waits[name] = "; its start waits for the end of " + strings.Join(reasons, ", ")
		}
	}
	var kept, next []*config.Instance
	for _, i := range cfg.Instances() {
		if started[i.Name] {
			next = append(next, i)
		} else {
			kept = append(kept, i)
		}
	}
	if old != nil {
		h.twice = plan.DoubleClaims(kept, next)
	}
	return h
}

// writeDoubleClaims prints warnings about addresses that cannot be handed over.
func (h handOvers) writeDoubleClaims(w io.Writer) {
	for _, t := range slices.Compact(h.twice) {
		fmt.Fprintf(w, "Warning: %s and %s both claim %v, and %s is not ended.\n",
			t.Next, t.Kept, t.Address, t.Kept)
	}
}
