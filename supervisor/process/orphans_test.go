package process

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
)

// TestOrphanNames checks that the name of an orphan is read only if it is needed. The loop of the
// test does not run.
func TestOrphanNames(t *testing.T) {
	for name, c := range map[string]struct {
		needed func() bool
		want   string
	}{
		"without the option": {nil, "sh"},
		"needed":             {func() bool { return true }, "sh"},
		"not needed":         {func() bool { return false }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var facts []Fact
			l, err := New(Options{
				FDs: fdledger.New(noSink{}), NamesOrphans: c.needed,
				Deliver: func(all []Fact) { facts = append(facts, all...) },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.handover.Close()
			defer l.sigchld.Close()
			if err := exec.Command("/bin/sh", "-c", "sh -c 'exit 3' &").Run(); err != nil {
				t.Fatal(err)
			}
			for err = unix.EINTR; err == unix.EINTR; {
				err = unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			l.reapOrphans()
			if len(facts) != 1 {
				t.Fatalf("got %+v, want one fact", facts)
			}
			o, _ := facts[0].(OrphanReaped)
			if o.Command != c.want || o.Exit != (event.Exit{Code: 3}) {
				t.Errorf("got %+v, want the name %q and the code 3", o, c.want)
			}
		})
	}
}
