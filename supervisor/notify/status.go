package notify

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/termtext"
)

// state is the last reported state. It converts events to datagrams for the service manager.
type state struct {
	ready     bool // READY=1 was queued
	reloading bool
	halted    bool // the status says that a reload is halted, which a restart can complete
	stopping  bool
}

// datagram returns the message about an event; empty: there is none.
func (s *state) datagram(e event.Event) string {
	switch e := e.(type) {
	case event.AllReady:
		ready := termtext.Count(e.Children-e.Completed, "child", "children")
		text := status("%s ready", ready)
		if e.Completed > 0 {
			text = status("%s ready, %d completed", ready, e.Completed)
		}
		if !s.ready {
			s.ready = true
			text = "READY=1\n" + text
		}
		return text
	case event.Restarting:
		return status("%s restarts: %s", e.Child, e.Reason)
	case event.Failed:
		return status("%s failed: %s", e.Child, e.Reason)
	case event.ConfigEdited:
		return s.reload()
	case event.ConfigReloaded:
		return s.reloaded("reloaded")
	case event.ConfigRejected:
		return s.reloaded("the new configuration was rejected")
	case event.ReloadIgnored:
		return s.reloaded("reload ignored: " + e.Reason)
	case event.ReloadHalted:
		defer func() { s.halted = true }()
		what := "reload"
		if e.Restart {
			what = "restart"
		}
		return s.reloaded(what + " halted at " + e.Child + ": " + e.Reason)
	case event.SignalReceived:
		switch {
		case e.Signal == "SIGHUP" && !e.Hangup:
			return s.reload()
		case e.Signal == "SIGUSR1", e.Signal == "SIGTSTP":
			return ""
		}
		return s.stop(e.Signal)
	case event.ShutdownBegun:
		return s.stop(e.Reason)
	case event.ShutdownComplete:
		return status("%s: %d spawned, %d reaped, %d killed, %d descriptors leaked",
			e.Verdict, e.Spawned, e.Reaped, e.Killed, e.Left)
	}
	return ""
}

// reload starts a reload. The time tells the service manager which reload a later READY=1
// belongs to (systemd.service(5), Type=notify-reload).
func (s *state) reload() string {
	if s.stopping {
		return ""
	}
	s.reloading = true
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\n%s", now.Nano()/1000, status("reloading"))
}

func (s *state) reloaded(result string) string {
	if !s.reloading && !s.halted || s.stopping {
		return ""
	}
	awaited := s.reloading // the service manager waits for READY=1
	s.reloading, s.halted = false, false
	if !s.ready || !awaited {
		return status("%s", result)
	}
	return "READY=1\n" + status("%s", result)
}

func (s *state) stop(reason string) string {
	if s.stopping {
		return ""
	}
	s.stopping = true
	return "STOPPING=1\n" + status("stopping: %s", reason)
}

// status returns a STATUS assignment. It replaces characters that are not printable: a newline
// in the text would start another assignment.
func status(format string, args ...any) string {
	return "STATUS=" + strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
}
