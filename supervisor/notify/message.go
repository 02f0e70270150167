package notify

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"tp0/supervisor/termtext"
)

// Message is what a datagram of sd_notify(3) says. Its texts come from a child
// and are bounded and fit for a log.
type Message struct {
	Ready, Stopping, Reloading bool
	KeepAlive, WatchdogTrigger bool // WATCHDOG=1, WATCHDOG=trigger
	Status                     string
	HasStatus                  bool
	ExtendTimeout              time.Duration
	MainPID                    int      // the process that is to be the main one; 0: not said
	Unsupported                []string // names of what we know and do nothing about
}

const (
	mostStatus = 200 // bytes
	mostExtend = 24 * time.Hour
)

// Parse reads a datagram: lines of NAME=value. What is not understood is
// passed over, as sd_notify(3) has it.
func Parse(datagram []byte) (m Message) {
	for line := range bytes.SplitSeq(datagram, []byte("\n")) {
		name, value, _ := strings.Cut(string(line), "=")
		switch name {
		case "READY":
			m.Ready = m.Ready || value == "1"
		case "STOPPING":
			m.Stopping = m.Stopping || value == "1"
		case "RELOADING":
			m.Reloading = m.Reloading || value == "1"
		case "WATCHDOG":
			m.KeepAlive = m.KeepAlive || value == "1"
			m.WatchdogTrigger = m.WatchdogTrigger || value == "trigger"
		case "STATUS":
			m.Status, m.HasStatus = termtext.Cut(termtext.Spaces(value), mostStatus), true
		case "EXTEND_TIMEOUT_USEC":
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				m.ExtendTimeout = time.Duration(min(n,
					uint64(mostExtend/time.Microsecond))) * time.Microsecond
			}
		case "MAINPID":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				m.MainPID = int(n)
			}
		case "WATCHDOG_USEC", "FDSTORE":
			if len(m.Unsupported) < 3 {
				m.Unsupported = append(m.Unsupported, name)
			}
		}
	}
	return m
}
