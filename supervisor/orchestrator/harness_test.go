package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/notify"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noLedger is the fd ledger of a relay that opens no descriptor.
type noLedger struct{ t *testing.T }

func (l noLedger) OpenedInternal(fd int, kind, target string) {
	l.Opened(fd, kind, target)
}

func (l noLedger) Opened(fd int, kind, target string) {
	l.t.Errorf("descriptor %d was opened: %s %s", fd, kind, target)
}

func (l noLedger) Close(fd int, close func() error) error {
	l.t.Errorf("descriptor %d was closed", fd)
	return close()
}

// newRelay returns a real output relay. It must be made outside of the synctest bubble: its writers
// block until the relay is closed.
func newRelay(t *testing.T) *output.Relay {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	relay := output.NewRelay(output.Options{Stdout: null, Stderr: null, FDs: noLedger{t}})
	t.Cleanup(func() {
		// On a busy machine a writer may not be scheduled in the 20 ms that Close waits for it.
		// goleak finds a writer that never ends.
		err := relay.Close(context.Background())
		if err != nil && !errors.Is(err, output.ErrWriteBlocked) {
			t.Error(err)
		}
		if err := null.Close(); err != nil {
			t.Error(err)
		}
	})
	return relay
}

// fakeProcess is a process as the process loop would know it.
type fakeProcess struct {
	id        process.ID
	name      string              // of the instance
	spec      process.Spec        // it was spawned by it
	pid       int                 // 0: its Spawned is not delivered yet
	signalled bool                // it got a signal of its stop sequence
	killed    bool                // it got SIGKILL
	queued    []process.Signalled // delivered once it has a pid
	sockets   []spawn.Socket
	addresses []string // of sockets
	mainEnded bool     // its main process ended, and descendants outlive it
}

// harness plays the surroundings of an orchestrator: the process loop, the sockets, the
// configuration file and the users. It records what the orchestrator does as text.
type harness struct {
	t       *testing.T
	o       *Orchestrator
	configs []*config.Config
	done    chan error // the result of Supervise
	began   time.Time
	paused  atomic.Int64 // nanoseconds in which the supervisor was paused

	mu         sync.Mutex // guards all fields below
	log        []string   // actions since the last call of actions
	events     []event.Event
	processes  []*fakeProcess // in the order of their spawns
	lastPid    int
	stopping   bool               // no spawn may follow
	cleanupDue bool               // an orphan cleanup is to be answered
	cleanups   [][2]time.Duration // killAt and giveUp of each cleanup, since the stop began
	loader     loader
	probes     probeResult
	sockets    fakeSockets
	listeners  func(*fakeProcess) []string // where it listens; may be nil
	notify     map[process.ID]*fakeNotify
	fds        fakeFDs
	unhandled  bool               // a reload signal would end the processes
	onSpawn    func(name string)  // called with the lock; may be nil
	onFork     func(*fakeProcess) // called with the lock; may be nil
	onSignal   func(name string)  // called with the lock; may be nil
	onEvent    func(event.Event)  // called with the lock; may be nil
}

// loader plays the reading of the configuration file.
type loader struct {
	next  *config.Config
	err   error
	gate  chan struct{} // a load waits until it is closed
	loads int
}

// probeResult is the result of commands of probes.
type probeResult struct {
	fail  bool // they exit with 1
	short bool // they cannot be started for lack of a process
}

// fakeSockets are listening sockets.
type fakeSockets struct {
	open  map[string]int            // descriptors by address
	last  int                       // no descriptor is used twice, so that a stale one is noticed
	taken string                    // an address that cannot be opened
	inUse func(address string) bool // a process has the address; may be nil
}

// newHarness starts an orchestrator of the first configuration, in a synctest bubble.
func newHarness(t *testing.T, relays OutputRelay, configs ...*config.Config) *harness {
	h := &harness{t: t, configs: configs, done: make(chan error, 1), began: time.Now()}
	h.notify = map[process.ID]*fakeNotify{}
	h.sockets.open = map[string]int{}
	h.loader.gate = make(chan struct{})
	close(h.loader.gate)
	h.o = New(Options{
		Config: configs[0], Load: h.load, Configure: func(*config.Config) {}, Processes: h,
		Relays: relays, Sockets: h, Sink: h, Notify: fakeReceiver{h},
		ProcessDefaults: process.Spec{Spec: spawn.Spec{Stdin: -1}}, Terminal: true, Now: h.now,
		CountFDs: h.fds.count, CommonFDs: h.fds.common,
	})
	if err := h.Open(configs[0].Listens()); err != nil {
		t.Fatal(err)
	}
	go func() { h.done <- h.o.Supervise() }()
	return h
}

// now returns the time of the bubble and the pauses in it.
func (h *harness) now() time.Duration {
	return time.Since(h.began) + time.Duration(h.paused.Load())
}

// withHarness runs a test with an orchestrator of the first configuration.
func withHarness(t *testing.T, configs []*config.Config, test func(*harness)) {
	relay := newRelay(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, relay, configs...)
		defer h.finish()
		test(h)
	})
}

func (h *harness) load() (*config.Config, error) {
	h.mu.Lock()
	h.loader.loads++
	gate := h.loader.gate
	h.mu.Unlock()
	<-gate
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.loader.next, h.loader.err
}

// holdLoads makes the next loads wait until release is called.
func (h *harness) holdLoads() (release func()) {
	gate := make(chan struct{})
	h.mu.Lock()
	h.loader.gate = gate
	h.mu.Unlock()
	return func() { close(gate) }
}

// record appends an action to the log. Called with the lock.
func (h *harness) record(format string, a ...any) {
	h.log = append(h.log, fmt.Sprintf(format, a...))
}

// actions waits until all goroutines are blocked. It returns the actions since the last call.
func (h *harness) actions() string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.Join(h.log, ", ")
	h.log = nil
	return s
}

// want does a step and compares the actions, including their order.
func (h *harness) want(do, want string) {
	h.t.Helper()
	h.do(do)
	if got := h.actions(); !dependencyOrder(h.configs).match(got, want) {
		h.t.Errorf("%q:\n got %s\nwant %s", do, got, want)
	}
}

// eventsOf returns the events of a type, in the order in which they were emitted.
func eventsOf[E event.Event](h *harness) []E {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []E
	for _, e := range h.events {
		if e, ok := e.(E); ok {
			all = append(all, e)
		}
	}
	return all
}

// The methods of Sockets.

func (h *harness) Open(listen []config.Listen) error {
	_, err := h.Take(listen)
	return err
}

func (h *harness) Take(listen []config.Listen) (fds []int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &h.sockets
	for _, l := range listen {
		if l.TCP == s.taken || s.open[l.TCP] == 0 && s.inUse != nil && s.inUse(l.TCP) {
			return nil, errors.New("address in use")
		}
	}
	for _, l := range listen {
		if s.open[l.TCP] == 0 {
			s.last++
			s.open[l.TCP] = s.last
			h.record("open %s", l.TCP)
		}
		fds = append(fds, s.open[l.TCP])
	}
	return fds, nil
}

func (h *harness) Keep(needed func(string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, address := range slices.Sorted(maps.Keys(h.sockets.open)) {
		if needed(address) {
			continue
		}
		inherited := func(s spawn.Socket) bool { return s.FD == h.sockets.open[address] }
		for _, p := range h.processes {
			if p.pid == 0 && slices.ContainsFunc(p.sockets, inherited) {
				h.t.Errorf("%s is closed before the fork of %s, which inherits it", address, p.name)
			}
		}
		delete(h.sockets.open, address)
		h.record("close %s", address)
	}
}

func (h *harness) Empty() bool { return len(h.sockets.open) == 0 }

// fakeReceiver opens notification sockets.
type fakeReceiver struct{ h *harness }

func (r fakeReceiver) Open(p notify.Process) (NotifySocket, error) {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	s := &fakeNotify{h: r.h, arrived: p.Arrived}
	r.h.notify[process.ID(p.Number)] = s
	return s, nil
}

func (r fakeReceiver) Close() {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	for id, s := range r.h.notify {
		if !s.closed && r.h.processByID(id) == nil {
			r.h.t.Errorf("the notification socket of process %d is still open", id)
		}
	}
}

// fakeNotify is the notification socket of a process.
type fakeNotify struct {
	h        *harness
	arrived  func()
	queued   []notify.Message // read by Drain only
	messages []notify.Message
	rejected string
	closed   bool
}

func (s *fakeNotify) Address() string { return "/run/test" }

// say queues a message, or why one was rejected.
func (s *fakeNotify) say(m notify.Message, rejected string) {
	s.h.mu.Lock()
	s.messages, s.rejected = append(s.messages, m), rejected
	s.h.mu.Unlock()
	s.arrived()
}

func (s *fakeNotify) Messages(int) ([]notify.Message, string) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	m, rejected := s.messages, s.rejected
	s.messages, s.rejected = nil, ""
	return m, rejected
}

func (s *fakeNotify) Drain(main int) ([]notify.Message, string) {
	s.h.mu.Lock()
	s.messages, s.queued = append(s.messages, s.queued...), nil
	s.h.mu.Unlock()
	return s.Messages(main)
}

func (s *fakeNotify) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.closed = true
}

// The methods of Processes.

func (h *harness) Spawn(id process.ID, s process.Spec) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if hook := hookOf(s); hook != "" {
		s.Name += "." + hook
		h.checkHook(s.Name, hook)
	} else if h.stopping || len(h.cleanups) > 0 {
		h.t.Errorf("%s is spawned after a stop began", s.Name)
	}
	if h.processOf(s.Name) != nil && !h.mayHaveTwo(s.Name) {
		h.t.Errorf("%s is spawned while it has a process", s.Name)
	}
	if h.onSpawn != nil {
		h.onSpawn(s.Name)
	}
	p := &fakeProcess{id: id, name: s.Name, spec: s, sockets: s.Sockets}
	for address, fd := range h.sockets.open {
		if slices.ContainsFunc(s.Sockets, func(s spawn.Socket) bool { return s.FD == fd }) {
			p.addresses = append(p.addresses, address)
		}
	}
	if h.onFork != nil {
		h.onFork(p)
	}
	h.processes = append(h.processes, p)
	for _, socket := range s.Sockets {
		if !slices.Contains(slices.Collect(maps.Values(h.sockets.open)), socket.FD) {
			h.t.Errorf("%s inherits a socket that is closed", s.Name)
		}
	}
	h.record("spawn %s%s", s.Name, strings.Join(s.Argv[1:], ""))
}

// hookOf returns the hook that a process is; empty: it is a main process.
func hookOf(s process.Spec) string {
	for _, entry := range s.Env {
		if name, found := strings.CutPrefix(entry, "SUPERVISOR_HOOK="); found {
			return name
		}
	}
	return ""
}

// instanceOf returns the instance of a process by its name, which is that of a hook too.
func instanceOf(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

// checkHook checks that a hook may be spawned now. Called with the lock.
func (h *harness) checkHook(name, hook string) {
	instance := instanceOf(name)
	beside := h.processOf(instance) != nil && hook != config.StopHook
	switch {
	case len(h.cleanups) > 0 || hook == config.PreStartHook && h.stopping:
		h.t.Errorf("%s is spawned too late in a stop", name)
	case beside && !h.mayHaveTwo(instance):
		h.t.Errorf("%s is spawned beside a process of its instance", name)
	}
}

// mayHaveTwo reports whether two processes of one name may exist: during an overlapping update.
func (h *harness) mayHaveTwo(name string) bool {
	name = instanceOf(name)
	current, surges, retired := 0, 0, 0
	for _, inst := range h.o.instances {
		switch {
		case inst.spec.Name != name:
		case inst.current():
			current++
		case inst.update.surgeOf != nil:
			surges++
		default:
			retired++
		}
	}
	return current < 2 && surges < 2 && surges+retired > 0
}

func (h *harness) Signal(id process.ID, sig unix.Signal, step int, _ event.Proof) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.processByID(id)
	if p == nil {
		return // like the process loop, for a process that has ended
	}
	h.record("%s %s", signalName(sig), p.name)
	if h.onSignal != nil && !p.signalled {
		h.onSignal(p.name)
	}
	p.signalled = true
	p.killed = p.killed || sig == unix.SIGKILL
	fact := process.Signalled{Process: id, Pid: p.pid, Signal: sig, Step: step}
	if p.pid == 0 {
		p.queued = append(p.queued, fact)
		return
	}
	h.o.Deliver(fact)
}

func (h *harness) SetMainProcess(id process.ID, pid int) {
	h.recordFor(id, "successor %d", pid)
}

func (h *harness) HandOver(id process.ID, pid int) {
	h.recordFor(id, "hand over to %d", pid)
}

func (h *harness) SetScope(id process.ID, s lifecycle.Scope, _ bool) {
	h.recordFor(id, "scope %s", s)
}

func (h *harness) Forward(id process.ID, _, sig unix.Signal) {
	h.recordFor(id, "forward %s", signalName(sig))
}

func (h *harness) Send(id process.ID, sig unix.Signal) {
	h.recordFor(id, "send %s", signalName(sig))
}

func (h *harness) Reload(id process.ID, sig unix.Signal) {
	h.mu.Lock()
	p := h.processByID(id)
	withheld := p != nil && h.unhandled
	h.mu.Unlock()
	if withheld {
		h.recordFor(id, "withhold %s", signalName(sig))
		h.o.Deliver(process.Withheld{Process: id, Pid: p.pid, Signal: sig})
		return
	}
	h.recordFor(id, "reload by %s", signalName(sig))
}

// recordFor records an action about a process, followed by the name of its instance.
func (h *harness) recordFor(id process.ID, format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.processByID(id); p != nil {
		h.record("%s %s", fmt.Sprintf(format, a...), p.name)
	}
}

// RunProbe plays a command that takes as long as its argument says.
func (h *harness) RunProbe(ctx context.Context, s spawn.Spec) error {
	h.mu.Lock()
	h.record("probe %s", s.Name)
	h.mu.Unlock()
	d, _ := time.ParseDuration(s.Argv[1])
	select {
	case <-time.After(d):
	case <-ctx.Done():
		h.mu.Lock()
		defer h.mu.Unlock()
		h.record("kill probe")
		return errors.New("the command did not end in time")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.probes.short:
		return fmt.Errorf("%w: %w", process.ErrProbeNotStarted, unix.EAGAIN)
	case h.probes.fail:
		return errors.New("the command exited with code 1")
	}
	return nil
}

// Inspect finds the listeners of a process, if a test has set them.
func (h *harness) Inspect(id process.ID, _ unix.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.processByID(id)
	if h.listeners == nil || p == nil {
		return
	}
	found := process.Inspected{Process: id, Pid: p.pid, At: time.Now()}
	for _, address := range h.listeners(p) {
		found.FDs = append(found.FDs, procfs.FD{
			Num: 3, Kind: "socket", Target: "tcp " + address + " listen",
			Socket: &sockdiag.Endpoint{Listener: true},
		})
	}
	h.o.Deliver(found)
}

// Listeners answers with the addresses of listeners that a test has set.
func (h *harness) Listeners(
	_ context.Context, ids []process.ID,
) (map[process.ID][]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := map[process.ID][]string{}
	for _, id := range ids {
		if p := h.processByID(id); p != nil && h.listeners != nil {
			found[id] = h.listeners(p)
		}
	}
	return found, nil
}

func (h *harness) CleanUpOrphans(killAt, giveUp time.Time, _ event.Proof) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cleanupDue = true
	began := h.o.shutdown.beganAt
	h.cleanups = append(h.cleanups, [2]time.Duration{killAt.Sub(began), giveUp.Sub(began)})
	h.record("cleanup")
}

func (h *harness) MarkReady(process.ID)             {}
func (h *harness) Diagnose(process.ID, unix.Signal) {}
func (h *harness) SetDeadline(time.Time)            {}

// processOf returns the oldest process of an instance, or nil. Called with the lock.
func (h *harness) processOf(name string) *fakeProcess {
	return h.find(func(p *fakeProcess) bool { return p.name == name })
}

func (h *harness) processByID(id process.ID) *fakeProcess {
	return h.find(func(p *fakeProcess) bool { return p.id == id })
}

func (h *harness) find(is func(*fakeProcess) bool) *fakeProcess {
	if i := slices.IndexFunc(h.processes, is); i >= 0 {
		return h.processes[i]
	}
	return nil
}

// Emit records an event: it is the method of event.Sink.
func (h *harness) Emit(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	if h.onEvent != nil {
		h.onEvent(e)
	}
	if _, ok := e.(event.ShutdownBegun); ok {
		h.stopping = true
	}
	if s := describe(e); s != "" {
		h.record("%s", s)
	}
	if s := describeReload(e); s != "" {
		h.record("%s", s)
	}
}

// describe returns the text of an event about an instance or the stop; empty: it is not recorded.
func describe(e event.Event) string {
	switch e := e.(type) {
	case event.Ready:
		return e.Child + " ready"
	case event.NotReady:
		return e.Child + " not ready"
	case event.CheckFailed:
		return fmt.Sprintf("%s check %s failed", e.Child, e.Check)
	case event.CheckPassed:
		return fmt.Sprintf("%s check %s passed", e.Child, e.Check)
	case event.Unhealthy:
		return e.Child + " unhealthy"
	case event.ProbeSkipped:
		return fmt.Sprintf("%s probe %s not started", e.Child, e.Probe)
	case event.Notified:
		return strings.TrimSpace(e.Child + " " + e.What + " " + e.Detail)
	case event.DescendantsOutlive:
		return fmt.Sprintf("%s outlived by %v", e.Child, e.Descendants)
	case event.SpawnDelayed:
		return fmt.Sprintf("%s delayed %v", e.Child, e.Delay)
	case event.SpawnFailed:
		return e.Child + " not spawned"
	case event.Restarting:
		return fmt.Sprintf("%s restart %d", e.Child, e.Attempt)
	case event.Completed:
		return e.Child + " completed"
	case event.Failed:
		return e.Child + " failed"
	case event.DependencyFailed:
		return fmt.Sprintf("%s blocked by %s", e.Child, e.For)
	case event.Paused:
		return "paused"
	case event.StartWaits:
		if e.Halted {
			return fmt.Sprintf("%s waits for halted %s: %s", e.Child, e.For, e.Reason)
		}
		return fmt.Sprintf("%s waits for %s: %s", e.Child, e.For, e.Reason)
	case event.ShutdownBegun:
		return "stop: " + e.Reason
	case event.Leftover:
		return fmt.Sprintf("leftover %d", e.Number)
	case event.Warning:
		return "warning: " + e.Reason
	case event.Fault:
		return "fault: " + e.Reason
	}
	return ""
}

// describeReload returns the text of an event about a reload.
func describeReload(e event.Event) string {
	switch e := e.(type) {
	case event.ReloadHalted:
		if e.Restart {
			return fmt.Sprintf("restart halted %s: %s", e.Child, e.Reason)
		}
		return fmt.Sprintf("halted %s: %s", e.Child, e.Reason)
	case event.RollbackStarted:
		return "rollback for " + e.Child
	case event.ConfigReloaded:
		return fmt.Sprintf("reloaded +%v -%v ~%v =%v", e.Added, e.Removed, e.Changed, e.Kept)
	case event.ConfigRejected:
		return "rejected: " + e.Diagnostics
	case event.ReloadIgnored:
		return "ignored: " + e.Reason
	case event.ReloadSignalWithheld:
		return fmt.Sprintf("%s does not get %s", e.Child, e.Signal)
	}
	return ""
}
