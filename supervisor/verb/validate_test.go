package verb

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hclconfig "tp0/supervisor/config/hcl"
)

func TestValidateJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.hcl")
	const src = "variable \"v\" {}\nchild \"a\" {\n  command = var.v\n  cwd = \"/\\u001b\"\n}\n"
	write(t, path, src)
	for _, test := range []struct {
		args []string
		code int
		want string // the first diagnostic
	}{
		{
			[]string{"-c", path}, 2,
			`{"severity":"error","summary":"No value for variable","detail":"The variable \"v\" ` +
				`has no default. Set it with --var v=…, in a file for --var-file, or in the ` +
				`environment as SUPERVISOR_VAR_v.",` +
				`"range":{"filename":"PATH","start":{"line":1,"column":1,` +
				`"byte":0},"end":{"line":1,"column":13,"byte":12}},"snippet":` +
				`{"context":"variable \"v\"","code":"variable \"v\" {}"}}`,
		},
		{
			[]string{"-c", path, "--var", "v=sh"}, 2,
			`{"severity":"error","summary":"Invalid value for cwd","detail":"The directory ` +
				`\"/\\x1b\" does not ` +
				`exist.","range":{"filename":"PATH","start":{"line":4,"column":9,"byte":54},` +
				`"end":{"line":4,"column":18,"byte":63}},"snippet":{"context":"child \"a\"",` +
				`"code":"  cwd = \"/\\u001b\""}}`,
		},
		{
			[]string{"-c", "/dev/null"}, 2,
			`{"severity":"error","summary":"Cannot read","detail":"cannot read configuration: ` +
				`/dev/null is not a regular file"}`,
		},
	} {
		code, stdout, stderr := runMain(
			t, append([]string{"validate", "--json"}, test.args...)...,
		)
		var got struct {
			Valid       bool
			Diagnostics []hclconfig.Diagnostic
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || len(got.Diagnostics) == 0 {
			t.Fatalf("%v: %s%s", err, stdout, stderr)
		}
		var first bytes.Buffer
		encoder := json.NewEncoder(&first)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(got.Diagnostics[0]); err != nil {
			t.Fatal(err)
		}
		if text := strings.ReplaceAll(
			strings.TrimSpace(first.String()), path, "PATH",
		); code != test.code || got.Valid || text != test.want {
			t.Errorf("code %d\ngot  %s\nwant %s", code, text, test.want)
		}
	}
	write(t, path, "child \"a\" { command = \"sh\" }\n")
	if code, stdout, _ := runMain(t, "validate", "--json", "-c", path); code != 0 ||
		stdout != "{\n  \"valid\": true,\n  \"diagnostics\": []\n}\n" {
		t.Errorf("code %d: %s", code, stdout)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
