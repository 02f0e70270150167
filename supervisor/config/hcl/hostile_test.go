package hclconfig

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/config/plan"
)

// hostileFile is a file that needs more stack, memory or time than there is, unless a limit of the
// parser stops it.
type hostileFile struct {
	src  string
	want string // the summary of the first fault; empty for any fault
}

// The counts of repetitions in hostile files.
const (
	manyLevels = 100_000
	manyItems  = 10_000
)

// many repeats a string.
var many = strings.Repeat

// settingFile returns a file with an attribute that has the value of an expression.
func settingFile(expr string) string {
	return "log_level = " + expr + "\nchild \"a\" { command = \"server\" }\n"
}

// costlyCalls are files whose functions do more work than the size of their arguments and of
// their result.
func costlyCalls() map[string]hostileFile {
	long := func(bytes int) string { return "\"" + many("b", bytes) + "\"" }
	hundred := func(of string) string { return "join(\"\", [for i in range(100): " + of + "])" }
	costly := func(expr string) hostileFile {
		src := "locals {\n text = " + hundred(long(10_000)) + "\n" +
			" cut = join(\"\", [local.text, \"é\"])\n" +
			" some = [for i in range(1000): \"${i}\"]\n" +
			" short = " + hundred(long(100)) + "\n" +
			" much = [for i in range(4): [for j in local.some: \"${i} ${j}\"]]\n}\n" +
			"child \"a\" {\n command = \"server\"\n args = [\"${length(" + expr + ")}\"]\n}\n"
		return hostileFile{src, "Too many evaluation steps"}
	}
	return map[string]hostileFile{
		"trim":                 costly("trim(local.text, local.cut)"),
		"regexall":             costly("regexall(\"(?:b.*c|b)\", local.short)"),
		"regex_replace":        costly("regex_replace(local.short, \"(?:b.*c|b)\", \"\")"),
		"sets of long strings": costly("setproduct(toset([local.text]), toset(local.some))"),
		"a large set": costly(
			"setunion(toset(flatten(local.much)), toset(flatten(local.much)))"),
	}
}

// nestedFiles are files with brackets, operators, strings and numbers without end.
func nestedFiles() map[string]hostileFile {
	return map[string]hostileFile{
		"brackets": {settingFile(many("[", manyLevels)), "Nested too deeply"},
		"closed brackets": {settingFile(many("[", manyLevels) + many("]", manyLevels)),
			"Nested too deeply"},
		"parentheses": {settingFile(many("(", manyLevels)), "Nested too deeply"},
		"braces":      {settingFile(many("{a=", manyLevels)), "Nested too deeply"},
		"blocks":      {many("a {\n", manyLevels), "Nested too deeply"},
		"templates":   {settingFile(many("\"${", manyLevels)), "Nested too deeply"},
		"directives": {settingFile("\"" + many("%{if true}", manyLevels) + "\""),
			"Nested too deeply"},
		"not": {settingFile(many("!", manyLevels) + "true"), "Nested too deeply"},
		"not on lines": {settingFile("{for x in y: z => " + many("!\n", manyLevels) + "1}"),
			"Nested too deeply"},
		"plus on lines": {settingFile("{for x in y: z => 1" + many("\n+1", manyLevels) + "}"),
			"Nested too deeply"},
		"sum":              {settingFile(many("1+", manyLevels) + "1"), "Nested too deeply"},
		"conditions":       {settingFile(many("true?1:", manyLevels) + "1"), "Nested too deeply"},
		"splats":           {settingFile("[1]" + many("[*]", manyLevels)), "Nested too deeply"},
		"indices":          {settingFile("[1]" + many(".0", manyLevels)), "Number too long"},
		"brackets behind":  {settingFile("[1]" + many("[0]", manyLevels)), "Nested too deeply"},
		"splats with dots": {settingFile("[1]" + many(".*", manyLevels)), "Nested too deeply"},
		"calls":            {settingFile(many("env(", manyLevels)), "Nested too deeply"},
		"heredoc":          {settingFile("<<A\n" + many("x\n", manyLevels)), "Heredoc too long"},
		"closed heredoc": {settingFile("<<A\n" + many("x\n", manyLevels) + "A"),
			"Heredoc too long"},
		"a name":   {settingFile(many("x", 1<<20)), "Name too long"},
		"a number": {settingFile(many("9", 1<<20)), "Number too long"},
	}
}

// largeFiles are files with large numbers, with loops in loops, and with many or long items.
func largeFiles() map[string]hostileFile {
	loop := func(depth int) string {
		return many("[for x in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] : ", depth) + "1" + many("]", depth)
	}
	doubled := func(depth int) string {
		return many("[for x in [\"${x}${x}${x}${x}\"] : ", depth) + "x" + many("]", depth)
	}
	squared := func(depth int) string {
		return many("[for x in [x * x] : ", depth) + "\"${x}\"" + many("]", depth)
	}
	return map[string]hostileFile{
		"exponent": {settingFile("\"x${1e99999999}\""), "Number too large"},
		"product": {settingFile("\"${" + many("1e1000*", 300) + "1}\""),
			"Operation failed"},
		"quotient":         {settingFile("\"${1 % (\"1e-99999999\" * 1)}\""), "Operation failed"},
		"string as number": {settingFile("\"${-\"1e99999999\"}\""), "Operation failed"},
		"squares": {settingFile("[for x in [3] : " + squared(60) + "]"),
			"Operation failed"},
		"loops in loops": {settingFile(loop(30)), "Too many evaluation steps"},
		"doubled strings": {settingFile("[for x in [\"ha\"] : " + doubled(30) + "]"),
			"Too many evaluation steps"},
		"open quotes":    {many("\"", manyItems), ""},
		"newlines":       {many("\n", 1<<17), "No child"},
		"attributes":     {many("a=1\n", manyItems), ""},
		"unknown names":  {manyAttributes(manyItems), ""},
		"unknown blocks": {many("a{}\n", manyItems), ""},
		"children":       {manyChildren(3000, "count = 9999"), ""},
		"unknown children": {
			manyChildren(1000, "depends_on = ["+many("\"zz\",", 10)+many("\"c1_x\",", 10)+"]"), ""},
		"one line": {"child \"a\" { args = [" + many("null,", manyItems) + "] }", ""},
		"many dependencies": {"child \"a\" { depends_on = [" + many("\"b\",", manyItems) + "] }",
			""},
		"long label": {"child \"" + many("é", manyItems) + "\" { command = \"server\" }",
			"Invalid name"},
		"long texts": {"child \"a\" {\n args = [\"" + many("a", maxFile/16) + "\"]\n}", ""},
	}
}

// manyAttributes returns a file that sets n unknown attributes.
func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("a")
		for ; i > 0; i /= 26 {
			b.WriteByte('a' + byte(i%26))
		}
		b.WriteString("=1\n")
	}
	return b.String()
}

// maxHostileTime is far more than a hostile file takes. Without the limits of the parser such a
// file takes hours, or ends the process.
const maxHostileTime = 60 * time.Second

func TestHostileFiles(t *testing.T) {
	_, opt := machine(t)
	for _, files := range []map[string]hostileFile{costlyCalls(), nestedFiles(), largeFiles()} {
		for name, test := range files {
			t.Run(name, func(t *testing.T) { testHostileFile(t, test, opt) })
		}
	}
}

func testHostileFile(t *testing.T, test hostileFile, opt Options) {
	start := time.Now()
	_, err := parse([]byte(test.src), "supervisor.hcl", opt)
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got the error %v, want faults", err)
	}
	parsed := time.Since(start)
	must(t, faults.Write(io.Discard, 80, false))
	if d := time.Since(start); d > maxHostileTime {
		t.Errorf("the file took %v, want %v at most", d, maxHostileTime)
	} else if d > time.Second {
		t.Logf("parsed in %v, written in %v, %d faults", parsed, d-parsed, faults.Len())
	}
	if test.want != "" && faults.List()[0].Summary != test.want {
		t.Errorf("got %s, want %s", brief(faults.List()[0]), test.want)
	}
}

// TestDeepestNesting parses expressions that are nested as deeply as permitted.
func TestDeepestNesting(t *testing.T) {
	_, opt := machine(t)
	for _, expr := range []string{
		strings.Repeat("[", maxNesting-10) + strings.Repeat("]", maxNesting-10),
		strings.Repeat("(", maxNesting-10) + "1" + strings.Repeat(")", maxNesting-10),
		strings.Repeat("!", maxNesting-10) + "true",
		strings.Repeat("1+", maxNesting-10) + "1",
	} {
		f := faultsOf(t, "child \"a\" {\n command = \"server\"\n args = "+expr+"\n}", opt).List()[0]
		if f.Summary != "Incorrect attribute value type" {
			t.Errorf("%.20s: got %s, want a fault of args", expr, brief(f))
		}
	}
	var lines bytes.Buffer // the operators of a line do not count for the next line
	for range 2000 {
		lines.WriteString(
			" # a + b\n args = [1 + 2,\n 3 - 4, { a = 1 ? 2 : 3\n b = -1 }, \"${1}\"]\n")
	}
	if d := checkShape(lines.Bytes(), "f"); d != nil {
		t.Errorf("an ordinary file is nested too deeply: %v", d)
	}
}

func FuzzParse(f *testing.F) {
	_, opt := machine(f)
	f.Add(example)
	f.Add("\ufeff" + strings.ReplaceAll(example, "\n", "\r\n"))
	f.Add(
		"child \"a\" {\n command = \"server\"\n args = [for x in [1, 2] : \"${x}%{if x > " +
			"1}a%{else}b%{endif}\"]\n}\n")
	f.Add(
		"child \"a\" {\n count = 3\n command = <<-E\n  server\n  E\n env = { (index) = " +
			"env(\"X\", {a = 1}[\"a\"]), \"b\" = [1][0] }\n}\n")
	f.Add(
		"child a {\n args = [[1, 2][*], {}.*.b, -index % 2, 1e9 / 3]\n depends_on = [\"a\", " +
			"\"b\"]\n ready {\n tcp = \":1\"\n}\n}\nchild b {\n depends_on = [\"a\"]\n}\n")
	f.Add("a = \x00\xff\u202e")
	f.Add(
		"variable \"p\" {\n type = list(any)\n default = [1, \"a\"]\n}\nlocals {\n" +
			" a = join(\"\", [for x in range(3) : local.b])\n b = var.p[1]\n}\n" +
			"child \"a\" {\n command = \"server\"\n args = [local.a]\n}\n")
	f.Add(
		"include = [\"none*\", \"\\u0000\"]\nlocals {\n a = local.a\n b = local[local.c].d\n" +
			"}\nlog_level = format(\"%*[1]d%999s\", -1, regex(\"(a+)+\", \"aaa\"))\n")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := parse([]byte(src), "f", opt)
		var faults *Faults
		switch {
		case errors.As(err, &faults):
			var b bytes.Buffer
			must(t, faults.Write(&b, 40, false))
			harmlessText(t, b.String()+faults.Error())
			if c != nil || faults.Len() == 0 {
				t.Errorf("got the configuration %v and %d faults, want faults only", c,
					faults.Len())
			}
		case err != nil:
			if len(src) <= maxFile {
				t.Error(err)
			}
		default:
			if len(c.Children) == 0 || !plan.Compare(c, c).Empty() {
				t.Errorf("%+v differs from itself: %+v", c, plan.Compare(c, c))
			}
			for _, i := range c.Instances() {
				if i.Launch.Path == "" || i.Policy.KillTimeout <= 0 ||
					i.Policy.KillTimeout > c.Shutdown.Deadline-c.Shutdown.Reserve {
					t.Errorf("%+v", i)
				}
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	_, opt := machine(f)
	f.Add(
		`{"variable": {"p": {"type": "list(string)", "default": ["${1 + 1}"]}}, "locals": ` +
			`{"l": "${var.p[0]}"}, "child": {"a": {"command": "server", "args": ` +
			`["${local.l}\\n", null]}}}`)
	f.Add(
		`{"child": [{"a": {"command": "${format(\"%9999999d\", 1)}"}}, {"b": {}}], "include": ` +
			`["none*"], "log_level": {"${x}": [1e9]}}`)
	f.Fuzz(func(t *testing.T, src string) {
		_, err := parse([]byte(src), "f.json", opt)
		var faults *Faults
		if errors.As(err, &faults) {
			var b bytes.Buffer
			must(t, faults.Write(&b, 40, false))
			harmlessText(t, b.String()+faults.Error())
		} else if err != nil && len(src) <= maxFile {
			t.Error(err)
		}
	})
}

func BenchmarkCount1000(b *testing.B) {
	_, opt := machine(b)
	src := []byte(
		"child \"a\" {\n count = 1000\n command = \"server\"\n args = [\"-id\", index]\n" +
			" env = { ID = index }\n}\n")
	for b.Loop() {
		if _, err := Parse(src, "f", opt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBlocks1000(b *testing.B) {
	_, opt := machine(b)
	src := []byte(
		manyChildren(1000,
			"env = { ID = index }\nargs = [\"a\", \"b\"]\nrestart {\non = \"never\"\n}"))
	for b.Loop() {
		if _, err := Parse(src, "f", opt); err != nil {
			b.Fatal(err)
		}
	}
}
