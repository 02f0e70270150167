package acceptance

import (
	"strings"
	"testing"
)

// TestMissingRights checks what a missing right costs in a container, as docs/security.md says it.
// want is a part of the log. The exit code is 0 for a graceful stop.
func TestMissingRights(t *testing.T) {
	image := quickImage(t)
	const noUser = "has no privilege to change the user"
	const user = `user = "65534"`
	for _, tt := range []struct {
		name, flags, attribute, want string
		code                         string
	}{
		{"default", "--user 0:0 --read-only", user, `"child ready"`, "0"},
		{"cap-drop ALL", "--read-only --cap-drop ALL", "", `"proof":"exact"`, "0"},
		{"no-new-privileges", "--user 0:0 --security-opt no-new-privileges", user,
			`"child ready"`, "0"},
		{"no SETUID", "--user 0:0 --cap-drop SETUID", user, noUser, "2"},
		{"no SETGID", "--user 0:0 --cap-drop SETGID", user, noUser, "2"},
		{"no KILL", "--user 0:0 --cap-drop KILL", user, noUser, "2"},
		{"another user", "--user 12345:54321", user, noUser, "2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := runContainer(t, image, fixture("a", "sleep", tt.attribute),
				strings.Fields(tt.flags)...)
			if tt.code != "2" {
				c.awaitLine("[a] ready")
				docker(t, "kill", "--signal", "SIGTERM", c.id)
			}
			code := docker(t, "wait", c.id)
			c.awaitLine(tt.want)
			if code != tt.code {
				t.Errorf("exit code %s, want %s", code, tt.code)
			}
		})
	}
}
