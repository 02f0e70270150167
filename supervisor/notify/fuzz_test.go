package notify

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzDecode checks what a datagram of a child becomes.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"", "READY=1", "READY=1\n", "READY=1\x00", "READY=1\x00STATUS=x",
		"STATUS=\x1b[2J\xff\u202e",
		"EXTEND_TIMEOUT_USEC=18446744073709551615", "WATCHDOG_USEC=18446744073709551615",
		"WATCHDOG_USEC=1\nWATCHDOG=1\nWATCHDOG=trigger", "MAINPID=-1", "MAINPID=2147483647",
		"MAINPID=2147483648", "FDSTORE=1\nFDSTORE=1\nFDSTORE=1\nFDSTORE=1", "BARRIER=1",
		"RELOADING=1\nSTOPPING=1", "=\n==\nREADY", strings.Repeat("\n", maxLines),
		"STATUS=" + strings.Repeat("é", maxStatus),
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, content []byte, truncated bool) {
		d := rawMessage{content: content, truncated: truncated}
		m, fault := d.decode()
		bad := truncated || bytes.Count(content, []byte{'\n'}) >= maxLines ||
			bytes.IndexByte(bytes.TrimSuffix(content, []byte{0}), 0) >= 0
		if (fault != "") != bad || bad && !m.empty() {
			t.Errorf("got the fault %q and %+v", fault, m)
		}
		if len(m.Status) > maxStatus || !utf8.ValidString(m.Status) ||
			strings.ContainsFunc(m.Status, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("got the status %q", m.Status)
		}
		if m.ExtendTimeout < 0 || m.ExtendTimeout > maxExtend || m.MainPID < 0 ||
			m.Watchdog < 0 || m.Watchdog > maxWatchdog || len(m.Unsupported) > maxUnsupported {
			t.Errorf("got %+v, which is out of its limits", m)
		}
		if m.Watchdog != 0 && m.Watchdog < minWatchdog {
			t.Errorf("got a watchdog of %v", m.Watchdog)
		}
		if m.Ready != has(content, "READY=1") && !bad {
			t.Errorf("got ready=%v", m.Ready)
		}
	})
}

// has reports whether a line of a datagram is the given one.
func has(content []byte, line string) bool {
	for l := range strings.SplitSeq(strings.TrimSuffix(string(content), "\x00"), "\n") {
		if l == line {
			return true
		}
	}
	return false
}
