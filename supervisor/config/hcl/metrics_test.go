package hclconfig

import (
	"strings"
	"testing"
)

// TestMetrics checks the metrics block and its faults.
func TestMetrics(t *testing.T) {
	_, opt := machine(t)
	const child = "\nchild \"a\" {\n  command = \"server\"\n}\n"
	for value, want := range map[string]string{
		`"127.0.0.1:9180"`: "127.0.0.1:9180", `"localhost:9180"`: "127.0.0.1:9180",
		`":9180"`: "[::]:9180", `"[::1]:9180"`: "[::1]:9180",
	} {
		c := good(t, "metrics {\n  listen = "+value+"\n}"+child, opt)
		if c.Metrics.Listen != want {
			t.Errorf("%s: got %q, want %q", value, c.Metrics.Listen, want)
		}
	}
	for body, want := range map[string]string{
		`listen = "metrics.example:9180"`:     "must be an IP address of this machine",
		`listen = "127.0.0.1:0"`:              "from 1 to 65535",
		`listen = "9180"`:                     "The address has no host",
		`listen = "127.0.0.1:9180", path = 1`: "",
		`listn = "127.0.0.1:9180"`:            `Did you mean "listen"?`,
		``:                                    "listen",
	} {
		faults := faultsOf(t, "metrics {\n  "+body+"\n}"+child, opt)
		var all []string
		for _, f := range faults.list {
			all = append(all, brief(f))
		}
		if text := strings.Join(all, "\n"); !strings.Contains(text, want) {
			t.Errorf("%s: got %s, want %q", body, text, want)
		}
	}
}
