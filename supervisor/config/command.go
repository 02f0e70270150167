package config

import (
	"syscall"
)

// ForCommand is the configuration of one command without a file: it runs once, and
// how it ends is nobody's failure but its own. A stop gives it kill and the
// whole deadline. Of s, Reserve is filled in.
func ForCommand(name string, l Launch, s Shutdown, log Log, kill syscall.Signal) *Config {
	s.Reserve = Reserve(s.Deadline)
	return &Config{
		Log:      log,
		Shutdown: s,
		Children: []*Child{{
			Name: name,
			Instances: []*Instance{{
				Name: name, Child: name, Index: 1, Launch: l,
				Policy: Policy{
					KillSignal: kill, KillTimeout: s.Deadline - s.Reserve, KillHold: DefaultKillHold,
					SuccessCodes: []int{0}, Restart: Restart{On: "never"}, OnSuccess: Ignore, OnFailure: Ignore,
				},
			}},
		}},
	}
}
