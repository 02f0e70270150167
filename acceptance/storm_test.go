package acceptance

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// randomConfig returns a valid file of up to five children, and its instances.
func randomConfig(r *rand.Rand) (hcl string, instances []string) {
	names := []string{"a", "b", "c", "d", "e"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+r.IntN(5)]
	for i, name := range names {
		deps := slices.Clone(names[:i])
		r.Shuffle(len(deps), func(i, j int) { deps[i], deps[j] = deps[j], deps[i] })
		more := ""
		if n := min(r.IntN(3), i); n > 0 {
			more = fmt.Sprintf("  depends_on = [%q]\n", strings.Join(deps[:n], `", "`))
			more = strings.ReplaceAll(more, `\"`, `"`)
		}
		if count := r.IntN(4); count > 0 {
			more += fmt.Sprintf("  count = %d\n", count)
			for i := range count {
				instances = append(instances, fmt.Sprint(name, i+1))
			}
		} else {
			instances = append(instances, name)
		}
		more += []string{"", "  restart { min_ready = \"20ms\" }\n",
			"  restart {\n    strategy = \"overlap\"\n    min_ready = \"50ms\"\n  }\n"}[r.IntN(3)]
		hcl += fixture(name, []string{"sleep", "print 3", "print 30"}[r.IntN(3)], more)
	}
	return hcl, instances
}

// TestReloadStorm changes the file faster than it can be applied, to valid and invalid ones.
// In the end the instances of the last valid file run, and the stop is complete.
func TestReloadStorm(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		hcl, want := randomConfig(r)
		s := start(t, hcl)
		s.awaitEntry("child ready")
		for i := range 40 {
			if r.IntN(5) == 0 {
				s.reload(hcl + "bad {")
				continue
			}
			hcl, want = randomConfig(r)
			s.reload(hcl)
			if r.IntN(4) == 0 {
				s.awaitEntry("signal received", "signal", "SIGHUP")
			}
			if i%10 == 9 {
				s.expectRunning(hcl, want)
			}
		}
		s.expectRunning(hcl, want)
		s.signal(unix.SIGTERM)
		s.expectStop(0, "graceful")
	}
}

// expectRunning reloads a file until the log reports it, and compares the running instances.
func (s *supervisor) expectRunning(hcl string, want []string) {
	s.t.Helper()
	log := strings.Count(s.log.text(), "\n") + 1
	s.reload(hcl)
	s.awaitEntryFrom(log, "config reloaded")
	slices.Sort(want)
	var got []string
	for range 1000 { // one more reload can be logged before the last one
		if got = s.runningInstances(); slices.Equal(got, want) {
			return
		}
		log = strings.Count(s.log.text(), "\n") + 1
		s.signal(unix.SIGHUP)
		s.awaitEntryFrom(log, "config reloaded")
	}
	s.t.Fatalf("got the running instances %v, want %v", got, want)
}

// runningInstances returns the instances that were spawned and not reaped, by the log.
func (s *supervisor) runningInstances() []string {
	alive := map[string]string{}
	for line := range strings.SplitSeq(s.log.text(), "\n") {
		var e entry
		if json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		switch e["@message"] {
		case "child spawned":
			alive[fmt.Sprint(e["pid"])] = e["child"].(string)
		case "child reaped":
			delete(alive, fmt.Sprint(e["pid"]))
		}
	}
	return slices.Sorted(maps.Values(alive))
}
