package fdledger

import "tp0/supervisor/procfs"

// ownedByRuntime returns the descriptors of a runtime: number → reason.
func ownedByRuntime(fds []procfs.FD, r Runtime) map[int]string {
	own := map[int]string{}
	for _, rule := range rules {
		if rule.runtime != r && rule.runtime != cLibrary {
			continue
		}
		n := 0
		for _, f := range fds {
			if n < rule.limit && !f.IsStandard() && rule.matches(f) {
				own[f.Num] = string(rule.runtime) + " runtime"
				n++
			}
		}
	}
	return own
}

// Inherited is the reason of a descriptor that does not count because its process inherited it.
const Inherited = "inherited"

// notCounted returns the descriptors that do not count: number → reason. They are inherited from
// the parent process, or of the runtime.
func notCounted(fds []procfs.FD, from map[int]procfs.FD, r Runtime) map[int]string {
	var rest []procfs.FD
	var inherited []int
	for _, f := range fds {
		if g, ok := from[f.Num]; ok && f.Same(g) {
			inherited = append(inherited, f.Num)
			continue
		}
		rest = append(rest, f)
	}
	own := ownedByRuntime(rest, r)
	for _, n := range inherited {
		own[n] = Inherited
	}
	return own
}

// Line is what happened to one descriptor of a process.
type Line struct {
	procfs.FD
	ByChild   bool   // the process closed it; false: it leaked, and the kernel closed it
	Uncounted string // why it does not count; empty: it counts
}

// Compare compares the descriptors of a process at the start of its stop (before) with those at
// its exit (after). The process closed those that are missing in after, and leaked the others.
// Standard streams, descriptors of the runtime and inherited ones have a line but are not
// counted. An inherited descriptor counts in the process that it came from.
func Compare(before, after, inherited []procfs.FD, r Runtime) (lines []Line, closed, left int) {
	from := map[int]procfs.FD{}
	for _, f := range inherited {
		from[f.Num] = f
	}
	uncounted := func(f procfs.FD, own map[int]string) string {
		if f.IsStandard() {
			return "standard stream"
		}
		return own[f.Num]
	}
	leaked := map[int]procfs.FD{}
	for _, f := range after {
		leaked[f.Num] = f
	}
	own := notCounted(before, from, r)
	for _, f := range before {
		if g, ok := leaked[f.Num]; ok && f.Same(g) {
			continue // it leaked
		}
		line := Line{FD: f, ByChild: true, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			closed++
		}
		lines = append(lines, line)
	}
	own = notCounted(after, from, r)
	for _, f := range after {
		line := Line{FD: f, Uncounted: uncounted(f, own)}
		if line.Uncounted == "" {
			left++
		}
		lines = append(lines, line)
	}
	return lines, closed, left
}
