package cli

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
)

// TestPlanJSON checks the documents of plan.
func TestPlanJSON(t *testing.T) {
	dir := t.TempDir()
	before, after := filepath.Join(dir, "old.hcl"), filepath.Join(dir, "new.hcl")
	const src = `child "db" {
  command      = "sh"
  kill_timeout = "2s"
}
child "web" {
  command      = "sh"
  depends_on   = ["db"]
  kill_timeout = "3s"
}
`
	write(t, before, src, 0o600)
	write(t, after, src+"child \"x\" {\n  command = \"sh\"\n  count = 0\n}\nlog_level = \"warn\"\n",
		0o600)
	for _, test := range []struct {
		args []string
		want string
	}{
		{
			[]string{"--config", before},
			`{"start":[[{"child":"db","instances":1,"traits":[],"waits_for":[]}],` +
				`[{"child":"web","instances":1,"traits":[],"waits_for":[{"child":"db",` +
				`"until":"ready"}]}]],"stop":[[{"child":"web","takes":"3s","latest":"3s"}],` +
				`[{"child":"db","takes":"2s","latest":"5s"}]],"worst_case":{"chain":["web","db"],` +
				`"takes":"5s","deadline":"9s","reserve":"450ms","left":"3.55s"},"running":[]}`,
		},
		{
			[]string{"--config", after, "--from", before},
			`{"difference":{"added":[],"removed":[],"changed":[],"kept":["db","web"]},` +
				`"changes":[],"supervisor":[{"name":"log_level","old":"\"info\"",` +
				`"new":"\"warn\"","restart":false}]}`,
		},
	} {
		code, out, errs := runMain(append([]string{"plan", "-o", "json"}, test.args...)...)
		var got bytes.Buffer
		if err := json.Compact(&got, []byte(out)); err != nil {
			t.Errorf("%v: %v", test.args, err)
		}
		if code != 0 || got.String() != test.want {
			t.Errorf("%v: code %d, %s\ngot  %s\nwant %s", test.args, code, errs, got.String(),
				test.want)
		}
	}
}
