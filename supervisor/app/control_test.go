package app

import (
	"strings"
	"testing"

	"tp0/supervisor/api/server"
	"tp0/supervisor/config"
)

// TestGroupWithoutPath gives the control socket to a group where no socket has a path. The warning
// names the group, and the next reload tries again.
func TestGroupWithoutPath(t *testing.T) {
	gid := uint32(4711)
	var warnings []string
	c := &controlSocket{
		server:  server.New(server.Options{}),
		inForce: &config.Config{Control: config.Control{Group: "ops", GID: &gid}},
		warn: func(what string, err error) {
			warnings = append(warnings, what+": "+err.Error())
		},
	}
	defer c.server.Close()
	c.update()
	const want = "not changed: the members of the group ops cannot connect"
	if len(warnings) != 1 || !strings.Contains(warnings[0], want) {
		t.Errorf("got the warnings %q", warnings)
	}
	if c.socket.GID != nil {
		t.Errorf("the socket counts as one of the group: %+v", c.socket)
	}
}
