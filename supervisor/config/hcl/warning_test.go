package hclconfig

import (
	"fmt"
	"strings"
	"testing"
)

// chain returns children that each depend on the next one, with the attributes of bodies.
func chain(bodies ...string) string {
	var b strings.Builder
	for i, body := range bodies {
		fmt.Fprintf(&b, "child \"c%d\" {\n  command = \"server\"\n", i+1)
		if i+1 < len(bodies) {
			fmt.Fprintf(&b, "  depends_on = [\"c%d\"]\n", i+2)
		}
		fmt.Fprintf(&b, "  %s\n}\n", body)
	}
	return b.String()
}

func TestShortShareWarnings(t *testing.T) {
	const sequence = `kill_sequence = [
{ signal = "SIGINT", wait = "6s" }, { signal = "SIGTERM", wait = "1s" }]`
	deadline := func(d string) string { return fmt.Sprintf("shutdown { deadline = %q }\n", d) }
	for _, tt := range []struct {
		name, file string
		want       []string // a part of each warning
	}{
		{"enough for all", chain("", "", "", ""), nil},
		{"exactly 2s", deadline("2105263158ns") + chain(""), nil},
		{"five layers", chain("", "", "", "", ""), []string{
			"1:1 the children c1, c2, c3, c4 and c5 have each 1.71s from `kill_signal` to " +
				"SIGKILL, and many programs need 2s. That is a share of the deadline of 9s: " +
				"450ms are reserved, and 5 layers of the stop order divide the rest. Raise"}},
		{"seven layers", chain("", "", "", "", "", "", ""), []string{
			"1:1 the children c1, c2, c3, c4, c5 and 2 more have each 1.221s"}},
		{"the other timeout leaves little", chain(`kill_timeout = "7s"`, ""), []string{
			"6:1 the child \"c2\" has 1.55s from `kill_signal` to SIGKILL, and many programs " +
				"need 2s. That is a share of the deadline of 9s: 450ms are reserved, timeouts " +
				"that the file gives take 7s in its chain of dependencies. Raise"}},
		{"a kill_sequence leaves little", chain(sequence, ""), []string{
			"c2\" has 1.55s"}},
		{"another chain does not matter",
			chain(`kill_timeout = "7s"`) + strings.ReplaceAll(chain(""), "c1", "d1"), nil},
		{"a timeout that is short on purpose", chain(`kill_timeout = "100ms"`), nil},
		{"a sequence that is short on purpose",
			chain(`kill_sequence = [{ signal = "SIGTERM", wait = "1s" }]`), nil},
		{"a short deadline", deadline("1s") + chain(""), []string{
			"2:1 the child \"c1\" has 950ms from `kill_signal` to SIGKILL, and many programs " +
				"need 2s. That is a share of the deadline of 1s: 50ms are reserved. Raise"}},
		{"no instances", deadline("1s") + chain("count = 0"), nil},
		{"different shares", chain(`kill_timeout = "5s"`, "", "") +
			"child \"e1\" {\n command = \"server\"\n depends_on = [\"e2\"]\n}\n" +
			"child \"e2\" {\n command = \"server\"\n kill_timeout = \"6s\"\n}\n",
			[]string{"the children c2 and c3 have each 1.183s", "\"e1\" has 850ms"}},
	} {
		_, opt := machine(t)
		var got []string
		opt.OnWarnings = func(w *Faults) {
			for _, f := range w.List() {
				if f.Severity != SeverityWarning || f.Summary != "Short time to stop" {
					t.Errorf("%s: got %v", tt.name, f)
				}
				text := strings.TrimPrefix(f.Detail, "In the final stop ")
				got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Column, text))
			}
		}
		good(t, tt.file, opt)
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], tt.want[i]) {
				t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got[i], tt.want[i])
			}
		}
	}
}

// TestNoWarningBesideFaults checks that a file with faults has no warnings: the faults come first.
func TestNoWarningBesideFaults(t *testing.T) {
	_, opt := machine(t)
	opt.OnWarnings = func(*Faults) { t.Error("got warnings beside faults") }
	file := "shutdown { deadline = \"1s\" }\nchild \"a\" {\n  command = \"server\"\n  typo = 1\n}\n"
	_, err := Parse([]byte(file), "supervisor.hcl", opt)
	if err == nil || strings.Contains(err.Error(), "more fault") {
		t.Errorf("got %v, want one fault", err)
	}
}
