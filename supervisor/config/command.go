package config

import "syscall"

// ForCommand returns the configuration of one command without a file, as `supervisor exec`
// runs it. The command runs once. A stop sends kill to it and gives it the whole deadline.
// ForCommand computes s.Reserve.
func ForCommand(name string, l Launch, s Shutdown, log Log, kill syscall.Signal) *Config {
	s.Reserve = Reserve(s.Deadline)
	policy := Policy{
		KillSignal:   kill,
		KillTimeout:  s.Deadline - s.Reserve,
		KillHold:     DefaultKillHold,
		SuccessCodes: []int{0},
		Restart:      Restart{On: "never"},
		OnSuccess:    Ignore,
		OnFailure:    Ignore,
	}
	instance := &Instance{Name: name, Child: name, Index: 1, Launch: l, Policy: policy}
	return &Config{
		Log:      log,
		Shutdown: s,
		Children: []*Child{{Name: name, Instances: []*Instance{instance}}},
	}
}
