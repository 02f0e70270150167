package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/similar"
)

// answerTimeout bounds the search for a supervisor, and a question to it.
const answerTimeout = 5 * time.Second

// statusOf returns the status of several supervisors of one configuration as one.
func statusOf(
	ctx context.Context, found []*client.Supervisor, names ...string,
) (all []api.Status, err error) {
	ctx, cancel := client.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for _, s := range found {
		status, err := s.Status(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, status)
	}
	if err := checkNames(all, names); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Instances = slices.DeleteFunc(all[i].Instances, func(inst api.Instance) bool {
			return len(names) > 0 && !isNamed(inst, names)
		})
	}
	return all, nil
}

// isNamed reports whether one of the names is that of an instance or of its child.
func isNamed(inst api.Instance, names []string) bool {
	return slices.Contains(names, inst.Name) || slices.Contains(names, inst.Child)
}

// checkNames returns an error if a name is none of a child or of an instance. It says which name
// was probably meant.
func checkNames(all []api.Status, names []string) error {
	known := namesIn(all)
	for _, name := range names {
		if !slices.Contains(known, name) {
			err := fmt.Errorf("no child or instance is named %q%s", name,
				similar.Question(similar.Name(name, known)))
			return &codedError{noSuchChild, err}
		}
	}
	return nil
}

// namesIn returns the names of children and of instances.
func namesIn(all []api.Status) (names []string) {
	for _, status := range all {
		for _, inst := range status.Instances {
			for _, name := range []string{inst.Child, inst.Name} {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}
