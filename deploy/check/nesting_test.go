package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	page  = "docs/graceful-end.md"
	begin = "<!-- the numbers: cd deploy/check && go test -run Nest -update -->\n"
	end   = "<!-- end of the numbers -->\n"
)

// TestTimesNest checks for each engine that the drain is shorter than the kill_timeout, which is
// shorter than the deadline, which is shorter than the grace period. It also compares the table and
// the picture of the page with the files.
func TestTimesNest(t *testing.T) {
	all := slices.Concat(
		compose(t, "Docker, compose", "compose.yaml", "supervisor.hcl"),
		compose(t, "Docker Swarm", "deploy/swarm.yaml", "deploy/swarm.hcl"),
		kubernetes(t), nomad(t), systemd(t),
	)
	// docker stop has a default of ten seconds.
	all = append(all, configured(t, "docker stop", "Dockerfile", read(t, "supervisor.hcl"),
		10*time.Second, 0)...)
	slices.SortStableFunc(all, func(a, b times) int {
		return strings.Compare(a.engine+a.file+a.child, b.engine+b.file+b.child)
	})
	engines := map[string]bool{}
	for _, n := range all {
		engines[n.engine] = true
		if fault := n.nests(); fault != "" {
			t.Errorf("%s: %s", n.file, fault)
		}
	}
	if len(engines) != 6 {
		t.Errorf("got the engines %v, want 6", engines)
	}
	var w strings.Builder
	fmt.Fprint(&w,
		"| engine | file | child | drain | < kill_timeout | < deadline | before the signal | < "+
			"grace |\n|---|---|---|--:|--:|--:|--:|--:|\n")
	for _, n := range all {
		fmt.Fprintf(&w, "| %s | %s | %s | %v | %v | %v | %v | %v |\n", n.engine, n.file, n.child,
			n.drain, n.kill, n.deadline, n.before, n.grace)
	}
	checkTable(t, w.String())
	i := slices.IndexFunc(all, func(n times) bool {
		return n.engine == "Kubernetes" && n.child == "server"
	})
	checkPicture(t, "docs/img/graceful-end.svg", picture(all[i]))
}

// TestBrokenNesting checks that nests detects each violation.
func TestBrokenNesting(t *testing.T) {
	good := times{"e", "f", "c", 1, 2, 3, 1, 5}
	if fault := good.nests(); fault != "" {
		t.Error(fault)
	}
	for i, breaks := range []func(*times){
		func(n *times) { n.drain = n.kill }, func(n *times) { n.kill = n.deadline },
		func(n *times) { n.grace = n.deadline },
		func(n *times) { n.before = 2 },
	} {
		bad := good
		if breaks(&bad); bad.nests() == "" {
			t.Errorf("%d: nests accepts %+v", i, bad)
		}
	}
}
