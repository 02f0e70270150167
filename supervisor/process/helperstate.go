package process

import (
	"time"

	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/process/tracehelper"
)

// Without CAP_SYS_PTRACE the loop's thread may not trace a process of another user. A trace helper
// traces it instead, see package tracehelper. There is one for each user that needs it, from the
// first stop that needs it until helperLinger after its last tracee. A process may kill or stop the
// helper of its user. Then the processes of this user have no exact proof, and nothing else
// changes.
const (
	helperLinger = time.Second
	// helperRetry is how long no new helper is started for a user after one ended unexpectedly.
	helperRetry = 10 * time.Second
	// maxHelpers bounds the helpers. Each takes some 5 MiB and a few threads.
	maxHelpers = 16
)

// helpers are the trace helpers. The loop's thread owns them.
type helpers struct {
	byIDs map[helperIDs]*traceHelper
	byPid map[int]*traceHelper // that are not reaped
	// retryAt has the users whose helper ended unexpectedly.
	retryAt map[helperIDs]time.Time
	// handle is handleReport, and giveUp is giveUpHelper: see tracing.perform.
	handle func(*traceHelper, tracehelper.Report)
	giveUp func(h *traceHelper, why string)
}

func newHelpers() helpers {
	return helpers{
		byIDs: map[helperIDs]*traceHelper{}, byPid: map[int]*traceHelper{},
		retryAt: map[helperIDs]time.Time{},
	}
}

// request makes a ptrace request about a thread. A nil helper stands for the loop's thread.
func (h *traceHelper) request(request, tid int, data uintptr) {
	if h == nil {
		_ = ptrace.Request(request, tid, data) // it fails if the thread was killed
		return
	}
	h.commands.Put(tracehelper.Command{
		Op: tracehelper.MakeRequest, Request: int32(request), Tid: int32(tid), Data: uint64(data),
	})
}
