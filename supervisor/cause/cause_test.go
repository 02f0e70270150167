package cause

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAddressesIn has the lines of programs that did not get their address.
func TestAddressesIn(t *testing.T) {
	for _, c := range []struct{ program, lines, want string }{
		{"nginx", "bind() to 0.0.0.0:80 failed (98: Address already in use)", "0.0.0.0:80"},
		{"go", "2026/11/28 12:30:45 listen tcp :8080: bind: address already in use", "port 8080"},
		{"node", "Error: listen EADDRINUSE: address already in use :::3000", "[::]:3000"},
		{"node 2", "Error: listen EADDRINUSE: address already in use 127.0.0.1:3000",
			"127.0.0.1:3000"},
		{"redis", "Could not create server TCP listening socket *:6379: bind: Address already " +
			"in use", "port 6379"},
		{"apache2", "(98)Address already in use: AH00072: make_sock: could not bind to address " +
			"[::]:80", "[::]:80"},
		{"gunicorn", "[ERROR] Connection in use: ('127.0.0.1', 8000)", "127.0.0.1:8000"},
		{"uvicorn", "[Errno 98] error while attempting to bind on address ('::1', 8000): address " +
			"already in use", "[::1]:8000"},
		{"postgres", `could not bind IPv4 address "127.0.0.1": Address already in use` + "\n" +
			"HINT:  Is another postmaster already running on port 5432?", "port 5432"},
		{"memcached", "failed to listen on TCP port 11211: Address already in use", "port 11211"},
		{"haproxy", "cannot bind socket (Address already in use) for [127.0.0.1:8080]",
			"127.0.0.1:8080"},
		{"php-fpm", "unable to bind listening socket for address '127.0.0.1:9000': Address " +
			"already in use (98)", "127.0.0.1:9000"},
		{"python", "OSError: [Errno 98] Address already in use", ""},
		{"localhost", "bind localhost:70: address already in use", "127.0.0.1:70"},
		{"no port", "bind 127.0.0.1:99999: address already in use", ""},
		{"another fault", "connect to 127.0.0.1:80: connection refused", "silent"},
	} {
		all, said := addressesIn(strings.Split(c.lines, "\n"))
		var got []string
		for _, a := range all {
			got = append(got, a.String())
		}
		text := strings.Join(got, " ")
		if !said {
			text = "silent"
		}
		if text != c.want {
			t.Errorf("%s: got %q, want %q", c.program, text, c.want)
		}
	}
}

func FuzzAddressesIn(f *testing.F) {
	f.Add("listen tcp [::1]:8080: bind: address already in use")
	f.Fuzz(func(t *testing.T, line string) {
		all, said := addressesIn([]string{line})
		if len(all) > maxAddresses || !said && len(all) > 0 {
			t.Errorf("got %v %v", all, said)
		}
	})
}

func TestConflicts(t *testing.T) {
	for _, c := range []struct {
		wanted, bound string
		want          bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "0.0.0.0:80", true},
		{"127.0.0.1:80", "[::]:80", true},
		{":80", "127.0.0.2:80", true},
		{"0.0.0.0:80", "127.0.0.2:80", true},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "127.0.0.1:81", false},
	} {
		a, ok := parseAddress(c.wanted)
		if got := a.conflicts(netip.MustParseAddrPort(c.bound)); !ok || got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.wanted, c.bound, got, c.want)
		}
	}
}

func TestInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	said := []string{"bind: Address already in use"}
	for _, c := range []struct {
		name string
		end  End
		want bool
	}{
		{"silent, not ready", End{Starting: true, Addresses: []string{address}}, true},
		{"silent, was ready", End{Addresses: []string{address}}, false},
		{"said", End{Output: []string{"bind " + address + ": Address already in use"}}, true},
		{"said, address of a probe", End{Output: said, Addresses: []string{address}}, true},
		{"said, argument", End{Output: said, Args: []string{"x", "--port=" + port}}, true},
		{"said, free", End{Output: []string{"bind 127.0.0.1:1: Address already in use"}}, false},
	} {
		got := inUse(context.Background(), c.end)
		named := strings.Contains(got, " is in use by a listen block")
		if named != c.want || !c.want && got != "" {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func TestOwnerOf(t *testing.T) {
	self := os.Getpid()
	parents := map[int]int{10: self, 11: 10, 20: self, 21: 20, 30: 1}
	parent := func(pid int) int { return parents[pid] }
	children := map[int]string{10: "web"}
	for pid, want := range map[int]string{
		10: "web true", 11: "web true", 21: " true", 30: " false", 99: " false",
	} {
		child, below := ownerOf(pid, children, parent)
		if got := fmt.Sprint(child, " ", below); got != want {
			t.Errorf("%d: got %q, want %q", pid, got, want)
		}
	}
}

func TestOOMText(t *testing.T) {
	const limit = 64 << 20
	before := oomCounts{dir: "/g", group: 3, machine: 5, limit: limit}
	after := oomCounts{dir: "/g", group: 4, machine: 6, limit: limit}
	big := End{Killed: true, MaxRSS: limit / 1024}
	small := End{Killed: true, MaxRSS: 10}
	const group = " (limit of the cgroup 64 MiB)"
	for _, c := range []struct {
		name          string
		end           End
		before, after oomCounts
		victim        string
		inGroup       bool
		want          string
	}{
		{"uses the limit", big, before, after, "", false, "killed by the OOM killer" + group},
		{"is small", small, before, after, "", false, "probably killed by the OOM killer" + group},
		{"no limit", big, oomCounts{dir: "/g"}, oomCounts{dir: "/g", group: 1}, "", false,
			"probably killed by the OOM killer"},
		{"kernel log", small, before, after, "x", true, "killed by the OOM killer" + group},
		{"machine", small, before, after, "x", false,
			"killed by the OOM killer (the machine was out of memory)"},
		{"wrapper", End{Code: 137}, before, after, "", false,
			"a process of it was probably killed by the OOM killer" + group},
		{"another group", big, before, oomCounts{dir: "/g", group: 3, machine: 9}, "", false, ""},
		{"no counter of a group", big, oomCounts{machine: 1}, oomCounts{machine: 2}, "", false,
			"possibly killed by the OOM killer, which has killed a process of this machine"},
		{"moved", big, before, oomCounts{dir: "/h", group: 9}, "", false, ""},
	} {
		got := oomText(c.end, c.before, c.after, c.victim, c.inGroup)
		if NamesOOMKiller(got) != (c.want != "") {
			t.Errorf("%q: names the OOM killer: %v", got, NamesOOMKiller(got))
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParseVictim(t *testing.T) {
	for _, c := range []struct{ record, want string }{
		{"4,1,2,-;Memory cgroup out of memory: Killed process 12 (perl) total-vm:1kB", "perl true"},
		{"4,1,2,-;Out of memory: Killed process 12 (perl) total-vm:1kB", "perl false"},
		{"4,1,2,-;Memory cgroup out of memory: Killed process 123 (perl) total-vm:1kB", ""},
		{"4,1,2,-;a user says: Killed process 12 (perl)", ""},
		{"4,1,2,-;oom_reaper: reaped process 12 (perl)", ""},
		{"", ""},
	} {
		name, inGroup, ok := parseVictim(c.record, 12)
		got := ""
		if ok {
			got = fmt.Sprint(name, " ", inGroup)
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.record, got, c.want)
		}
	}
}

// TestReadOOMCounts reads the files of both versions of control groups.
func TestReadOOMCounts(t *testing.T) {
	root := t.TempDir()
	write := func(name, content string) string {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	f := files{mounts: filepath.Join(root, "v2"), vmstat: write("vmstat", "a 1\noom_kill 7\n")}
	f.cgroup = write("cgroup", "0::/a/b\n")
	write("v2/a/b/memory.events", "oom 9\noom_kill 2\n")
	write("v2/a/b/memory.max", "max\n")
	write("v2/a/memory.max", "1048576\n")
	want := oomCounts{dir: filepath.Join(f.mounts, "a/b"), group: 2, machine: 7, limit: 1 << 20}
	if got := readOOMCounts(f); got != want {
		t.Errorf("version 2: got %+v, want %+v", got, want)
	}
	f.mounts = filepath.Join(root, "v1")
	f.cgroup = write("cgroup1", "4:memory:/docker/x\n0::/docker/x\n") // the mount starts at x
	write("v1/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
	write("v1/memory/memory.limit_in_bytes", "67108864\n")
	want = oomCounts{dir: filepath.Join(f.mounts, "memory"), group: 4, machine: 7, limit: 64 << 20}
	if got := readOOMCounts(f); got != want {
		t.Errorf("version 1: got %+v, want %+v", got, want)
	}
	none := readOOMCounts(files{cgroup: "/none", mounts: "/none", vmstat: "/none"})
	if want := (oomCounts{machine: -1}); none != want {
		t.Errorf("no files: got %+v, want %+v", none, want)
	}
}

// TestOOMCountersOfGroup checks that the counter of the control group is read if that of the
// machine has risen, or cannot be read.
func TestOOMCountersOfGroup(t *testing.T) {
	const killed = "probably killed by the OOM killer"
	for _, c := range []struct{ name, vmstat, want string }{
		{"the machine's counter rose", "oom_kill 8\n", killed},
		{"it did not rise", "oom_kill 7\n", ""},
		{"it is not there", "a 1\n", killed},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, content string) string {
				name = filepath.Join(root, name)
				if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				return name
			}
			write("memory.events", "oom_kill 3\n")
			f := files{
				mounts: root, cgroup: write("cgroup", "0::/\n"), vmstat: write("vmstat", c.vmstat),
				kmsg: filepath.Join(root, "none"),
			}
			o := oomCounters{files: f, last: oomCounts{dir: root, group: 2, machine: 7}}
			if got := o.explain(End{Killed: true}); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestFindIsBounded finds a cause in lines that are as long and as many as they can be.
func TestFindIsBounded(t *testing.T) {
	line := string(bytes.Repeat([]byte("1.1.1.1:1 "), 6400)) + "address already in use"
	e := End{Output: slices.Repeat([]string{line, "EADDRINUSE " + line}, 20)}
	if got := NewFinder().Find(e); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

// newTestCounters returns counters with a file for that of the machine, and a function that writes
// it.
func newTestCounters(t *testing.T) (c *oomCounters, setKills func(int)) {
	dir := t.TempDir()
	c = &oomCounters{files: files{
		cgroup: filepath.Join(dir, "cgroup"), mounts: dir, vmstat: filepath.Join(dir, "vmstat"),
		kmsg: filepath.Join(dir, "kmsg"),
	}}
	setKills = func(n int) {
		text := fmt.Appendf(nil, "oom_kill %d\n", n)
		if err := os.WriteFile(c.files.vmstat, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	setKills(0)
	c.last = readOOMCounts(c.files)
	return c, setKills
}

// TestTwoKills checks that two kills explain two ends, also if both kills are read at the first
// end. A later end has another reason.
func TestTwoKills(t *testing.T) {
	for _, c := range []struct {
		name string
		wait time.Duration // before the second end
		want [3]bool       // which ends are explained
	}{
		{"at once", 0, [3]bool{true, true, false}},
		{"later", 2 * unusedTime, [3]bool{true, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			counters, setKills := newTestCounters(t)
			synctest.Test(t, func(t *testing.T) {
				setKills(2)
				var got [3]bool
				for i := range got {
					got[i] = counters.explain(End{Killed: true}) != ""
					if i == 0 {
						time.Sleep(c.wait)
					}
				}
				if got != c.want {
					t.Errorf("explained: got %v, want %v", got, c.want)
				}
			})
		})
	}
}

// TestOneKill checks that a single kill explains one of two ends at the same time.
func TestOneKill(t *testing.T) {
	c, setKills := newTestCounters(t)
	for kill := 1; kill < 200; kill++ {
		setKills(kill)
		var ends sync.WaitGroup
		var texts [2]string
		for i := range texts {
			ends.Go(func() { texts[i] = c.explain(End{Code: signalCode}) })
		}
		ends.Wait()
		if (texts[0] == "") == (texts[1] == "") {
			t.Fatalf("kill %d: got %q, want one text", kill, texts)
		}
	}
}
