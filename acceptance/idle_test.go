package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestIdle checks the cost of an idle supervisor, with metrics that nobody scrapes, without
// measuring time: it has no wake-ups,
// no thread for each child, and two descriptors for each child (the pipes of its output), or
// none with the format inherit.
func TestIdle(t *testing.T) {
	t.Parallel()
	const few, many = 5, 40
	for _, c := range []struct {
		more string
		each int
	}{{"", 2}, {"logs { format = \"inherit\" }", 0}} {
		var descriptors, threads []int
		var all []*supervisor
		for _, n := range []int{few, many} {
			more := fmt.Sprintf("count = %d\n%s", n, c.more)
			s := start(t, metricsAt(freePort(t))+fixture("c", "sleep", more), "--watch")
			s.awaitEntry("all children ready", "children", n)
			all = append(all, s)
		}
		for _, s := range all {
			awaitIdle(t, s.cmd.Process.Pid)
			proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
			descriptors = append(descriptors, len(readDir(t, proc+"fd")))
			threads = append(threads, len(readDir(t, proc+"task")))
		}
		if got := descriptors[1] - descriptors[0]; got != c.each*(many-few) {
			t.Errorf("%q: %d more children take %d descriptors, want %d each", c.more, many-few,
				got, c.each)
		}
		if threads[1] > 24 {
			t.Errorf("%d threads for %d children, want at most 24", threads[1], many)
		}
		for _, s := range all {
			s.signal(unix.SIGTERM)
			s.expectStop(0, "graceful")
		}
	}
}

// awaitIdle waits for a second in which the process has no wake-up. For some seconds after a start
// a supervisor has work: the descriptors of each child are sampled, and memory is returned. Go's
// runtime needs a while longer.
func awaitIdle(t *testing.T, pid int) {
	t.Helper()
	for range 30 {
		before := contextSwitches(t, pid)
		time.Sleep(time.Second)
		if contextSwitches(t, pid) == before {
			return
		}
	}
	t.Errorf("no second without a wake-up in 30, want one")
}

func readDir(t *testing.T, path string) []os.DirEntry {
	t.Helper()
	all, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return all
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

// TestIdleMemory checks that the supervisor releases the pages of its program file after the start
// and after each work. The connection of the scrapes stays open. The test is not parallel, because
// verbs of other tests connect to every supervisor.
func TestIdleMemory(t *testing.T) {
	port := freePort(t)
	s := start(t, metricsAt(port)+fixture("a", "sleep", ""))
	s.awaitEntry("all children ready")
	awaitReleased(t, s.cmd.Process.Pid, "the start")
	scraper := http.Client{Transport: &http.Transport{}, Timeout: limit}
	t.Cleanup(scraper.CloseIdleConnections)
	for _, c := range []struct {
		name string
		work func()
	}{
		{"a reload", func() {
			s.signal(unix.SIGHUP)
			s.awaitEntry("config reloaded")
		}},
		{"status", func() { s.ctl("status") }},
		{"the first scrape", func() { scrape(t, &scraper, port) }},
		{"the second scrape", func() { scrape(t, &scraper, port) }},
	} {
		c.work()
		awaitReleased(t, s.cmd.Process.Pid, c.name)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func scrape(t *testing.T, c *http.Client, port string) {
	t.Helper()
	a, err := c.Get("http://127.0.0.1:" + port + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if _, err := io.Copy(io.Discard, a.Body); err != nil {
		t.Fatal(err)
	}
}

// awaitReleased waits until a process has less than 3 MiB of files mapped. An idle supervisor has
// 1.5 MiB, and after a request without a release 7.
func awaitReleased(t *testing.T, pid int, after string) {
	t.Helper()
	const most = 3 << 10 // KiB
	size := 0
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if size = mappedFiles(t, pid); size < most {
			return
		}
	}
	t.Errorf("after %s %d KiB of files stay mapped, want less than %d", after, size, most)
}

// mappedFiles returns how much of files a process has mapped, in KiB (smaps_rollup in /proc).
func mappedFiles(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	size := map[string]int{}
	for line := range strings.Lines(string(b)) {
		var name string
		var n int
		if _, err := fmt.Sscan(line, &name, &n); err == nil {
			size[name] = n
		}
	}
	return size["Rss:"] - size["Anonymous:"]
}
