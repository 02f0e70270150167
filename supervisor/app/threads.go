package app

import (
	"tp0/supervisor/config"
	"tp0/supervisor/limits"
)

// reserveMore does the same for a configuration that is read again.
func (h *house) reserveMore(cfg *config.Config) error {
	extra := extraOf(cfg, h.extra)
	if err := limits.ReserveMore(h.extra, extra); err != nil {
		return err
	}
	h.extra = extra
	return nil
}

// extraOf adds to extra what a configuration needs.
func extraOf(cfg *config.Config, extra limits.ThreadNeeds) limits.ThreadNeeds {
	for _, c := range cfg.Children {
		for _, i := range c.Instances {
			l := &i.Launch
			extra.Notify = extra.Notify || l.Ready != nil && l.Ready.Notify
			for _, dest := range []string{l.Logs.Stdout, l.Logs.Stderr} {
				extra.LogFiles = extra.LogFiles || dest != "stdout" && dest != "stderr" && dest != "none"
			}
		}
	}
	return extra
}
