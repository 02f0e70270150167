package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noBooks is for a hub that opens nothing which would be entered.
type noBooks struct{ t *testing.T }

func (b noBooks) Opened(fd int, kind, target string) {
	b.t.Errorf("opened %d, %s %s", fd, kind, target)
}
func (b noBooks) Close(fd int, close func() error) error {
	b.t.Errorf("closed %d", fd)
	return close()
}

// newHub makes a real hub. It stays outside of the bubble: its writers wait
// for what is never written.
func newHub(t *testing.T) *output.Relay {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	hub := output.NewRelay(output.Options{Stdout: null, Stderr: null, FDs: noBooks{t}})
	t.Cleanup(func() {
		// On a busy machine a writer may get no processor in the 20 ms that Close waits for it. One
		// that really does not end is found by goleak.
		err := hub.Close(context.Background())
		if err != nil && !strings.HasSuffix(err.Error(), "it does not come back from a write") {
			t.Error(err)
		}
		if err := null.Close(); err != nil {
			t.Error(err)
		}
	})
	return hub
}

// The defaults of newConfig.
const (
	killTimeout = 2 * time.Second
	delay       = time.Second // before a restart, at most
	deadline    = 10 * time.Second
	reserve     = 400 * time.Millisecond
)

// newConfig makes a valid configuration. One deadline, no real output.
func newConfig(children ...*config.Child) *config.Config {
	return &config.Config{
		Shutdown: config.Shutdown{Deadline: deadline, Reserve: reserve, Proof: event.ProofExact},
		Children: children,
	}
}

// change is a difference from the defaults.
type change func(*config.Child, *config.Instance)

// kid makes a child with one instance, "a*2" one with two: a1 and a2.
func kid(name string, changes ...change) *config.Child {
	name, digits, counted := strings.Cut(name, "*")
	n := 1
	if counted {
		n, _ = strconv.Atoi(digits)
	}
	c := &config.Child{Name: name}
	for i := 1; i <= n; i++ {
		in := &config.Instance{
			Name: name, Child: name, Index: i,
			Launch: config.Launch{Command: "cmd", Path: "/bin/cmd", Logs: config.Logs{Format: "text", Stdout: "none", Stderr: "none"}},
			Policy: config.Policy{
				KillSignal: unix.SIGTERM, KillTimeout: killTimeout, MaxParallel: 100, SuccessCodes: []int{0}, OnSuccess: config.Ignore, OnFailure: config.ShutDown,
				Restart: config.Restart{On: "failure", Attempts: 2, Interval: time.Minute, Delay: delay, MaxDelay: delay},
			},
		}
		if counted {
			in.Name += strconv.Itoa(i)
		}
		c.Instances = append(c.Instances, in)
		for _, change := range changes {
			change(c, in)
		}
	}
	return c
}

func after(names ...string) change {
	return func(c *config.Child, _ *config.Instance) {
		c.DependsOn = nil
		for _, name := range names {
			d := config.Dependency{Child: name, Until: config.UntilReady}
			if name, until, ok := strings.Cut(name, ":"); ok {
				d = config.Dependency{Child: name, Until: config.Until(until)}
			}
			c.DependsOn = append(c.DependsOn, d)
		}
	}
}

func policy(set func(*config.Policy)) change {
	return func(_ *config.Child, i *config.Instance) { set(&i.Policy) }
}

var (
	oneshot  = policy(func(p *config.Policy) { p.Oneshot = true })
	sidecar  = policy(func(p *config.Policy) { p.Sidecar = true })
	critical = policy(func(p *config.Policy) { p.Critical = true })
)

func args(a string) change {
	return func(_ *config.Child, i *config.Instance) { i.Launch.Args = []string{a} }
}

func parallel(n int) change { return policy(func(p *config.Policy) { p.MaxParallel = n }) }

var overlapping = policy(func(p *config.Policy) { p.OverlapUpdate = true })

func restart(on string) change {
	return func(_ *config.Child, i *config.Instance) { i.Policy.Restart.On = on }
}

func onFailure(a config.Action) change {
	return func(_ *config.Child, i *config.Instance) { i.Policy.OnFailure = a }
}

func onSuccess(a config.Action) change {
	return func(_ *config.Child, i *config.Instance) { i.Policy.OnSuccess = a }
}

func killBy(s syscall.Signal, after time.Duration) change {
	return func(_ *config.Child, i *config.Instance) { i.Policy.KillSignal, i.Policy.KillTimeout = s, after }
}

func successes(codes ...int) change {
	return func(_ *config.Child, i *config.Instance) { i.Policy.SuccessCodes = codes }
}

func ladder(rungs ...lifecycle.Step) change {
	return func(_ *config.Child, i *config.Instance) {
		i.Policy.KillSequence, i.Policy.KillSignal = rungs, rungs[0].Signal
	}
}

func scope(s lifecycle.Scope) change {
	return func(_ *config.Child, i *config.Instance) { i.Policy.KillScope = s }
}

func readyAt(tcp string) change {
	return func(_ *config.Child, i *config.Instance) {
		i.Launch.Ready = &config.Ready{Probe: config.Probe{TCP: tcp}, Timeout: time.Second}
	}
}

func listenOn(tcp string) change {
	return func(_ *config.Child, i *config.Instance) {
		if tcp != "" {
			i.Launch.Listen = []config.Listen{{Name: "x", TCP: tcp}}
		}
	}
}

// live is a run as the process loop would know it.
type live struct {
	id      process.ID
	name    string
	pid     int  // 0: its fact is still to come
	told    bool // that it is to end
	killed  bool
	pending []process.Signalled // until it has a pid
	sockets []spawn.Socket
	ended   bool // its main process, and descendants outlive it
}

// world plays what is around a fleet: the process loop, the file, and those
// who ask. What the fleet does is written down in words.
type world struct {
	t    *testing.T
	f    *Orchestrator
	cfgs []*config.Config
	over chan error

	mu        sync.Mutex // the fleet's goroutines write while the test may not read yet
	log       []string
	events    []event.Event
	runs      []*live // in the order of their spawns
	pids      int
	stopAsked bool
	swept     bool // a sweep is due
	sweeps    [][2]time.Duration
	load      *config.Config
	loadErr   error
	take      func([]int, notify.Message)
	ill       bool          // commands that are tried exit with 1
	lacking   bool          // commands that are tried cannot be started
	gate      chan struct{} // what a load waits for
	loads     int
	onSpawn   func(name string) // called with the lock; may be nil
	onSignal  func(name string)
	sockets   map[string]int // that are open, with their numbers
	numbers   int
	taken     string // an address that cannot be had
}

// open starts a fleet, in a bubble.
func open(t *testing.T, relays OutputRelay, cfgs ...*config.Config) *world {
	w := &world{t: t, cfgs: cfgs, over: make(chan error, 1), gate: make(chan struct{}), sockets: map[string]int{}}
	close(w.gate)
	w.f = New(Options{
		Config: cfgs[0], Load: w.reload, Configure: func(*config.Config) {}, Processes: w,
		Relays: relays, Sockets: w, Sink: w, ListenNotify: w.listen,
		ProcessDefaults: process.Spec{Spec: spawn.Spec{Stdin: -1}}, Terminal: true,
	})
	if err := w.Open(cfgs[0].Listens()); err != nil {
		t.Fatal(err)
	}
	go func() { w.over <- w.f.Supervise() }()
	return w
}

func (w *world) reload() (*config.Config, error) {
	w.mu.Lock()
	w.loads++
	gate := w.gate
	w.mu.Unlock()
	<-gate
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.load, w.loadErr
}

func (w *world) say(format string, a ...any) { w.log = append(w.log, fmt.Sprintf(format, a...)) }

func (w *world) Open(all []config.Listen) error {
	_, err := w.Take(all)
	return err
}

func (w *world) Take(all []config.Listen) (fds []int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range all {
		if l.TCP == w.taken {
			return nil, errors.New("it is taken")
		}
	}
	for _, l := range all {
		if w.sockets[l.TCP] == 0 {
			w.numbers++ // none is used twice, so that an old one is noticed
			w.sockets[l.TCP] = w.numbers
			w.say("open %s", l.TCP)
		}
		fds = append(fds, w.sockets[l.TCP])
	}
	return fds, nil
}

func (w *world) Keep(needed func(string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, address := range slices.Sorted(maps.Keys(w.sockets)) {
		if needed(address) {
			continue
		}
		for _, r := range w.runs {
			given := func(s spawn.Socket) bool { return s.FD == w.sockets[address] }
			if r.pid == 0 && slices.ContainsFunc(r.sockets, given) {
				w.t.Errorf("%s is closed, and %s is about to be forked with it", address, r.name)
			}
		}
		delete(w.sockets, address)
		w.say("close %s", address)
	}
}

func (w *world) Empty() bool { return len(w.sockets) == 0 }

func (w *world) Spawn(id process.ID, s process.Spec) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopAsked || len(w.sweeps) > 0 {
		w.t.Errorf("%s is spawned after a stop began", s.Name)
	}
	if w.run(s.Name) != nil && !w.replaced(s.Name) {
		w.t.Errorf("%s is spawned while it has a run", s.Name)
	}
	if w.onSpawn != nil {
		w.onSpawn(s.Name)
	}
	w.runs = append(w.runs, &live{id: id, name: s.Name, sockets: s.Sockets})
	for _, k := range s.Sockets {
		if !slices.Contains(slices.Collect(maps.Values(w.sockets)), k.FD) {
			w.t.Errorf("%s gets a socket that is closed", s.Name)
		}
	}
	w.say("spawn %s%s", s.Name, strings.Join(s.Argv[1:], ""))
}

// replaced reports whether a run of an instance may have another beside it.
func (w *world) replaced(name string) bool {
	stand, heirs, others := 0, 0, 0
	for _, u := range w.f.instances {
		switch {
		case u.spec.Name != name:
		case u.current():
			stand++
		case u.update.surgeOf != nil:
			heirs++
		default:
			others++
		}
	}
	return stand < 2 && heirs < 2 && heirs+others > 0
}

func (w *world) Signal(id process.ID, sig unix.Signal, rung int, _ event.Proof) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.runs, func(r *live) bool { return r.id == id })
	if i < 0 {
		return // as the loop does for one that is gone
	}
	r := w.runs[i]
	w.say("%s %s", signalName(sig), r.name)
	if w.onSignal != nil && !r.told {
		w.onSignal(r.name)
	}
	r.told = true
	r.killed = r.killed || sig == unix.SIGKILL
	fact := process.Signalled{Process: id, Pid: r.pid, Signal: sig, Step: rung}
	if r.pid == 0 {
		r.pending = append(r.pending, fact)
		return
	}
	w.f.Deliver(fact)
}

func (w *world) MarkReady(process.ID) {}

func (w *world) SetMainProcess(id process.ID, pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		if r.id == id {
			w.say("successor %d %s", pid, r.name)
		}
	}
}

func (w *world) SetScope(id process.ID, s lifecycle.Scope, _ bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		if r.id == id {
			w.say("scope %s %s", s, r.name)
		}
	}
}

func (w *world) listen(take func([]int, notify.Message)) (Notifier, error) {
	w.take = take
	return w, nil
}

func (w *world) Name() string { return "@test" }
func (w *world) Close()       {}

// RunProbe plays a command that runs for as long as its argument says, and exits
// with 1 unless it is to go well.
func (w *world) RunProbe(ctx context.Context, s spawn.Spec) error {
	w.mu.Lock()
	w.say("try %s", s.Name)
	w.mu.Unlock()
	d, _ := time.ParseDuration(s.Argv[1])
	select {
	case <-time.After(d):
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.say("kill try")
		return errors.New("the command did not end in time")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lacking {
		return fmt.Errorf("%w: %w", process.ErrProbeNotStarted, unix.EAGAIN)
	}
	if w.ill {
		return errors.New("the command exited with code 1")
	}
	return nil
}

func (w *world) Inspect(process.ID, unix.Signal)  {}
func (w *world) Diagnose(process.ID, unix.Signal) {}
func (w *world) Forward(id process.ID, came, sig unix.Signal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		if r.id == id {
			w.say("forward %s %s", signalName(sig), r.name)
		}
	}
}

func (w *world) SetDeadline(time.Time) {}

func (w *world) CleanUpOrphans(killAt, giveUp time.Time, proof event.Proof) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.swept = true
	w.sweeps = append(w.sweeps, [2]time.Duration{killAt.Sub(w.f.shutdown.began), giveUp.Sub(w.f.shutdown.began)})
	w.say("sweep")
}

func (w *world) Emit(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	switch e := e.(type) {
	case event.Ready:
		w.say("%s ready", e.Child)
	case event.NotReady:
		w.say("%s not ready", e.Child)
	case event.CheckFailed:
		w.say("%s check %s failed", e.Child, e.Check)
	case event.CheckPassed:
		w.say("%s check %s passed", e.Child, e.Check)
	case event.Notified:
		w.say("%s", strings.TrimSpace(e.Child+" "+e.What+" "+e.Detail))
	case event.Warning:
		w.say("stranger: %s", e.Reason)
	case event.ReloadHalted:
		w.say("halt %s: %s", e.Child, e.Reason)
	case event.RollbackStarted:
		w.say("back for %s", e.Child)
	case event.DescendantsOutlive:
		w.say("%s outlived by %v", e.Child, e.Descendants)
	case event.Unhealthy:
		w.say("%s unhealthy", e.Child)
	case event.SpawnDelayed:
		w.say("%s delayed %v", e.Child, e.Delay)
	case event.ProbeSkipped:
		w.say("%s probe %s not started", e.Child, e.Probe)
	case event.SpawnFailed:
		w.say("%s not spawned", e.Child)
	case event.Restarting:
		w.say("%s again %d", e.Child, e.Attempt)
	case event.Completed:
		w.say("%s completed", e.Child)
	case event.Failed:
		w.say("%s failed", e.Child)
	case event.DependencyFailed:
		w.say("%s waits in vain for %s", e.Child, e.For)
	case event.ShutdownBegun:
		w.stopAsked = true
		w.say("stop: %s", e.Reason)
	case event.ConfigReloaded:
		w.say("reloaded +%v -%v ~%v =%v", e.Added, e.Removed, e.Changed, e.Kept)
	case event.ConfigRejected:
		w.say("rejected: %s", e.Diagnostics)
	case event.ReloadIgnored:
		w.say("ignored: %s", e.Reason)
	case event.Leftover:
		w.say("left %d", e.Number)
	case event.Fault:
		w.say("fault: %s", e.Reason)
	}
}

// took waits until nothing moves, and returns what the fleet did since the
// last call.
func (w *world) took() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.log, ", ")
	w.log = nil
	return s
}

// run finds an instance's run. Called with the lock.
func (w *world) run(name string) *live {
	for _, r := range w.runs {
		if r.name == name {
			return r
		}
	}
	return nil
}

// up delivers that a run has a pid, no real process's if it is 0.
func (w *world) up(r *live, pid int) {
	w.mu.Lock()
	if w.pids++; pid == 0 {
		pid = 1<<22 + w.pids // beyond the kernel's limit
	}
	r.pid = pid
	pending := r.pending
	w.mu.Unlock()
	w.f.Deliver(process.Spawned{Process: r.id, Pid: pid, At: time.Now()})
	for _, p := range pending {
		p.Pid = pid
		w.f.Deliver(p)
	}
}

// gone takes a run out of the books, and says whether it was killed.
func (w *world) gone(r *live) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = slices.DeleteFunc(w.runs, func(other *live) bool { return other == r })
	return r.killed
}

func (w *world) exit(r *live, e event.Exit, look process.FDResult) {
	killed := w.gone(r)
	if r.ended {
		w.f.Deliver(process.TreeEnded{Process: r.id})
		return
	}
	status := unix.WaitStatus(e.Code<<8 | int(unix.SignalNum(e.Signal)))
	w.f.Deliver(process.Exited{Process: r.id, Pid: r.pid, Exit: e, Status: status, At: time.Now(), Killed: killed, FDs: look})
}

// outlive ends the main process of a run, which descendants outlive. The next exit
// of the run is that of the last one.
func (w *world) outlive(r *live, e event.Exit) {
	w.mu.Lock()
	r.ended = true
	w.mu.Unlock()
	status := unix.WaitStatus(e.Code<<8 | int(unix.SignalNum(e.Signal)))
	w.f.Deliver(process.Exited{
		Process: r.id, Pid: r.pid, Exit: e, Status: status, At: time.Now(), FDs: process.FDResult{Proof: event.ProofNone},
		Survivors: []process.Survivor{{Pid: 77, Command: "worker"}},
	})
}

func (w *world) refuse(r *live, err error) {
	w.gone(r)
	w.f.Deliver(process.SpawnFailed{Process: r.id, Err: err})
}

// do does what a step says, in words: see the tables.
func (w *world) do(step string) (answer string) {
	word := strings.Fields(step)
	if len(word) == 0 {
		return ""
	}
	arg := func(i int) string {
		if i < len(word) {
			return word[i]
		}
		return ""
	}
	run := func() *live {
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		r := w.run(word[1])
		for _, young := range w.runs { // an heir, if there is one
			if word[0] == "exit!" && young.name == word[1] || (word[0] == "up" || word[0] == "refuse" || word[0] == "lack") && young.name == word[1] && young.pid == 0 {
				r = young
			}
		}
		if r == nil {
			w.t.Fatalf("%s: there is no such run", step)
		}
		return r
	}
	switch n, _ := strconv.Atoi(arg(2)); word[0] {
	case "up":
		w.up(run(), n)
	case "refuse":
		w.refuse(run(), errors.New("no such file"))
	case "lack": // for want of a process
		w.refuse(run(), fmt.Errorf("cannot fork: %w", unix.EAGAIN))
	case "exit", "exit!": // the latest run of that name
		w.exit(run(), event.Exit{Code: n}, process.FDResult{Proof: event.ProofNone})
	case "outlive":
		w.outlive(run(), event.Exit{Code: n})
	case "die":
		w.exit(run(), event.Exit{Signal: arg(2)}, process.FDResult{Proof: event.ProofNone})
	case "leak":
		w.exit(run(), event.Exit{}, process.FDResult{Proof: event.Proof(arg(2)), After: []procfs.FD{{Num: 7, Kind: "file", Target: "/f"}}})
	case "hup": // as reload, of a fleet that was left alone for a while
		<-time.After(2 * handlerDelay)
		return w.do("reload " + arg(1))
	case "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			w.t.Fatal(err)
		}
		<-time.After(d) // the bubble's clock
	case "TERM", "INT":
		w.signal(unix.SignalNum("SIG" + word[0]))
	case "ill", "well", "lacking":
		w.mu.Lock()
		w.ill, w.lacking = word[0] == "ill", word[0] == "lacking"
		w.mu.Unlock()
	case "say":
		pid, err := strconv.Atoi(word[1])
		if err != nil {
			pid = run().pid
		}
		go w.take([]int{pid, 1}, notify.Parse([]byte(arg(2))))
	case "broken":
		w.f.Stop()
	case "reload":
		i, _ := strconv.Atoi(arg(1))
		w.mu.Lock()
		w.load, w.loadErr = w.cfgs[i], nil
		w.mu.Unlock()
		w.f.Reload()
	case "taken":
		w.mu.Lock()
		w.taken = arg(1)
		w.mu.Unlock()
	case "swept":
		var left []procfs.Stat
		if pid, _ := strconv.Atoi(arg(1)); pid > 0 {
			left = []procfs.Stat{{Pid: pid, Comm: "stuck", State: 'D'}}
		}
		w.f.Deliver(process.OrphanCleanupDone{Left: left})
	case "health":
		h := w.f.Health(w.t.Context())
		for _, text := range []string{h.Note, h.Dead, h.Unready} { // one of them is what the step is for
			if text != "" && (text != h.Note || h.Unready != "stopping") {
				return text
			}
		}
		return ""
	case "end":
		return w.end()
	default:
		w.t.Fatalf("unknown step %q", step)
	}
	return ""
}

// signal asks for the end. Nothing moves at this moment, so nothing may be
// spawned from here on.
func (w *world) signal(s unix.Signal) {
	synctest.Wait()
	w.mu.Lock()
	w.stopAsked = true
	w.mu.Unlock()
	w.f.Signal(s)
}

// end says how it all ended.
func (w *world) end() string {
	synctest.Wait()
	select {
	case err := <-w.over:
		w.over <- err
		if err != nil {
			return err.Error()
		}
	default:
		return "not over"
	}
	o, c := w.f.Result(), w.f.Summary()
	return fmt.Sprintf("%s %d: spawned %d, reaped %d, orphans %d, killed %d, left %d", o.Verdict(), o.Code(), c.Spawned, c.Reaped, c.Orphans, c.Killed, c.Left)
}

// finish ends a fleet, whatever it is at: what has a run loses it, and a sweep
// finds nothing.
func (w *world) finish() {
	w.signal(unix.SIGTERM)
	for range 1000 {
		synctest.Wait()
		select {
		case <-w.over:
			if len(w.sockets) > 0 {
				w.t.Errorf("left open: %v", w.sockets)
			}
			return
		default:
		}
		w.mu.Lock()
		runs, swept := slices.Clone(w.runs), w.swept
		w.swept = false
		w.mu.Unlock()
		for _, r := range runs {
			if r.pid == 0 {
				w.up(r, 0)
			}
			w.exit(r, event.Exit{}, process.FDResult{})
		}
		if swept {
			w.f.Deliver(process.OrphanCleanupDone{})
		}
	}
	panic("the fleet does not end") // the bubble could not either
}

// step is something that happens, and what the fleet does about it. What goroutines do that do
// not wait for each other is separated by " | ": "A, B | C" is A before B, and C at any moment.
type step struct{ do, want string }

// met reports whether got is what a step wants: each action of each strand exactly once, the
// actions of a strand in their order, and nothing else.
func (s step) met(got string) bool {
	var strands [][]string
	for strand := range strings.SplitSeq(s.want, " | ") {
		strands = append(strands, strings.Split(strand, ", "))
	}
	if len(strands) == 1 {
		return got == s.want
	}
	return interleaved(strings.Split(got, ", "), strands)
}

// interleaved reports whether all is a merge of the strands that keeps the order of each.
func interleaved(all []string, strands [][]string) bool {
	if len(all) == 0 {
		return !slices.ContainsFunc(strands, func(s []string) bool { return len(s) > 0 })
	}
	for i, s := range strands {
		if len(s) == 0 || s[0] != all[0] {
			continue
		}
		rest := slices.Clone(strands)
		rest[i] = s[1:]
		if interleaved(all[1:], rest) {
			return true
		}
	}
	return false
}

func TestStepsOfTwoGoroutines(t *testing.T) {
	for _, tt := range []struct {
		want, got string
		met       bool
	}{
		{"A, B", "A, B", true},
		{"A, B", "B, A", false},
		{"A, B | C", "A, B, C", true},
		{"A, B | C", "A, C, B", true},
		{"A, B | C", "C, A, B", true},
		{"A, B | C", "C, B, A", false},
		{"A, B | C", "A, B", false},
		{"A, B | C", "A, B, C, C", false},
		{"A, B | C", "A, B, D", false},
		{"A, B | A, C", "A, C, A, B", true},
		{"A, B | A, C", "A, B, C, A", false},
		{"A | B", "", false},
	} {
		if met := (step{want: tt.want}).met(tt.got); met != tt.met {
			t.Errorf("%q of %q: %v", tt.got, tt.want, met)
		}
	}
}

// play goes through steps with a fleet of the first configuration; the others
// can be loaded.
func play(t *testing.T, cfgs []*config.Config, steps []step) {
	hub := newHub(t)
	synctest.Test(t, func(t *testing.T) {
		w := open(t, hub, cfgs...)
		defer w.finish()
		for i, s := range steps {
			got := w.do(s.do)
			if did := w.took(); got == "" {
				got = did
			}
			if !s.met(got) {
				t.Errorf("step %d, %q:\n got %s\nwant %s", i+1, s.do, got, s.want)
				return
			}
		}
	})
}

// script is a test in steps.
type script struct {
	name  string
	cfgs  []*config.Config
	steps []step
}

func playAll(t *testing.T, scripts []script) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) { play(t, s.cfgs, s.steps) })
	}
}

func cfgs(c ...*config.Config) []*config.Config { return c }
