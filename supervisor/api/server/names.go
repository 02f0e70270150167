package server

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"tp0/supervisor/api"
	"tp0/supervisor/similar"
)

// named returns the instances with a name, of a child or of an instance.
func named(all []api.Instance, names []string) (found []api.Instance, err error) {
	known := map[string]bool{}
	for _, i := range all {
		known[i.Name], known[i.Child] = true, true
		if slices.Contains(names, i.Name) || slices.Contains(names, i.Child) {
			found = append(found, i)
		}
	}
	for _, name := range names {
		if !known[name] {
			meant := similar.Name(name, slices.Sorted(maps.Keys(known)))
			return nil, &api.Error{
				Kind: api.UnknownName,
				Detail: "no child or instance is named " + strconv.Quote(name) +
					similar.Question(meant),
			}
		}
	}
	return found, nil
}

// checkKnown returns an error if one of the names is none of a child or of an instance.
func (s *Server) checkKnown(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	all, err := s.opt.Orchestrator().Status(ctx)
	if err == nil {
		_, err = named(all.Instances, names)
	}
	return err
}
