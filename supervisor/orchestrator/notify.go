package orchestrator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/notify"
)

// Notifier is where children say how they do.
type Notifier interface {
	Name() string // the value of NOTIFY_SOCKET
	Close()
}

// notified is a notification. Its sender is the first of pids, its parents
// follow.
type notified struct {
	pids []int
	m    notify.Message
	done chan struct{} // to be closed: until then no other one is taken
}

// strangers is how often we tell of those who may not notify, at most.
const strangers = time.Second

func (u *unit) notifies() bool {
	r := u.spec.Launch.Ready
	return r != nil && r.Notify
}

// notifyEnv is what a run that notifies has in its environment, in place of
// what we ourselves may have been given.
func (f *Orchestrator) notifyEnv(l *config.Launch) ([]string, error) {
	if f.notifier == nil {
		n, err := f.opt.ListenNotify(func(pids []int, m notify.Message) {
			done := make(chan struct{})
			f.mail.Put(notified{pids, m, done})
			select {
			case <-done:
			case <-f.ctx.Done():
			}
		})
		if err != nil {
			return nil, err
		}
		f.notifier = n
	}
	env := slices.DeleteFunc(slices.Clone(l.Env), func(entry string) bool {
		return strings.HasPrefix(entry, "NOTIFY_SOCKET=") || strings.HasPrefix(entry, "WATCHDOG_USEC=") || strings.HasPrefix(entry, "WATCHDOG_PID=")
	})
	env = append(env, "NOTIFY_SOCKET="+f.notifier.Name())
	if l.Ready.Watchdog > 0 {
		env = append(env, "WATCHDOG_USEC="+strconv.FormatInt(l.Ready.Watchdog.Microseconds(), 10))
	}
	return env, nil
}

func (f *Orchestrator) deafen() {
	if f.notifier != nil {
		f.notifier.Close()
	}
}

// notified does what a run says, if it is a run's own process that says it or
// one below it. A run can be quicker than the news of its pid: then what it
// says waits for that.
func (f *Orchestrator) notified(n notified) {
	u := f.sender(n.pids)
	if u == nil && slices.ContainsFunc(f.units, func(u *unit) bool { return u.notifies() && u.state.HasProcess() && u.pid == 0 }) {
		f.unclaimed = &n
		return
	}
	defer close(n.done)
	if u == nil {
		if now := time.Now(); now.Sub(f.stranger) >= strangers {
			f.stranger = now
			f.opt.Sink.Emit(event.Warning{What: "notification of a stranger", Reason: fmt.Sprintf("pid %d belongs to no child that notifies", n.pids[0])})
		}
		return
	}
	f.hear(u, n.m)
}

// claim looks again whose a notification is that came too early.
func (f *Orchestrator) claim() {
	if n := f.unclaimed; n != nil {
		f.unclaimed = nil
		f.notified(*n)
	}
}

// sender is the instance whose run has the nearest of the pids, if it notifies.
func (f *Orchestrator) sender(pids []int) *unit {
	for _, pid := range pids {
		for _, u := range f.units {
			if pid != 0 && u.pid == pid && u.state.HasProcess() && u.outcome == nil {
				if u.notifies() {
					return u
				}
				return nil
			}
		}
	}
	return nil
}

func (f *Orchestrator) hear(u *unit, m notify.Message) {
	say := func(what, detail string) {
		f.opt.Sink.Emit(event.Notified{Child: u.spec.Name, Pid: u.pid, What: what, Detail: detail})
	}
	if m.HasStatus && m.Status != u.status {
		u.status = m.Status
		say("status", m.Status)
	}
	if len(m.Unsupported) > 0 && !u.saidIgnored {
		u.saidIgnored = true
		say("ignored", strings.Join(m.Unsupported, ", "))
	}
	if m.Reloading && !u.reloading {
		u.reloading = true
		say("reloading", "")
	}
	if m.Stopping && !u.leaves {
		u.leaves = true
		u.unwatch() // it will not answer for long any more
		say("stopping", "")
	}
	if m.ExtendTimeout > 0 {
		f.extend(u, m.ExtendTimeout)
	}
	if m.MainPID > 0 && m.MainPID != u.pid && m.MainPID != u.successor {
		u.successor = m.MainPID
		f.opt.Processes.SetMainProcess(u.run, m.MainPID)
		say("main process", fmt.Sprintf("pid %d is to take over once pid %d has ended", m.MainPID, u.pid))
	}
	if m.KeepAlive {
		u.alive = time.Now()
	}
	if m.Ready {
		f.saysReady(u, m.Reloading, say)
	}
	if m.WatchdogTrigger {
		f.fail(u, "it triggered its watchdog")
	}
}

func (f *Orchestrator) saysReady(u *unit, reloads bool, say func(what, detail string)) {
	f.opt.Processes.MarkReady(u.run)
	if u.reloading && !reloads {
		u.reloading = false
		say("reloaded", "")
	}
	if u.state == lifecycle.Starting {
		u.disarm()
		f.serves(u)
	}
}

// extend gives a run more time from now on: to become ready, or on the rung of
// its stop, the deadline of which holds all the same.
func (f *Orchestrator) extend(u *unit, d time.Duration) {
	what := readyTimer
	switch {
	case u.timer == nil:
		return
	case u.rung > 0:
		what = rungTimer
		d = min(d, time.Until(u.stopped.Add(f.cfg.Shutdown.Deadline)))
	case u.state != lifecycle.Starting:
		return
	}
	if time.Now().Add(d).After(u.due) {
		f.arm(u, what, d)
	}
}

// guard begins the watchdog of a run that is ready.
func (f *Orchestrator) guard(u *unit) {
	r := u.spec.Launch.Ready
	if r == nil || r.Watchdog == 0 {
		return
	}
	u.alive = time.Now()
	m := watchdogOver{u, u.run}
	u.watchdog = time.AfterFunc(r.Watchdog, func() { f.mail.Put(m) })
}

func (f *Orchestrator) watchdogOver(m watchdogOver) {
	u := m.u
	if u.run != m.run || u.watchdog == nil {
		return
	}
	limit := u.spec.Launch.Ready.Watchdog
	if left := limit - time.Since(u.alive); left > 0 {
		u.watchdog.Reset(left)
		return
	}
	f.fail(u, fmt.Sprintf("no WATCHDOG=1 came within %v", limit))
}

// unwatch ends the checks and the watchdog of a run.
func (u *unit) unwatch() {
	u.uncheck()
	if u.watchdog != nil {
		u.watchdog.Stop()
		u.watchdog = nil
	}
}
