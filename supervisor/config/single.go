package config

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ForCommand is the configuration of one command without a file: it runs once, and
// how it ends is nobody's failure but its own. A stop gives it kill and the
// whole deadline. Of s, Reserve is filled in.
func ForCommand(name string, l Launch, s Shutdown, log Log, kill syscall.Signal) *Config {
	s.Reserve = reserve(s.Deadline)
	return &Config{
		Log:      log,
		Shutdown: s,
		Children: []*Child{{
			Name: name,
			Instances: []*Instance{{
				Name: name, Child: name, Index: 1, Launch: l,
				Policy: Policy{
					KillSignal: kill, KillTimeout: s.Deadline - s.Reserve, KillHold: defaultChild().policy.KillHold,
					SuccessCodes: []int{0}, Restart: Restart{On: "never"}, OnSuccess: Ignore, OnFailure: Ignore,
				},
			}},
		}},
	}
}

// ParseSignal reads a signal as a command line has it: a number from 1 to 64,
// or a name with or without SIG, in either case.
func ParseSignal(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= 64 {
		return syscall.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	if sig, ok := realTime(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("%q is not a signal", text)
}
