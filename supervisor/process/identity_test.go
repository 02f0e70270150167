package process

import (
	"os/exec"
	"testing"

	"tp0/supervisor/procfs"
)

func TestKernelTime(t *testing.T) {
	at := kernelTime{tick: 100, lastPid: 5000}
	for _, test := range []struct {
		name  string
		start uint64
		pid   int
		want  bool
	}{
		{"a tick before", 99, 6000, true},
		{"a tick after", 101, 4000, false},
		{"in the same tick, before", 100, 5000, true},
		{"in the same tick, after", 100, 5001, false},
		{"in the same tick, before the pids began anew", 100, 32000, false},
		{"in the same tick, long used", 100, 5000 - pidRange, false},
	} {
		if got := at.existed(procfs.Stat{Pid: test.pid, StartTime: test.start}); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	if (kernelTime{}).existed(procfs.Stat{Pid: 1, StartTime: 1}) {
		t.Error("a process existed before everything")
	}
}

// TestKernelTimeOfProcesses forks processes right before and right after a point in time.
func TestKernelTimeOfProcesses(t *testing.T) {
	for range 50 {
		var forked [2]procfs.Stat
		var at kernelTime
		for i := range forked {
			c := exec.Command("/bin/sleep", "100")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			s, err := procfs.ReadStat(c.Process.Pid)
			_ = c.Process.Kill()
			_ = c.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if forked[i] = s; i == 0 {
				at = currentKernelTime()
			}
		}
		if before, after := at.existed(forked[0]), at.existed(forked[1]); !before || after {
			if forked[1].Pid < forked[0].Pid {
				continue // the pids started again
			}
			t.Fatalf("at %+v: before %v (%+v), after %v (%+v)", at, before, forked[0], after,
				forked[1])
		}
	}
}
