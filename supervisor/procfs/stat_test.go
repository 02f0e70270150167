package procfs

import (
	"os"
	"testing"
)

const statFields = " S 7 9 3 4 5 4194560 1 2 3 4 5 6 7 8 20 0 1 0 999 12 13"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"plain", "a) S 1 (b", ""} {
		want := Stat{
			Pid: 42, Comm: name, State: 'S', PPid: 7, PGrp: 9, Session: 3, Flags: 4194560,
			StartTime: 999,
		}
		s, err := parseStat([]byte("42 (" + name + ")" + statFields))
		if err != nil || s != want {
			t.Errorf("%q: got %+v, %v, want %+v", name, s, err, want)
		}
	}
	for _, bad := range []string{
		"", "(", ")(", "1 (x)", "1 (x) S", "x (x)" + statFields, "1 (x) SS 1 2",
	} {
		if s, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (x)" + statFields))
	f.Fuzz(func(t *testing.T, line []byte) { _, _ = parseStat(line) })
}

func TestReadStatOfOurselves(t *testing.T) {
	s, err := ReadStat(os.Getpid())
	if err != nil || s.PPid != os.Getppid() || s.Dead() || s.Stopped() {
		t.Errorf("got %+v, %v, want a running child of %d", s, err, os.Getppid())
	}
	if now, err := Uptime(); err != nil || now < s.StartTime {
		t.Errorf("the time is %d, %v, and we started at %d", now, err, s.StartTime)
	}
}
