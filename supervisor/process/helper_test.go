package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/fixture/needs"
)

const nobody = 65534

// newUnprivilegedLoop returns a loop whose thread, and what it forks, has no CAP_SYS_PTRACE.
func newUnprivilegedLoop(t *testing.T) *testLoop {
	t.Helper()
	needs.Check(t, "root")
	b := newTestLoop(t)
	failed := make(chan error, 1)
	b.commands.Put(func() {
		b.privileged = false
		failed <- dropPtrace()
	})
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return b
}

// dropPtrace takes CAP_SYS_PTRACE from the calling thread.
func dropPtrace() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
	data[0].Permitted &^= 1 << unix.CAP_SYS_PTRACE
	return unix.Capset(&header, &data[0])
}

// userSpec is the spec of a fixture that runs as another user. The binary is copied to a place that
// this user can reach.
func (b *testLoop) userSpec(program string) Spec {
	b.t.Helper()
	s := b.silentSpec(program)
	id := uint32(nobody)
	s.Attributes.UID, s.Attributes.GID, s.Attributes.Groups = &id, &id, []uint32{}
	s.Path = userBinary(b.t, s.Path)
	s.Argv = []string{s.Path}
	return s
}

func userBinary(t *testing.T, self string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fixture-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "fixture")
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// spawnUser starts a spec and reads its lines up to "ready".
func (b *testLoop) spawnUser(s Spec) (id ID, lines []string, rest *bufio.Scanner) {
	b.t.Helper()
	id, out := b.startSpec(s)
	rest = bufio.NewScanner(out)
	for rest.Scan() && rest.Text() != "ready" {
		lines = append(lines, rest.Text())
	}
	return id, lines, rest
}

// TestExactProofOfAnotherUser: without CAP_SYS_PTRACE a child of another user has an exact proof,
// its threads and descendants too, and the trace helper does not count as an orphan. A stop in
// which the machine was too slow for the time limit of a scan is repeated.
func TestExactProofOfAnotherUser(t *testing.T) {
	b := newUnprivilegedLoop(t)
	daemons := map[int]bool{}
	for _, program := range []string{"leaky", "threads", "daemon sleep stay"} {
		spec := b.userSpec(program)
		for exact, tries := 0, 0; exact < 2; tries++ {
			id, out := b.startSpec(spec)
			in := bufio.NewScanner(out)
			var lines []string
			for in.Scan() && in.Text() != "ready" {
				lines = append(lines, in.Text())
				if strings.HasPrefix(in.Text(), "daemon ") {
					break
				}
			}
			b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
			e := b.exited(id)
			fds := []FDResult{e.FDs}
			var pid int
			if _, err := fmt.Sscanf(strings.Join(lines, " "), "daemon %d", &pid); err == nil {
				daemons[pid] = true
				d := wait(b, func(d DescendantEnded) bool { return d.Pid == pid })
				fds = append(fds, d.FDs)
			}
			if slices.ContainsFunc(fds, wasLate) && tries < 20 {
				continue
			}
			exact++
			for _, r := range fds {
				if r.Proof != event.ProofExact || e.Exit.Signal != "" {
					t.Errorf("%s: proof %s (%s), exit %+v", program, r.Proof, r.Reason, e.Exit)
				}
			}
			if program == "leaky" {
				checkFDs(t, e.FDs, lines[1:])
			}
			if program == "threads" && e.Threads < 2 {
				t.Errorf("%d threads, want more than 1", e.Threads)
			}
		}
	}
	for _, f := range b.passed {
		if o, ok := f.(OrphanReaped); ok && !daemons[o.Pid] {
			t.Errorf("%+v is no orphan of the test", o)
		}
	}
}

// wasLate reports whether a proof is not exact because the machine was too slow.
func wasLate(r FDResult) bool {
	return strings.Contains(r.Reason, "took more than") ||
		strings.Contains(r.Reason, "did not answer in time")
}

// TestChildMayNotSignalSupervisor: a child of another user asks for the permission to signal each
// thread of the supervisor, while processes of this user are seized.
func TestChildMayNotSignalSupervisor(t *testing.T) {
	b := newUnprivilegedLoop(t)
	attacker, _, said := b.spawnUser(b.userSpec("attack parent"))
	victim := b.userSpec("sleep")
	for range 20 {
		id, _, _ := b.spawnUser(victim)
		b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
		if e := b.exited(id); !e.Exit.OK() {
			t.Errorf("exit %+v", e.Exit)
		}
	}
	b.Signal(attacker, unix.SIGKILL, 1, event.ProofExact)
	b.exited(attacker)
	for said.Scan() {
		t.Errorf("a child of user %d: %s", nobody, said.Text())
	}
}

// TestChildSignalsTraceHelper: a child of another user stops or kills the trace helper. The stop
// signals are not lost.
func TestChildSignalsTraceHelper(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGSTOP} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			b := newUnprivilegedLoop(t)
			attack := b.userSpec("attack helper " + strconv.Itoa(int(sig)))
			attacker, _, said := b.spawnUser(attack)
			victim := b.userSpec("sleep")
			exact := 0
			for range 5 {
				id, _, _ := b.spawnUser(victim)
				b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
				e := b.exited(id)
				if !e.Exit.OK() {
					t.Errorf("exit %+v", e.Exit)
				}
				if e.FDs.Proof == event.ProofExact {
					exact++
				}
			}
			b.Signal(attacker, unix.SIGKILL, 1, event.ProofExact)
			b.exited(attacker)
			for said.Scan() {
				t.Logf("%s: the attacker: %s", sig, said.Text())
			}
			t.Logf("%d of 5 exact", exact)
		})
	}
}

// TestTraceHelperKilled kills the trace helpers at random moments of stops. No signal is lost, and
// each process ends by its own exit code. SUPERVISOR_HELPER_KILLS sets the number of stops.
func TestTraceHelperKilled(t *testing.T) {
	b := newUnprivilegedLoop(t)
	stops, err := strconv.Atoi(os.Getenv("SUPERVISOR_HELPER_KILLS"))
	if err != nil {
		stops = 12
	}
	spec := b.userSpec("sleep")
	proofs := map[event.Proof]int{}
	var killed atomic.Int32
	for i := range stops {
		id, _, _ := b.spawnUser(spec)
		over := make(chan struct{})
		k := helperKill{after: time.Duration(i%40) * 250 * time.Microsecond, started: i%4 > 0}
		go b.killHelper(k, over, &killed)
		b.Signal(id, unix.SIGTERM, 1, event.ProofExact)
		e := b.exited(id)
		close(over)
		if !e.Exit.OK() {
			t.Errorf("stop %d: exit %+v", i, e.Exit)
		}
		proofs[e.FDs.Proof]++
	}
	t.Logf("%d stops, %d helpers killed, proofs %v", stops, killed.Load(), proofs)
}

// helperKill says when a trace helper is killed: some time after its fork, or after its first
// answer.
type helperKill struct {
	after   time.Duration
	started bool
}

// killHelper sends SIGKILL to a trace helper, and lets the loop start the next one at once.
func (b *testLoop) killHelper(k helperKill, over chan struct{}, killed *atomic.Int32) {
	var pid int
	for pid == 0 {
		select {
		case <-over:
			return
		default:
		}
		found := make(chan int, 1)
		b.commands.Put(func() {
			clear(b.helpers.retryAt)
			for p, h := range b.helpers.byPid {
				if h.started || !k.started {
					found <- p
					return
				}
			}
			found <- 0
		})
		pid = <-found
	}
	select {
	case <-over:
	case <-time.After(k.after):
		if unix.Kill(pid, unix.SIGKILL) == nil {
			killed.Add(1)
		}
	}
}
