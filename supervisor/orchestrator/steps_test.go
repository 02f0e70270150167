package orchestrator

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/notify"
	"tp0/supervisor/process"
	"tp0/supervisor/procfs"
)

// command is a step of a script: a verb and its arguments.
type command struct {
	text string
	word []string
}

// arg returns argument i, counted from 1; empty: there is none.
func (c command) arg(i int) string {
	if i < len(c.word) {
		return c.word[i]
	}
	return ""
}

func (c command) number(i int) int {
	n, _ := strconv.Atoi(c.arg(i))
	return n
}

// do does a step. It returns the answer of the steps health and end.
func (h *harness) do(text string) (answer string) {
	c := command{text, strings.Fields(text)}
	switch c.arg(0) {
	case "":
	case "health":
		return h.health()
	case "end":
		return h.end()
	case "wait": // wait DURATION, by the clock of the bubble
		d, err := time.ParseDuration(c.arg(1))
		if err != nil {
			h.t.Fatal(err)
		}
		<-time.After(d)
	case "pause": // pause DURATION: the clock of the timeouts advances, and nothing happens
		d, err := time.ParseDuration(c.arg(1))
		if err != nil {
			h.t.Fatal(err)
		}
		h.paused.Add(int64(d))
	case "TERM", "INT":
		h.signal(unix.SignalNum("SIG" + c.arg(0)))
	case "op": // op VERB [NAME...]: its result is an action
		h.operate(c)
	case "fault":
		h.o.Stop()
	case "reload-later": // reload N, once all processes have their signal handlers
		<-time.After(2 * handlerDelay)
		h.reload(c.number(1))
	case "reload":
		h.reload(c.number(1))
	case "cleaned-up": // cleaned-up [PID]: a process that could not be ended
		var left []procfs.Stat
		if pid := c.number(1); pid > 0 {
			left = []procfs.Stat{{Pid: pid, Comm: "stuck", State: 'D'}}
		}
		h.o.Deliver(process.OrphanCleanupDone{Left: left})
	default:
		if !h.doProcess(c) && !h.doSetting(c) {
			h.t.Fatalf("unknown step %q", text)
		}
	}
	return ""
}

// doProcess does a step about a process of an instance, which is the first argument.
func (h *harness) doProcess(c command) bool {
	noProof := process.FDResult{Proof: event.ProofNone}
	switch c.arg(0) {
	case "spawned": // spawned NAME [PID]
		h.spawned(h.target(c), c.number(2))
	case "spawn-failed":
		h.spawnFailed(h.target(c), errors.New("no such file"))
	case "spawn-revoked": // SIGKILL ended it before its execve(2)
		h.spawnFailed(h.target(c), process.ErrRevoked)
	case "spawn-short": // for lack of a process
		h.spawnFailed(h.target(c), fmt.Errorf("cannot fork: %w", unix.EAGAIN))
	case "exit", "exit-new": // exit NAME [CODE]; exit-new: the newest process of that name
		h.exit(h.target(c), event.Exit{Code: c.number(2)}, noProof)
	case "exit-by": // exit-by NAME SIGNAL
		h.exit(h.target(c), event.Exit{Signal: c.arg(2)}, noProof)
	case "exit-leaking": // exit-leaking NAME PROOF
		fd := procfs.FD{Num: 7, Kind: "file", Target: "/f"}
		h.exit(h.target(c), event.Exit{}, process.FDResult{
			Proof: event.Proof(c.arg(2)), After: []procfs.FD{fd},
		})
	case "main-exit": // main-exit NAME [CODE]: a descendant outlives the main process
		h.mainExit(h.target(c), event.Exit{Code: c.number(2)})
	case "main-changed": // main-changed NAME: its descendant is the main process
		p := h.target(c)
		h.mu.Lock()
		from := p.pid
		p.pid, p.mainEnded = survivorPid, false
		h.mu.Unlock()
		h.o.Deliver(process.MainChanged{Process: p.id, From: from, Pid: survivorPid})
	case "not-handed-over": // not-handed-over NAME
		h.o.Deliver(process.NotHandedOver{Process: h.target(c).id})
	case "notify", "notify-new": // notify NAME MESSAGE; notify-new: the newest process of that name
		h.socketOf(c).say(notify.Parse([]byte(c.arg(2))), "")
	case "notify-rejected": // notify-rejected NAME REASON
		h.socketOf(c).say(notify.Message{}, c.arg(2))
	case "notify-queued": // as notify, but nothing has read the socket
		s := h.socketOf(c)
		h.mu.Lock()
		defer h.mu.Unlock()
		s.queued = append(s.queued, notify.Parse([]byte(c.arg(2))))
	default:
		return false
	}
	return true
}

// doSetting changes what the harness answers from now on.
func (h *harness) doSetting(c command) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c.arg(0) {
	case "probe-succeeds":
		h.probes = probeResult{}
	case "probe-fails":
		h.probes = probeResult{fail: true}
	case "signal-unhandled": // a reload signal would end the processes
		h.unhandled = true
	case "signal-handled":
		h.unhandled = false
	case "probe-short":
		h.probes = probeResult{short: true}
	case "listens": // listens NAME ADDRESS: its process listens there
		name, address := c.arg(1), c.arg(2)
		h.listeners = func(p *fakeProcess) []string {
			if p.name != name {
				return nil
			}
			return []string{address}
		}
	case "load": // load N: the next load reads that configuration
		h.loader.next, h.loader.err = h.configs[c.number(1)], nil
	case "load-fails":
		h.loader.err = errors.New("a fault")
	case "address-taken":
		h.sockets.taken = c.arg(1)
	default:
		return false
	}
	return true
}

// target returns the process that a step is about. During an overlapping update that is the oldest
// one of its name, or the newest one for spawned, spawn-failed, spawn-short and the steps that end
// in -new.
func (h *harness) target(c command) *fakeProcess {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	found := h.processOf(c.arg(1))
	for _, p := range h.processes {
		spawn := strings.HasPrefix(c.arg(0), "spawn") && p.pid == 0
		if p.name == c.arg(1) && (spawn || strings.HasSuffix(c.arg(0), "-new")) {
			found = p
		}
	}
	if found == nil {
		h.t.Fatalf("%s: the instance has no process", c.text)
	}
	return found
}

// socketOf returns the notification socket of the process that a step is about.
func (h *harness) socketOf(c command) *fakeNotify {
	p := h.target(c)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.notify[p.id]
	if s == nil {
		h.t.Fatalf("%s: the process has no notification socket", c.text)
	}
	return s
}

// spawned delivers that a process has a pid. 0 stands for a pid that no process has.
func (h *harness) spawned(p *fakeProcess, pid int) {
	h.mu.Lock()
	if h.lastPid++; pid == 0 {
		pid = 1<<22 + h.lastPid // above the limit of the kernel
	}
	p.pid = pid
	queued := p.queued
	h.mu.Unlock()
	h.o.Deliver(process.Spawned{Process: p.id, Pid: pid, At: time.Now()})
	for _, fact := range queued {
		fact.Pid = pid
		h.o.Deliver(fact)
	}
}

func (h *harness) spawnFailed(p *fakeProcess, err error) {
	h.remove(p)
	h.o.Deliver(process.SpawnFailed{Process: p.id, Err: err})
}

// remove removes a process that ended. It reports whether it got SIGKILL.
func (h *harness) remove(p *fakeProcess) (killed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.processes = slices.DeleteFunc(h.processes, func(q *fakeProcess) bool { return q == p })
	return p.killed
}

// exit ends a process with its tree.
func (h *harness) exit(p *fakeProcess, e event.Exit, fds process.FDResult) {
	killed := h.remove(p)
	if p.mainEnded {
		h.o.Deliver(process.TreeEnded{Process: p.id})
		return
	}
	h.o.Deliver(process.Exited{
		Process: p.id, Pid: p.pid, Exit: e, Status: waitStatus(e), At: time.Now(),
		Killed: killed, FDs: fds,
	})
}

// survivorPid is the pid of the descendant in mainExit.
const survivorPid = 77

// mainExit ends a main process that a descendant outlives. The next exit is that of its tree.
func (h *harness) mainExit(p *fakeProcess, e event.Exit) {
	h.mu.Lock()
	p.mainEnded = true
	h.mu.Unlock()
	h.o.Deliver(process.Exited{
		Process: p.id, Pid: p.pid, Exit: e, Status: waitStatus(e), At: time.Now(),
		FDs:       process.FDResult{Proof: event.ProofNone},
		Survivors: []process.Survivor{{Pid: survivorPid, Command: "worker"}},
	})
}

func waitStatus(e event.Exit) unix.WaitStatus {
	return unix.WaitStatus(e.Code<<8 | int(unix.SignalNum(e.Signal)))
}

// reload has the orchestrator load a configuration.
func (h *harness) reload(index int) {
	h.mu.Lock()
	h.loader.next, h.loader.err = h.configs[index], nil
	h.mu.Unlock()
	h.o.Reload()
}

// signal requests the stop. No goroutine is busy at this moment, so no spawn may follow.
func (h *harness) signal(s unix.Signal) {
	synctest.Wait()
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	h.o.Signal(s)
}

// health returns the first text of the health: a note, what is dead, or what is not ready.
func (h *harness) health() string {
	health := h.o.Health(h.t.Context())
	for _, text := range []string{health.Dead, health.Note, health.Unready} {
		if text != "" && (text != health.Note || health.Unready != "stopping") {
			return text
		}
	}
	return ""
}

// end returns the verdict, the exit code and the totals of an orchestrator that has ended.
func (h *harness) end() string {
	synctest.Wait()
	select {
	case err := <-h.done:
		h.done <- err
		if err != nil {
			return err.Error()
		}
	default:
		return "not over"
	}
	r, s := h.o.Result(), h.o.Summary()
	return fmt.Sprintf("%s %d: spawned %d, reaped %d, orphans %d, killed %d, left %d",
		r.Verdict(), r.Code(), s.Spawned, s.Reaped, s.Orphans, s.Killed, s.Left)
}

// finish ends an orchestrator in any state: every process exits, and cleanups find no orphan.
func (h *harness) finish() {
	h.signal(unix.SIGTERM)
	for range 1000 {
		synctest.Wait()
		select {
		case <-h.done:
			if len(h.sockets.open) > 0 {
				h.t.Errorf("open sockets: %v, want none", h.sockets.open)
			}
			return
		default:
		}
		h.mu.Lock()
		processes, cleanup := slices.Clone(h.processes), h.cleanupDue
		h.cleanupDue = false
		h.mu.Unlock()
		for _, p := range processes {
			if p.pid == 0 {
				h.spawned(p, 0)
			}
			h.exit(p, event.Exit{}, process.FDResult{})
		}
		if cleanup {
			h.o.Deliver(process.OrphanCleanupDone{})
		}
	}
	panic("the orchestrator does not end") // else the bubble would wait without end
}
