package hclconfig

import (
	"strings"
	"testing"
)

// TestControl checks the control block and its faults.
func TestControl(t *testing.T) {
	_, opt := machine(t)
	const child = "\nchild \"a\" {\n  command = \"server\"\n}\n"
	c := good(t, `control {
  socket = "/run/supervisor/./echo.sock"
  group  = "4711"
}`+child, opt)
	if c.Control.Socket != "/run/supervisor/echo.sock" || c.Control.GID == nil ||
		*c.Control.GID != 4711 {
		t.Errorf("got %+v", c.Control)
	}
	for value, want := range map[string]string{
		`socket = "echo.sock"`: "must be absolute",
		`socket = ""`:          "must not be empty",
		`socket = "/` + strings.Repeat("x", 199) + `"`: "The path has 200 bytes. The path of a " +
			"unix socket can have 107 at most.",
		`group = "no such group"`: "has no group",
		`mode = "0666"`:           "mode",
	} {
		faults := faultsOf(t, "control {\n  "+value+"\n}"+child, opt)
		if text := brief(faults.list[0]); !strings.HasPrefix(text, "2:") ||
			!strings.Contains(text, want) {
			t.Errorf("%.30s: got %s, want %q in line 2", value, text, want)
		}
	}
}
