package openfds

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"

	"tp0/supervisor/api"
	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
)

// maxCommon is the number of common targets of a process.
const maxCommon = 8

// CommonTargets returns the most common targets of the descriptors of a process, of some kinds. It
// returns nothing if the descriptors cannot be read, or ctx ends before.
func CommonTargets(ctx context.Context, pid int, kinds []string) []api.FDTarget {
	common, _ := inTurn(ctx, func() (common []api.FDTarget) {
		limits.ReadSlots.Run(func() {
			d := describer{ctx: ctx}
			if fds, err := d.describe(pid); err == nil {
				common = commonTargets(fds, kinds)
			}
		})
		return common
	})
	return common
}

// commonTargets returns the most common targets of descriptors of some kinds; nil means all kinds.
// The standard streams are left out.
func commonTargets(fds []procfs.FD, kinds []string) []api.FDTarget {
	type key struct{ kind, target string }
	counts := map[key]int{}
	each := func(do func(f procfs.FD, exact, wider string)) {
		for _, f := range fds {
			if !f.IsStandard() && (kinds == nil || slices.Contains(kinds, f.Kind)) {
				exact, wider := groupsOf(f)
				do(f, exact, wider)
			}
		}
	}
	each(func(f procfs.FD, exact, wider string) {
		counts[key{f.Kind, exact}]++
		if wider != exact {
			counts[key{f.Kind, wider}]++
		}
	})
	chosen := map[key]int{}
	each(func(f procfs.FD, exact, wider string) {
		k := key{f.Kind, exact}
		// Three files of a directory with hundreds say less than the directory.
		if w := (key{f.Kind, wider}); counts[w] > 2*counts[k] {
			k = w
		}
		chosen[k]++
	})
	all := make([]api.FDTarget, 0, len(chosen))
	for k, n := range chosen {
		all = append(all, api.FDTarget{Kind: k.kind, Target: k.target, Open: n})
	}
	slices.SortFunc(all, func(a, b api.FDTarget) int {
		return cmp.Or(b.Open-a.Open, strings.Compare(a.Kind, b.Kind),
			strings.Compare(a.Target, b.Target))
	})
	return all[:min(len(all), maxCommon)]
}

// groupsOf returns two groups that a descriptor belongs to. For a file they are its path and its
// directory, for a connection its remote and its local address.
func groupsOf(f procfs.FD) (exact, wider string) {
	switch f.Kind {
	case "file":
		return f.Target, path.Join(path.Dir(f.Target), "*")
	case "pipe":
		return f.Kind, f.Kind // each has a number of its own
	}
	local, remote, connected := strings.Cut(f.Target, " -> ")
	if !connected {
		target, _, _ := strings.Cut(f.Target, ":[") // socket:[7] is not resolved
		return target, target
	}
	protocol, _, _ := strings.Cut(local, " ")
	return protocol + " to " + remote, local + " from *"
}
