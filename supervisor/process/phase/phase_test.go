package phase

import (
	"math/rand/v2"
	"testing"

	"tp0/supervisor/fixture/machine"
)

func allPhases() []Phase { return machine.All[Phase](len(phaseNames)) }

func allChanges() []Change { return machine.All[Change](len(changeNames)) }

// TestPhases has lives from the first phase to the last.
func TestPhases(t *testing.T) {
	for name, life := range map[string]struct {
		from Phase
		on   []Change
		to   []Phase
	}{
		"without a barrier": {
			Running,
			[]Change{MainReaped, TreeListed, NothingToWaitFor},
			[]Phase{Ended, Listed, Over},
		},
		"with a barrier": {
			AtBarrier,
			[]Change{Executed, MainReaped, TreeListed, NothingToWaitFor},
			[]Phase{Running, Ended, Listed, Over},
		},
		"the end of the start verb is reaped first": {
			AtBarrier,
			[]Change{MainReaped, TreeListed, NothingToWaitFor, Executed, NothingToWaitFor},
			[]Phase{EndedAtBarrier, ListedAtBarrier, ListedAtBarrier, Listed, Over},
		},
		"the result comes between the reap and the list": {
			AtBarrier,
			[]Change{MainReaped, Executed, TreeListed},
			[]Phase{EndedAtBarrier, Ended, Listed},
		},
		"with survivors": {
			Running,
			[]Change{MainReaped, TreeListed, TreeEnded, Survived, TreeListed, TreeEnded},
			[]Phase{Ended, Listed, Listed, Outlived, Outlived, Over},
		},
		"with a successor": {
			Running,
			[]Change{MainReaped, Succeeded, MainReaped, TreeListed, Succeeded},
			[]Phase{Ended, Running, Ended, Listed, Listed},
		},
		"with a late successor": {
			Outlived, []Change{Succeeded, MainReaped}, []Phase{Running, Ended},
		},
		"with a successor at the barrier": {
			AtBarrier,
			[]Change{MainReaped, Succeeded, Executed},
			[]Phase{EndedAtBarrier, AtBarrier, Running},
		},
		"stale": {
			Running,
			[]Change{Executed, TreeListed, NothingToWaitFor, Survived, TreeEnded, Succeeded},
			[]Phase{Running, Running, Running, Running, Running, Running},
		},
	} {
		p := life.from
		for i, c := range life.on {
			if p.Handle(c); p != life.to[i] {
				t.Errorf("%s: %d. %v leads to %v, want %v", name, i+1, c, p, life.to[i])
				break
			}
		}
	}
}

func TestPhasePredicates(t *testing.T) {
	for p, want := range map[Phase][3]bool{ // main ended, unlisted, unexecuted
		AtBarrier:       {false, false, true},
		Running:         {false, false, false},
		EndedAtBarrier:  {true, true, true},
		Ended:           {true, true, false},
		ListedAtBarrier: {true, false, true},
		Listed:          {true, false, false},
		Outlived:        {true, false, false},
		Over:            {true, false, false},
	} {
		if got := [3]bool{p.MainEnded(), p.Unlisted(), p.Unexecuted()}; got != want {
			t.Errorf("%v: %v, want %v", p, got, want)
		}
	}
}

// TestPhasesAtRandom: in any order of changes, a main process that was reaped stays reaped
// unless a successor follows, a tree that was listed is not listed again, a known result stays
// known, and a process that is over stays over.
func TestPhasesAtRandom(t *testing.T) {
	reached := map[Phase]bool{}
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := []Phase{AtBarrier, Running}[r.IntN(2)]
		for range 30 {
			reached[p] = true
			c := Change(r.IntN(len(changeNames)))
			to := p.Next(c)
			switch {
			case p.MainEnded() && !to.MainEnded() && c != Succeeded,
				p.MainEnded() && !p.Unlisted() && to.Unlisted(),
				!p.Unexecuted() && to.Unexecuted(),
				!p.MainEnded() && to.MainEnded() && c != MainReaped,
				p == Over && to != Over:
				t.Fatalf("seed %d: %v leads from %v to %v", seed, c, p, to)
			}
			p = to
		}
	}
	for _, p := range allPhases() {
		if !reached[p] {
			t.Errorf("%v is never reached", p)
		}
	}
}

// TestPhasesEnd: from each phase a process can get to its end.
func TestPhasesEnd(t *testing.T) {
	for _, from := range allPhases() {
		seen, todo := map[Phase]bool{from: true}, []Phase{from}
		for len(todo) > 0 {
			p := todo[0]
			todo = todo[1:]
			for _, c := range allChanges() {
				if to := p.Next(c); !seen[to] {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		if !seen[Over] {
			t.Errorf("nothing leads from %v to %v", from, Over)
		}
	}
}
