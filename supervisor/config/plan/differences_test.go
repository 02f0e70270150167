package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tp0/supervisor/config/plan"
)

// TestDifferences compares what a person reads of a change. The values of env are secret.
func TestDifferences(t *testing.T) {
	const head = "child \"a\" {\n  command = \"server\"\n"
	tests := map[string]struct{ old, new, want string }{
		"default written out": {"args = []", "", ""},
		"args": {"", `args = ["x y", "\u001b[2J"]`,
			`args: [] → ["x y", "\x1b[2J"] restart`},
		"attributes that keep the process": {`kill_signal = "INT"`, `kill_timeout = "1s"`,
			`kill_signal: SIGINT → SIGTERM, kill_timeout: not given → 1s`},
		"signal without a name": {`reload_signal = "RTMIN+1"`, "",
			"reload_signal: signal 35 → none"},
		"names of variables only": {"env = { OLD = 1, SAME = 1, TURNED = \"secret\" }",
			"env = { NEW = 1, SAME = 1, TURNED = \"hidden\" }", "env: OLD → NEW, TURNED restart"},
		"hooks": {"", "hooks {\n  post_stop = [\"server\", \"x\"]\n  timeout = \"1s\"\n}\n",
			`hooks.post_stop: not given → ["server", "x"], hooks.timeout: not given → 1s`},
		"log file": {"", "logs {\n stdout = \"/tmp/x\"\n}",
			`logs.stdout: "stdout" → "/tmp/x" restart`},
		"until": {`depends_on = ["b"]`,
			`depends_on = [{ child = "b", until = "started" }]`,
			`depends_on: ["b ready"] → ["b started"]`},
		"sidecar": {"", "sidecar = true", "sidecar: false → true"},
		"one of each kind": {"", "cwd = \"/\"\non_failure = \"ignore\"",
			`cwd: not given → "/" restart, on_failure: "shutdown" → "ignore"`},
		"another child": {"# ", "}\nchild \"c\" {\ncommand = \"client\"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tail := "\n}\nchild \"b\" {\n  command = \"client\"\n}\n"
			_, all := plan.Differences(load(t, head+test.old+tail), load(t, head+test.new+tail))
			var words []string
			for _, d := range all["a"] {
				word := fmt.Sprintf("%s: %s → %s", d.Attribute, d.Old, d.New)
				if d.Restart {
					word += " restart"
				}
				words = append(words, word)
			}
			if got := strings.Join(words, ", "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	const shorter = "shutdown {\n deadline = \"8s\"\n}\n"
	got, _ := plan.Differences(load(t, head+"}"), load(t, shorter+head+"}"))
	want := []plan.Difference{{Attribute: "shutdown.deadline", Old: "9s", New: "8s"}}
	if !slices.Equal(got, want) {
		t.Errorf("global attributes: got %+v, want %+v", got, want)
	}
}
