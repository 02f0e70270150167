package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"tp0/supervisor/config/plan"
)

func TestDifferences(t *testing.T) {
	const head = "child \"a\" {\n  command = \"server\"\n"
	tests := map[string]struct{ old, new, want string }{
		"nothing":         {"args = []", "", ""},
		"args":            {"", `args = ["x y", "\u001b[2J"]`, `args: [] → ["x y", "\x1b[2J"] restart`},
		"a policy":        {`kill_signal = "INT"`, `kill_timeout = "1s"`, `kill_signal: SIGINT → SIGTERM, kill_timeout: not given → 1s`},
		"an unnamed one":  {`reload_signal = "RTMIN+1"`, "", "reload_signal: signal 35 → none"},
		"names only":      {"env = { OLD = 1, SAME = 1, TURNED = \"secret\" }", "env = { NEW = 1, SAME = 1, TURNED = \"hidden\" }", "env: OLD → NEW, TURNED restart"},
		"a file":          {"", "logs {\n stdout = \"/tmp/x\"\n}", `logs.stdout: "stdout" → "/tmp/x" restart`},
		"until":           {`depends_on = ["b"]`, `depends_on = [{ child = "b", until = "started" }]`, `depends_on: ["b ready"] → ["b started"]`},
		"a role":          {"", "sidecar = true", "sidecar: false → true"},
		"both kinds":      {"", "cwd = \"/\"\non_failure = \"ignore\"", `cwd: not given → "/" restart, on_failure: "shutdown" → "ignore"`},
		"another command": {"# ", "}\nchild \"c\" {\ncommand = \"client\"", ""},
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
	global, _ := plan.Differences(load(t, head+"}"), load(t, "shutdown {\n deadline = \"8s\"\n}\n"+head+"}"))
	if len(global) != 1 || global[0] != (plan.Difference{Attribute: "shutdown.deadline", Old: "9s", New: "8s"}) {
		t.Errorf("globals: %+v", global)
	}
}
