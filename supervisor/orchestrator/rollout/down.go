package rollout

import "tp0/supervisor/lifecycle"

// Down returns the children that go down in the reload: a process of the child stops before its
// next process is ready. The dependents of such a child are stopped before it.
func Down(instances []Instance) map[string]bool {
	s := downSearch{current: map[string][]Instance{}, down: map[string]bool{}}
	for _, i := range instances {
		if i.Role == Current {
			s.current[i.Child] = append(s.current[i.Child], i)
		}
	}
	for _, i := range instances {
		s.goesDown(i.Child)
	}
	return s.down
}

type downSearch struct {
	current map[string][]Instance // by child
	down    map[string]bool       // by child; the result
}

// goesDown reports whether a child goes down, and notes the answer. The dependencies of the old and
// of the new configuration together can form a circle: there the first child counts as not down.
func (s downSearch) goesDown(child string) bool {
	if down, known := s.down[child]; known {
		return down
	}
	s.down[child] = false
	for _, i := range s.current[child] {
		if i.State.HasProcess() && (i.Goal.stops() || i.State == lifecycle.Replacing ||
			i.Goal == Replace && !usesSurge(i, s.goesDown)) {
			s.down[child] = true
			break
		}
	}
	return s.down[child]
}

// DependsOnDown reports whether a child that the instance needs goes down.
func DependsOnDown(i Instance, down map[string]bool) bool {
	return dependsOnDown(i, func(child string) bool { return down[child] })
}

// UsesSurge reports whether the next process of an instance is ready before the present one is
// stopped. An instance that gives an address to another one, or takes one over, is not updated with
// an overlap: see the package comment.
func UsesSurge(i Instance, down map[string]bool) bool {
	return usesSurge(i, func(child string) bool { return down[child] })
}

func dependsOnDown(i Instance, down func(child string) bool) bool {
	for _, child := range i.Needs {
		if down(child) {
			return true
		}
	}
	return false
}

func usesSurge(i Instance, down func(child string) bool) bool {
	possible := i.State == lifecycle.Ready && !i.Gives && !i.Takes
	return i.Surge != NoSurge || possible && i.AllowSurge && !dependsOnDown(i, down)
}
