package acceptance

import (
	"testing"

	"golang.org/x/sys/unix"
)

// One that takes no notice gets each signal of its ladder in turn, and SIGKILL
// after the last.
func TestKillLadder(t *testing.T) {
	t.Parallel()
	const ladder = `kill_ladder = [{ signal = "SIGTERM", wait = "300ms" }, { signal = "SIGQUIT", wait = "200ms" }]`
	s := start(t, shell("c", "trap '' TERM QUIT; echo ready; while :; do sleep 100; done", ladder))
	s.prints("[c] ready")
	s.signal(unix.SIGTERM)
	if e := s.ends(124, "forced"); e.int("killed") != 1 {
		t.Errorf("%v", e)
	}
	for rung, sig := range []string{"SIGTERM", "SIGQUIT", "SIGKILL"} {
		s.wait("signal sent", "child", "c", "signal", sig, "rung", rung+1)
	}
	if e := s.wait("child reaped", "child", "c", "signal", "SIGKILL"); e.int("stop_ms") < 500 {
		t.Errorf("it was killed too early: %v", e)
	}
}

func TestSuccessCodes(t *testing.T) {
	t.Parallel()
	s := start(t, fixture("job", "exit 3", "success_codes = [0, 3]")+
		shell("dies", "kill -TERM $$", "success_codes = [143]"))
	s.ends(0, "graceful")
	for _, name := range []string{"job", "dies"} {
		s.wait("child completed", "child", name)
		s.wait("child reaped", "child", name, "@level", "info")
	}
	if n := s.count("child restarting"); n > 0 {
		t.Errorf("%d restarts of what succeeded", n)
	}
}

// kill_scope says who gets the signal of a stop. What did not get it goes on,
// and is ended by the sweep.
func TestKillScope(t *testing.T) {
	t.Parallel()
	// The shell waits for its own signal; the other two tell of theirs.
	const tree = `inner() { trap 'echo '$1' told; exit 0' TERM; echo $1 up; while :; do sleep 0.01; done; }
inner same & setsid sh -c 'trap "echo other told; exit 0" TERM; echo other up; while :; do sleep 0.01; done' &
trap 'echo main told; exit 0' TERM
while :; do sleep 0.01; done`
	for scope, told := range map[string][]string{
		"process": {"main"}, "group": {"main", "same"}, "tree": {"main", "same", "other"},
	} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			s := start(t, shell("c", tree, "kill_scope = \""+scope+"\""))
			s.prints("[c] same up")
			s.prints("[c] other up")
			s.signal(unix.SIGTERM)
			s.ends(0, "graceful")
			for _, name := range told {
				s.prints("[c] " + name + " told")
			}
			orphans := s.count("signal sent", "orphan", "sh", "rung", 1)
			if want := 3 - len(told); orphans != want {
				t.Errorf("the sweep told %d, want %d", orphans, want)
			}
		})
	}
}
