package acceptance

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestIdle checks the cost of an idle supervisor without measuring time: it has no wake-ups,
// no thread for each child, and two descriptors for each child (the pipes of its output), or
// none with the format inherit.
func TestIdle(t *testing.T) {
	t.Parallel()
	const few, many = 5, 40
	cost := func(n int, more string) (fds, threads int, s *supervisor) {
		s = start(t, fixture("c", "sleep", fmt.Sprintf("count = %d\n%s", n, more)), "--watch")
		for i := range n {
			s.awaitEntry("child ready", "child", fmt.Sprint("c", i+1))
		}
		proc := fmt.Sprintf("/proc/%d", s.cmd.Process.Pid)
		all, err := os.ReadDir(proc + "/fd")
		if err != nil {
			t.Fatal(err)
		}
		tasks, err := os.ReadDir(proc + "/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(all), len(tasks), s
	}
	for _, c := range []struct {
		more string
		each int
	}{{"", 2}, {"logs { format = \"inherit\" }", 0}} {
		fds1, _, s1 := cost(few, c.more)
		fds2, threads, s2 := cost(many, c.more)
		if got := fds2 - fds1; got != c.each*(many-few) {
			t.Errorf("%q: %d more children take %d descriptors, want %d each", c.more, many-few,
				got,
				c.each)
		}
		if threads > 24 {
			t.Errorf("%d threads for %d children, want at most 24", threads, many)
		}
		// For some seconds after a start the supervisor has work: the descriptors of each child are
		// sampled, and memory is returned. Go's runtime needs a while longer.
		quiet := false
		for range 30 {
			before := contextSwitches(t, s2.cmd.Process.Pid)
			time.Sleep(time.Second)
			if quiet = contextSwitches(t, s2.cmd.Process.Pid) == before; quiet {
				break
			}
		}
		if !quiet {
			t.Errorf("%q: no second without a wake-up in 30, want one", c.more)
		}
		for _, s := range []*supervisor{s1, s2} {
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
		}
	}
}

// TestDescriptorLimitAtStart checks that a file that is accepted can be started within the
// limit of descriptors. The descriptors that a spawn needs for a short time are counted too.
func TestDescriptorLimitAtStart(t *testing.T) {
	// the second goes through the start verb, which takes longer and has a socket
	for _, more := range []string{"", "nice = 1"} {
		const n = 100
		s := prepare(t, fixture("c", "sleep",
			fmt.Sprintf("count = %d\nrestart { on = \"never\" }\n%s", n, more)))
		s.cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`,
			48+4*16+2*n), s.cmd.Path}, s.cmd.Args[1:]...)
		s.cmd.Path = "/bin/sh"
		s.launch()
		s.awaitEntry("all children ready", "children", n)
		s.signal(unix.SIGTERM)
		if e := s.expectStop(0, "graceful"); e.int("spawned") != n || s.count("spawn failed") > 0 {
			t.Errorf("%q: got %v, want %d spawned and no failed spawn", more, e, n)
		}
	}
}
