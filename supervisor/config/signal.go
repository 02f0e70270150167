package config

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParseSignal returns the signal of a command line argument: a number from 1 to 64, or a name
// in upper or lower case, with or without SIG.
func ParseSignal(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= 64 {
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig, ok := SignalByName(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("%q is not a signal", text)
}

// SignalByName returns the signal with a full name, such as SIGTERM or SIGRTMIN+3.
func SignalByName(name string) (sig syscall.Signal, ok bool) {
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, true
	}
	return realTimeSignal(name)
}

// realTimeSignal returns a real-time signal by its name. The numbers are those of the C
// libraries: 34 to 64, see signal(7).
func realTimeSignal(name string) (syscall.Signal, bool) {
	const first, last = 34, 64
	for _, base := range []struct {
		name string
		at   int
		sign string
	}{{"SIGRTMIN", first, "+"}, {"SIGRTMAX", last, "-"}} {
		rest, ok := strings.CutPrefix(name, base.name)
		if !ok {
			continue
		}
		n := 0
		if rest != "" {
			var err error
			if n, err = strconv.Atoi(rest); err != nil || !strings.HasPrefix(rest, base.sign) {
				return 0, false
			}
		}
		if sig := base.at + n; sig >= first && sig <= last {
			return syscall.Signal(sig), true
		}
	}
	return 0, false
}
