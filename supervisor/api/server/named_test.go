package server

import (
	"strings"
	"testing"

	"tp0/supervisor/api"
)

// TestNamed asks the routes that need the name of an instance or of a child.
func TestNamed(t *testing.T) {
	h := start(t)
	h.fake.status = api.Status{Instances: []api.Instance{
		{Name: "a1", Child: "a"}, {Name: "a2", Child: "a"}, {Name: "b", Child: "b"},
	}}
	for _, c := range []struct {
		path   string
		status int
		want   string // a part of the body
	}{
		{"/v1/fds?name=a2&name=b", 200, `{"instances":[{"name":"a2",`},
		{"/v1/fds?name=a2&name=b", 200, `{"name":"b",`},
		{"/v1/fds?name=z", 404, "unknown-name"},
		{"/v1/fds?name=%00", 400, "not a name"},
		{"/v1/why?name=a2&name=b", 200, `"answer":"a2 b"`},
		{"/v1/why?name=%00", 400, "not a name"},
		{"/v1/why", 400, "the parameter name is missing"},
		{"/v1/fds", 400, "the parameter name is missing"},
	} {
		status, body := h.send(get(c.path))
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: got %d %s, want %d with %q", c.path, status, body, c.status, c.want)
		}
	}
}
