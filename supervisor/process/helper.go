package process

import (
	"fmt"
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/mailbox"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/process/tracehelper"
	"tp0/supervisor/procfs"
)

// isOwnTool reports whether a child is a process that the supervisor needs itself: the command of a
// probe, or a trace helper.
func (l *Loop) isOwnTool(pid int) bool {
	return l.running[pid] != nil || l.helpers.byPid[pid] != nil
}

// askHelper lets the trace helper of a user seize a process. s is the status of the process. It
// returns false if no helper can.
func (l *Loop) askHelper(o *observed, s procfs.Status) bool {
	if s.Tracer != 0 && l.helpers.byPid[s.Tracer] == nil || !needsHelper(s) {
		return false
	}
	h := l.helperFor(helperIDs{s.UID, s.GID})
	if h == nil {
		return false
	}
	o.helper, h.seizing[o.pid] = h, o
	o.evidence.Reason = reasonNotSeized
	h.commands.Put(tracehelper.Command{Op: tracehelper.Seize, Tid: int32(o.pid)})
	l.ping(h, nil)
	return true
}

// reasonNotSeized is the reason of a process that ended while its trace helper was asked.
const reasonNotSeized = "it ended before the trace helper of its user traced it"

// needsHelper reports whether a trace helper could trace a process that the loop may not trace. A
// tracer without CAP_SYS_PTRACE needs a process whose real, effective and saved ids are the same.
func needsHelper(s procfs.Status) bool {
	one := s.UIDs[0] == s.UID && s.UIDs[1] == s.UID && s.UIDs[2] == s.UID
	return unix.Geteuid() == 0 && s.UID != 0 && one
}

// prepareHelper starts the trace helper that a main process needs. The helper then starts while the
// stop waits for a signal handler and for the fd scan.
func (l *Loop) prepareHelper(c *childProcess) {
	if l.privileged || unix.Geteuid() != 0 {
		return
	}
	if s, err := procfs.ReadStatus(c.pid); err == nil && needsHelper(s) {
		l.helperFor(helperIDs{s.UID, s.GID})
	}
}

// helperFor returns the trace helper of a user, and starts one if there is none. It returns nil if
// no more can be started.
func (l *Loop) helperFor(ids helperIDs) *traceHelper {
	all := &l.helpers
	if h := all.byIDs[ids]; h != nil {
		return h
	}
	now := time.Now()
	maps.DeleteFunc(all.retryAt, func(_ helperIDs, at time.Time) bool { return !now.Before(at) })
	if _, wait := all.retryAt[ids]; wait || len(all.byIDs) >= maxHelpers {
		return nil
	}
	h := &traceHelper{
		ids: ids, commands: mailbox.New[tracehelper.Command](), closed: make(chan struct{}),
		seizing: map[int]*observed{},
	}
	all.byIDs[ids] = h
	l.workers.goroutines.Go(func() { l.startHelper(h) })
	return h
}

// startHelper opens the socket of a trace helper, lets the loop fork it, and passes the commands on
// until the helper is over.
func (l *Loop) startHelper(h *traceHelper) {
	failed := func(err error) {
		l.commands.Put(func() { l.helpers.giveUp(h, fmt.Sprintf("cannot be started: %v", err)) })
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		failed(err)
		return
	}
	defer unix.Close(null)
	const kind = unix.SOCK_SEQPACKET | unix.SOCK_CLOEXEC
	pair, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err != nil {
		failed(err)
		return
	}
	l.opt.FDs.OpenedInternal(pair[0], "socket", "trace helper")
	_ = unix.SetNonblock(pair[0], true) // on this end alone, so that Go's poller takes it
	socket := os.NewFile(uintptr(pair[0]), "trace helper")
	l.withFDs([]int{null, null, null, pair[1]}, func(own []int, err error) {
		if err == nil && !h.over {
			h.pid, err = spawn.ForkTraceHelper(tracehelper.Verb, h.ids.uid, h.ids.gid, own)
		}
		if err != nil {
			l.helpers.giveUp(h, fmt.Sprintf("cannot be started: %v", err))
		} else if h.pid != 0 {
			l.helpers.byPid[h.pid] = h
		}
	})
	_ = unix.Close(pair[1])
	l.workers.goroutines.Go(func() { l.receiveReports(h, socket) })
	for open := true; open; {
		select {
		case <-h.commands.Wake():
			for _, c := range h.commands.Take() {
				_, _ = socket.Write(tracehelper.Encode(c)) // without a reader the helper is over
			}
		case <-h.closed:
			open = false
		}
	}
	_ = l.opt.FDs.Close(pair[0], socket.Close)
}

// receiveReports passes the reports of a trace helper to the loop until the socket is closed. A
// packet that is no report ends the helper.
func (l *Loop) receiveReports(h *traceHelper, socket *os.File) {
	packet := make([]byte, tracehelper.MaxSize)
	for {
		n, err := socket.Read(packet)
		if err != nil || n == 0 {
			return // the loop reaps the helper
		}
		r, err := tracehelper.Decode[tracehelper.Report](packet[:n])
		l.commands.Put(func() {
			if err != nil {
				l.helpers.giveUp(h, err.Error())
				return
			}
			l.helpers.handle(h, r)
		})
	}
}

// ping asks a trace helper for an answer, and calls then after it. Without an answer within the
// time that a signal waits for an fd scan, the helper is killed: nothing may wait for it. A helper
// that has just been started traces nothing, so it has more time. The signal does not wait for
// longer.
func (l *Loop) ping(h *traceHelper, then func()) {
	now := time.Now()
	h.lastPing++
	p := helperPing{number: h.lastPing, due: now.Add(l.budget.SignalDelay(now)), then: then}
	if !h.started {
		p.due = now.Add(l.budget.ScanTime(now))
	}
	h.pings = append(h.pings, p)
	h.commands.Put(tracehelper.Command{Op: tracehelper.Ping, Data: p.number})
	l.schedule(p.due)
}

// pingHelpers checks the trace helpers after a signal was sent: a helper that does not run could
// keep a process in a ptrace stop.
func (l *Loop) pingHelpers() {
	for _, h := range l.helpers.byIDs {
		if len(h.pings) == 0 {
			l.ping(h, nil)
		}
	}
}

// afterSeizes calls then when the trace helpers have answered what they were asked so far.
func (l *Loop) afterSeizes(then func()) {
	waiting := 0
	done := func() {
		if waiting--; waiting == 0 {
			then()
		}
	}
	for _, h := range l.helpers.byIDs {
		if len(h.seizing) > 0 {
			waiting++
			l.ping(h, done)
		}
	}
	if waiting == 0 {
		then()
	}
}

// hasTracees reports whether a trace helper traces a process.
func (l *Loop) hasTracees(h *traceHelper) bool {
	for _, o := range l.observations {
		if o.helper == h && len(o.traced) > 0 {
			return true
		}
	}
	return false
}

// endHelper ends a trace helper that is not needed any more.
func (l *Loop) endHelper(h *traceHelper) {
	if h.over {
		return
	}
	h.over = true
	close(h.closed)
	delete(l.helpers.byIDs, h.ids)
	if h.pid != 0 && l.helpers.byPid[h.pid] == h { // it is not reaped
		_ = unix.Kill(h.pid, unix.SIGKILL)
	}
}

// killHelpers ends all trace helpers. The end of the loop and that of the orphan cleanup need no
// proof any more.
func (l *Loop) killHelpers() {
	for _, h := range l.helpers.byIDs {
		l.endHelper(h)
	}
}
