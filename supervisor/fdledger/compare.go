package fdledger

import (
	"cmp"
	"slices"

	"tp0/supervisor/procfs"
)

// ownedByRuntime returns the descriptors of a runtime: number → reason. It leaves out those that
// the process inherited.
func ownedByRuntime(fds, inherited []procfs.FD, r Runtime) map[int]string {
	own := map[int]string{}
	for _, rule := range rules {
		if rule.runtime != r && rule.runtime != cLibrary {
			continue
		}
		n := 0
		for _, f := range fds {
			if n == rule.limit {
				break
			}
			if !f.IsStandard() && rule.matches(f) && !contains(inherited, f) {
				own[f.Num] = string(rule.runtime) + " runtime"
				n++
			}
		}
	}
	return own
}

// Inherited is the reason of a descriptor that does not count because its process inherited it.
const Inherited = "inherited"

// byNumber returns descriptors sorted by number. Those of an fd scan are sorted already.
func byNumber(fds []procfs.FD) []procfs.FD {
	compare := func(a, b procfs.FD) int { return cmp.Compare(a.Num, b.Num) }
	if !slices.IsSortedFunc(fds, compare) {
		fds = slices.Clone(fds)
		slices.SortStableFunc(fds, compare)
	}
	return fds
}

// contains reports whether sorted descriptors contain one. A map of a large table would take more
// memory than the table.
func contains(sorted []procfs.FD, f procfs.FD) bool {
	i, _ := procfs.SearchFD(sorted, f.Num)
	for ; i < len(sorted) && sorted[i].Num == f.Num; i++ {
		if f.Same(sorted[i]) {
			return true
		}
	}
	return false
}

// Line is what happened to one descriptor of a process.
type Line struct {
	procfs.FD
	ByChild   bool   // the process closed it; false: it leaked, and the kernel closed it
	Uncounted string // why it does not count; empty: it counts
}

// Compare compares the descriptors of a process at the start of its stop (before) with those at
// its exit (after). The process closed those that are missing in after, and leaked the others.
// visit gets a line for each descriptor, because a list for 100,000 descriptors would take 20 MB.
// It may be nil.
// Standard streams, descriptors of the runtime and inherited ones have a line but are not
// counted. An inherited descriptor counts in the process that it came from.
func Compare(
	before, after, inherited []procfs.FD, r Runtime, visit func(Line),
) (closed, left int) {
	before, after, inherited = byNumber(before), byNumber(after), byNumber(inherited)
	add := func(f procfs.FD, own map[int]string, byChild bool) (counts int) {
		l := Line{FD: f, ByChild: byChild, Uncounted: own[f.Num]}
		switch {
		case f.IsStandard():
			l.Uncounted = "standard stream"
		case contains(inherited, f):
			l.Uncounted = Inherited
		}
		if visit != nil {
			visit(l)
		}
		if l.Uncounted == "" {
			return 1
		}
		return 0
	}
	own := ownedByRuntime(before, inherited, r)
	for _, f := range before {
		if !contains(after, f) {
			closed += add(f, own, true)
		}
	}
	own = ownedByRuntime(after, inherited, r)
	for _, f := range after {
		left += add(f, own, false)
	}
	return closed, left
}
