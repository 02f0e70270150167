package hclconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
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
		"many words":  {many("a ", maxTokens+1), "Configuration too large"},
		"many commas": {many(",", maxTokens+1), "Configuration too large"},
		"many small blocks": {many("child \"b\" {\nlisten \"x\" {\n}\n}\n", maxTokens/10),
			"Configuration too large"},
		"defaults for many objects": {"variable \"v\" {\n type = list(object({" +
			manyOptional(3000) + "}))\n" +
			" default = [for i in range(1000): {}]\n}\nchild \"a\" { command = \"server\" }\n",
			"Invalid value for variable"},
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

// manyOptional returns n optional attributes of an object type.
func manyOptional(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%d = optional(string, \"x\"), ", i)
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

// TestManyFaults checks that a limited number of faults is reported, and that the last one has the
// number of the others.
func TestManyFaults(t *testing.T) {
	_, opt := machine(t)
	list := faultsOf(t, many("a{}\n", manyItems), opt).List()
	if last := list[len(list)-1]; len(list) != maxFaults+1 ||
		last.Detail != fmt.Sprintf("%d more faults are not shown.", manyItems-maxFaults) {
		t.Errorf("got %d faults, the last is %s", len(list), brief(last))
	}
	if err := CheckFormattable([]byte(many(",", maxTokens+1)), "f.hcl"); err == nil ||
		!strings.Contains(err.Error(), "too large") {
		t.Errorf("the format of many commas: got the error %v", err)
	}
}

// TestManyLabels checks that a fault shows the first labels of a block only.
func TestManyLabels(t *testing.T) {
	_, opt := machine(t)
	f := faultsOf(t, "child "+many("\"a\" ", manyItems)+"{}", opt).List()[0]
	if want := `child "a" "a" "a" …`; f.block != want {
		t.Errorf("got a header of %d bytes, want %s", len(f.block), want)
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
