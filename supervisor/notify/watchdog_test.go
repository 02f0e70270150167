package notify

import (
	"testing"
	"time"
)

func TestParseWatchdogInterval(t *testing.T) {
	for text, want := range map[string]struct {
		sent     bool
		interval time.Duration
	}{
		"WATCHDOG_USEC=20000000":               {true, 20 * time.Second},
		"WATCHDOG_USEC=0":                      {true, 0},
		"WATCHDOG_USEC=18446744073709551615":   {true, 0}, // USEC_INFINITY
		"WATCHDOG_USEC=1":                      {true, time.Millisecond},
		"WATCHDOG_USEC=18446744073709551614":   {true, 24 * time.Hour},
		"WATCHDOG_USEC=99999999999999999999":   {},
		"WATCHDOG_USEC=-1":                     {},
		"WATCHDOG_USEC=":                       {},
		"WATCHDOG_USEC=1s":                     {},
		"WATCHDOG_USEC=1000\nWATCHDOG_USEC=2k": {true, time.Millisecond},
	} {
		m := Parse([]byte(text))
		if m.HasWatchdog != want.sent || m.Watchdog != want.interval {
			t.Errorf("%q: got %v %v, want %v", text, m.HasWatchdog, m.Watchdog, want)
		}
	}
}
