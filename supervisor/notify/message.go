package notify

import (
	"bytes"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Message is the content of one sd_notify(3) datagram. A child writes the datagram, so every
// string is bounded and contains printable characters only.
type Message struct {
	Ready, Stopping, Reloading bool
	KeepAlive                  bool          // WATCHDOG=1
	WatchdogTrigger            bool          // WATCHDOG=trigger: the child reports its own failure
	Status                     string        // at most maxStatus bytes
	HasStatus                  bool          // STATUS= was sent, possibly with an empty value
	Statuses                   int           // STATUS texts since the last one that was passed on
	ExtendTimeout              time.Duration // 0 if not sent; at most maxExtend
	MainPID                    int           // the new main process; 0 if not sent
	HasWatchdog                bool          // WATCHDOG_USEC was sent
	Watchdog                   time.Duration // by WATCHDOG_USEC; 0 disables the watchdog
	Unsupported                []string      // known names that have no effect; at most 3
}

const (
	maxStatus      = 200 // bytes
	maxExtend      = 24 * time.Hour
	maxUnsupported = 3
	minWatchdog    = time.Millisecond // as in the configuration
	maxWatchdog    = 24 * time.Hour
)

// Parse reads a datagram: lines of NAME=value. It skips names and values that it does not
// know, as sd_notify(3) demands.
func Parse(datagram []byte) (m Message) {
	for line := range bytes.SplitSeq(datagram, []byte("\n")) {
		key, text, found := bytes.Cut(line, []byte("="))
		if !found {
			continue
		}
		name, value := string(key), string(text)
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
			m.Status, m.HasStatus = printable(value), true
		case "EXTEND_TIMEOUT_USEC":
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				m.ExtendTimeout = microseconds(n, maxExtend)
			}
		case "WATCHDOG_USEC":
			if n, err := strconv.ParseUint(value, 10, 64); err == nil {
				m.HasWatchdog, m.Watchdog = true, watchdogInterval(n)
			}
		case "MAINPID":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				m.MainPID = int(n)
			}
		case "FDSTORE":
			if len(m.Unsupported) < maxUnsupported {
				m.Unsupported = append(m.Unsupported, name)
			}
		}
	}
	return m
}

// effective reports whether a message says anything but WATCHDOG=1 and STATUS: it is limited by
// effectLimit.
func effective(m Message) bool {
	m.KeepAlive, m.HasStatus, m.Status, m.Statuses = false, false, "", 0
	return !reflect.DeepEqual(m, Message{})
}

// empty reports whether a message says nothing.
func (m *Message) empty() bool { return !m.KeepAlive && !m.HasStatus && !effective(*m) }

func microseconds(n uint64, most time.Duration) time.Duration {
	return time.Duration(min(n, uint64(most/time.Microsecond))) * time.Microsecond
}

// watchdogInterval returns the interval of a WATCHDOG_USEC message. As with systemd, 0 and the
// largest number disable the watchdog.
func watchdogInterval(n uint64) time.Duration {
	if n == 0 || n == math.MaxUint64 {
		return 0
	}
	return max(microseconds(n, maxWatchdog), minWatchdog)
}

// printable returns s with every character that is not printable replaced by a space, cut to
// maxStatus bytes.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			return r
		}
		return ' '
	}, s)
	if len(s) <= maxStatus {
		return s
	}
	return strings.ToValidUTF8(s[:maxStatus-len("…")], "") + "…"
}
