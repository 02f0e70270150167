package notify

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Message{
		"READY=1":                         {Ready: true},
		"READY=0\nREADY\n=\n\n":           {},
		"RELOADING=1\nMONOTONIC_USEC=5\n": {Reloading: true},
		"STOPPING=1\nSTATUS=end\x1b[2J\xff": {Stopping: true, Status: "end [2J ",
			HasStatus: true},
		"STATUS=": {HasStatus: true},
		"STATUS=" + strings.Repeat("é", 150): {Status: strings.Repeat("é", 98) + "…",
			HasStatus: true},
		"WATCHDOG=1":                                {KeepAlive: true},
		"WATCHDOG=trigger":                          {WatchdogTrigger: true},
		"EXTEND_TIMEOUT_USEC=1500000":               {ExtendTimeout: 1500 * time.Millisecond},
		"EXTEND_TIMEOUT_USEC=-1":                    {},
		"EXTEND_TIMEOUT_USEC=9999999999999999999":   {ExtendTimeout: 24 * time.Hour},
		"MAINPID=7\nFDSTORE=1\nX=1":                 {MainPID: 7, Unsupported: []string{"FDSTORE"}},
		"MAINPID=-1\nMAINPID=x\nMAINPID=4294967296": {},
	} {
		if got := Parse([]byte(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
