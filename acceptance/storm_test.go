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

// anyFile makes a valid file of up to five children, and says which instances
// it has.
func anyFile(r *rand.Rand) (hcl string, instances []string) {
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
		hcl += fixture(name, []string{"sleep", "print 3", "print 30"}[r.IntN(3)], more)
	}
	return hcl, instances
}

// Files that change faster than they can be applied, good ones and bad ones:
// in the end what runs is what the last valid one says, and a stop is complete.
func TestReloadStorm(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		hcl, want := anyFile(r)
		s := start(t, hcl)
		s.wait("child ready")
		for i := range 40 {
			if r.IntN(5) == 0 {
				s.reload(hcl + "bad {")
				continue
			}
			hcl, want = anyFile(r)
			s.reload(hcl)
			if r.IntN(4) == 0 {
				s.wait("signal received", "signal", "SIGHUP", "meaning", "reload")
			}
			if i%10 == 9 {
				s.settled(hcl, want)
			}
		}
		s.settled(hcl, want)
		s.signal(unix.SIGTERM)
		s.ends(0, "graceful")
	}
}

// settled reloads a file until that is told, which is when it is applied, and
// compares what runs.
func (s *super) settled(hcl string, want []string) {
	s.t.Helper()
	log := strings.Count(s.log.text(), "\n") + 1
	s.reload(hcl)
	s.waitFrom(log, "config reloaded")
	slices.Sort(want)
	var got []string
	for range 1000 { // one reload more can be told of before the last one is
		if got = s.running(); slices.Equal(got, want) {
			return
		}
		log = strings.Count(s.log.text(), "\n") + 1
		s.signal(unix.SIGHUP)
		s.waitFrom(log, "config reloaded")
	}
	s.t.Fatalf("%v run, the file has %v", got, want)
}

// running is who was spawned and not reaped, by the log.
func (s *super) running() []string {
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
