package hclconfig

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

var update = flag.Bool("update", false, "write the golden files")

func TestWrite(t *testing.T) {
	t.Parallel()
	opt := Options{Environ: []string{"PATH=/nowhere"}, Only: []string{"sevrer"}, NoFile: 70}
	long := strings.Repeat("é日 ", 300)
	tests := map[string]struct {
		src   string
		width int
		color bool
	}{
		"plain": {`log_level = "inof"

child "server" {
	command = "server" # a tab before it
	env     = { 日本語 = null }
	ready {
	}
}
`, 0, false},
		"narrow": {`child "server" { kill_timeout = 5 }`, 40, false},
		"color":  {`child "server" { kill_timeout = 5 }`, 80, true},
		"long":   {`child "server" { args = ["` + long + `", null, "` + long + `"] }`, 80, false},
		"hostile": {
			"child \"a\\u001b[31m\" {\n  \u202ecommand = \"\x1b]0;owned\a\" \u009b2J\n}\n" +
				"log_level = \"\\u001b[2J\\u202e\"\r\n", 0, false},
		"escaped": {
			"# \x1b[2J\u202e\nchild \"a\\u001b\" {\n  command = \"\\u001b[2J\\u009b\\u202e\" " +
				"# \x1b]0;\a \u009b \u202e\u2066\n}\n", 0, false},
		"crlf": {"child \"a\" {\r\n  args = 1\r\n}\r\n", 0, false},
		"bom":  {"\ufefflog_level = \"x\"", 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := faultsOf(t, test.src, opt)
			var b bytes.Buffer
			must(t, faults.Write(&b, test.width, test.color))
			golden := filepath.Join("testdata", "faults_"+name+".txt")
			if *update {
				must(t, os.WriteFile(golden, b.Bytes(), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", b.Bytes(), want)
			}
			if !test.color {
				harmlessText(t, b.String())
			}
			harmlessText(t, faults.Error())
			if strings.Contains(faults.Error(), "\n") {
				t.Errorf("got %q, want one line", faults.Error())
			}
			for _, f := range faults.List() {
				harmlessText(t, f.File+f.Summary+f.Detail)
			}
		})
	}
}

// harmlessText checks that a text has no character that controls a terminal.
func harmlessText(t testing.TB, s string) {
	t.Helper()
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("got %U in %q, want no control character", r, s)
			return
		}
	}
}

func TestFaultsOneLine(t *testing.T) {
	opt := Options{Environ: []string{"PATH=/nowhere"}}
	for src, want := range map[string]string{
		`child "a" { command = "x" }`: `supervisor.hcl:1:23: Command not ` +
			`found: No program "x" is in PATH (/nowhere).`,
		"child \"a\" {\n command = \"x\"\n count = -1\n}": `supervisor.hcl:2:12: Command not ` +
			`found: No program "x" is in PATH (/nowhere). (and 1 more fault)`,
		`chidl "a" {}` + "\n" + `a = 1` + "\n" +
			`b = 2`: `supervisor.hcl:1:1: Unsupported block type: Blocks of type "chidl" ` +
			`are not expected here. Did you mean "child"? (and 2 more faults)`,
	} {
		if got := faultsOf(t, src, opt).Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	opt.Only = []string{"c"}
	src := `child "a" { command = "x" }`
	const want = `supervisor.hcl: Unknown name: The configuration has no child or instance "c".`
	if got := faultsOf(t, src, opt).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNoFile(t *testing.T) {
	_, opt := machine(t)
	src := "child \"a\" {\ncommand = \"server\"\ncount = 12\n}"
	opt.NoFile = 120 // 48 + 4*12 + 2*12
	good(t, src, opt)
	good(t, strings.Replace(src, "12", "8\nready { notify = true }", 1), opt) // 48 + 4*8 + 3*8
	opt.NoFile = 103
	if f := faultsOf(t, strings.Replace(src, "12", "8\nready { notify = true }", 1),
		opt).List()[0]; !strings.Contains(f.Detail, "104 descriptors") {
		t.Errorf("got %+v, want 104 descriptors", f)
	}
	opt.NoFile = 119
	f := faultsOf(t, src, opt).List()[0]
	const want = "12 instances need 120 descriptors, but the limit (ulimit -n) is 119."
	if f.Detail != want || f.Line != 0 {
		t.Errorf("got %+v, want %s", f, want)
	}
	opt.Only = []string{"a3"}
	good(t, src, opt)
}

var errFull = errors.New("full")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errFull }

func TestWriteReportsItsError(t *testing.T) {
	if err := faultsOf(t, "", Options{}).Write(brokenWriter{}, 0, false); !errors.Is(err, errFull) {
		t.Errorf("got the error %v, want %v", err, errFull)
	}
}

// TestPositionOutsideOfFile checks that a position beyond the end of a file does no harm.
func TestPositionOutsideOfFile(t *testing.T) {
	far := hcl.Pos{Line: 9, Column: 9, Byte: 900}
	for _, r := range []hcl.Range{{Start: far, End: far},
		{Start: hcl.Pos{Line: 1, Column: 1, Byte: -3}, End: hcl.Pos{Byte: -5}}} {
		faults := newFaults([]*source{{name: "f", src: []byte("x = 1")}},
			hcl.Diagnostics{fault(&r, "Somewhere", "else")})
		var b bytes.Buffer
		must(t, faults.Write(&b, 10, false))
		if !strings.Contains(b.String(), "^") {
			t.Errorf("got %s, want a caret", b.String())
		}
	}
}
