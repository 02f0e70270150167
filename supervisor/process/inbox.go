package process

import (
	"os"

	"tp0/supervisor/mailbox"
)

// inbox is what wakes the loop. All but more may be used by any goroutine.
type inbox struct {
	cmds *mailbox.Queue[func()]
	chld chan os.Signal // SIGCHLD
	quit chan struct{}  // closed by Close
	more bool           // the last round of reaping may have left statuses
}

func newInbox() inbox {
	return inbox{
		cmds: mailbox.New[func()](),
		chld: make(chan os.Signal, 1),
		quit: make(chan struct{}),
	}
}

// wait waits for something to do; for the end, if it reports false.
func (l *Loop) wait() bool {
	select {
	case <-l.cmds.Wake():
	case <-l.chld:
		l.reap()
	case <-l.timer.C:
		l.reap()
	case <-l.quit:
		return false
	}
	return true
}
