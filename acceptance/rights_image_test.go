package acceptance

import (
	"os"
	"path/filepath"
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

// limitedChildren returns children with a notification, a watchdog, probes and attributes. user is
// an attribute of each.
func limitedChildren(user string) string {
	return fixture("beat", "beat", user+`
  ready {
    notify   = true
    watchdog = "4s"
  }`) + fixture("probed", "sleep", user+`
  umask        = "0027"
  no_new_privs = true
  rlimits { nofile = 100 }
  ready { exec = ["fixture", "exit", "0"] }
  check "alive" {
    exec     = ["fixture", "exit", "0"]
    interval = "100ms"
    limit    = 1
  }`)
}

// TestLimitedContainers checks that notifications, probes with attributes, a reload, the verbs
// health and exec, and the proof need no right beyond those of the container.
func TestLimitedContainers(t *testing.T) {
	image := quickImage(t)
	for name, tt := range map[string]struct {
		flags, user string
		late        bool // the trace helper can be late, and the proof sampled
	}{
		"default":  {"", "", false},
		"hardened": {"--cap-drop ALL --security-opt no-new-privileges", "", false},
		"root":     {"--user 0:0 --security-opt no-new-privileges", `user = "65534"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(hcl string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, "supervisor.hcl"),
					[]byte(withHeader(hcl)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			children := limitedChildren(tt.user)
			write(children)
			flags := strings.Fields("--read-only " + tt.flags)
			c := runContainer(t, image, "", append(flags, "-v", dir+":/config:ro", "-e",
				"SUPERVISOR_CONFIG=/config/supervisor.hcl")...)
			c.awaitEntryFrom(0, "all children ready")
			c.awaitLine("[beat] beat 1")
			docker(t, "exec", c.id, "/bin/supervisor", "health", "--ready")
			write(children + fixture("late", "sleep", tt.user))
			docker(t, "kill", "--signal", "SIGHUP", c.id)
			c.awaitEntryFrom(0, "config reloaded")
			c.awaitLine("[late] ready")
			docker(t, "kill", "--signal", "SIGTERM", c.id)
			e := c.expectStop(0, "graceful")
			if e.int("spawned") != 3 || !tt.late && e.int("unproven") != 0 {
				t.Errorf("got %v, want spawned=3 and each exit proven", e)
			}
			one := runContainer(t, image+" exec -- fixture exit 3", "", flags...)
			if code := docker(t, "wait", one.id); code != "3" {
				t.Errorf("exec: exit code %s, want 3", code)
			}
		})
	}
}
