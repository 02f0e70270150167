package acceptance

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What an idle supervisor costs, in things that no clock decides: it wakes up
// for nobody, and each child takes two of its descriptors (the pipes that
// are read), none if its output is its own affair, and no thread.
func TestIdle(t *testing.T) {
	t.Parallel()
	const few, many = 5, 40
	cost := func(n int, more string) (fds, threads int, s *super) {
		s = start(t, fixture("c", "sleep", fmt.Sprintf("count = %d\n%s", n, more)), "--watch")
		for i := range n {
			s.wait("child ready", "child", fmt.Sprint("c", i+1))
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
			t.Errorf("%q: %d children more take %d descriptors", c.more, many-few, got)
		}
		if threads > 24 {
			t.Errorf("%d threads for %d children", threads, many)
		}
		// It has a few things to do in the seconds after a start: a look at what
		// each child holds, memory to give back. Go's runtime needs a while longer.
		quiet := false
		for range 30 {
			before := switches(t, s2.cmd.Process.Pid)
			time.Sleep(time.Second)
			if quiet = switches(t, s2.cmd.Process.Pid) == before; quiet {
				break
			}
		}
		if !quiet {
			t.Errorf("%q: it never comes to rest", c.more)
		}
		for _, s := range []*super{s1, s2} {
			s.signal(unix.SIGTERM)
			s.ends(0, "graceful")
		}
	}
}

// A file that is accepted can be started, with the descriptors that there are:
// those that a spawn needs for a moment are counted, and bounded.
func TestDescriptorsOfAStart(t *testing.T) {
	for _, more := range []string{"", "nice = 1"} { // the second goes through the start verb, which takes longer and has a socket
		const n = 100
		s := prepare(t, fixture("c", "sleep", fmt.Sprintf("count = %d\nrestart { on = \"never\" }\n%s", n, more)))
		s.cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, 48+4*16+2*n), s.cmd.Path}, s.cmd.Args[1:]...)
		s.cmd.Path = "/bin/sh"
		s.launch()
		s.wait("all children ready", "children", n)
		s.signal(unix.SIGTERM)
		if e := s.ends(0, "graceful"); e.int("spawned") != n || s.count("spawn failed") > 0 {
			t.Errorf("%q: %v", more, e)
		}
	}
}
