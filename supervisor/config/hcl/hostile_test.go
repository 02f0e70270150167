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

// hostile are files that overflow the stack, the memory or the patience of
// HCL's parser as it is; the want is a summary, or empty for any outcome.
func hostile() map[string]struct{ src, want string } {
	const n, some = 100_000, 10_000
	many := strings.Repeat
	attr := func(expr string) string { return "log_level = " + expr + "\nchild \"a\" { command = \"server\" }\n" }
	loop := func(depth int) string {
		return many("[for x in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] : ", depth) + "1" + many("]", depth)
	}
	doubled := func(depth int) string {
		return many("[for x in [\"${x}${x}${x}${x}\"] : ", depth) + "x" + many("]", depth)
	}
	squared := func(depth int) string {
		return many("[for x in [x * x] : ", depth) + "\"${x}\"" + many("]", depth)
	}
	// What a function does is more than what it is given, and has in the result.
	long := func(bytes int) string { return "\"" + many("b", bytes) + "\"" }
	hundred := func(of string) string { return "join(\"\", [for i in range(100): " + of + "])" }
	costly := func(expr string) string {
		return "locals {\n text = " + hundred(long(10_000)) + "\n cut = join(\"\", [local.text, \"é\"])\n some = [for i in range(1000): \"${i}\"]\n" +
			" short = " + hundred(long(100)) + "\n much = [for i in range(4): [for j in local.some: \"${i} ${j}\"]]\n}\n" +
			"child \"a\" {\n command = \"server\"\n args = [\"${length(" + expr + ")}\"]\n}\n"
	}
	return map[string]struct{ src, want string }{
		"trim":              {costly("trim(local.text, local.cut)"), "Too much to evaluate"},
		"regexall":          {costly("regexall(\"(?:b.*c|b)\", local.short)"), "Too much to evaluate"},
		"regex_replace":     {costly("regex_replace(local.short, \"(?:b.*c|b)\", \"\")"), "Too much to evaluate"},
		"sets of long text": {costly("setproduct(toset([local.text]), toset(local.some))"), "Too much to evaluate"},
		"a large set":       {costly("setunion(toset(flatten(local.much)), toset(flatten(local.much)))"), "Too much to evaluate"},
		"brackets":          {attr(many("[", n)), "Nested too deeply"},
		"closed brackets":   {attr(many("[", n) + many("]", n)), "Nested too deeply"},
		"parentheses":       {attr(many("(", n)), "Nested too deeply"},
		"braces":            {attr(many("{a=", n)), "Nested too deeply"},
		"blocks":            {many("a {\n", n), "Nested too deeply"},
		"templates":         {attr(many("\"${", n)), "Nested too deeply"},
		"directives":        {attr("\"" + many("%{if true}", n) + "\""), "Nested too deeply"},
		"not":               {attr(many("!", n) + "true"), "Nested too deeply"},
		"not on lines":      {attr("{for x in y: z => " + many("!\n", n) + "1}"), "Nested too deeply"},
		"plus on lines":     {attr("{for x in y: z => 1" + many("\n+1", n) + "}"), "Nested too deeply"},
		"sum":               {attr(many("1+", n) + "1"), "Nested too deeply"},
		"conditions":        {attr(many("true?1:", n) + "1"), "Nested too deeply"},
		"splats":            {attr("[1]" + many("[*]", n)), "Nested too deeply"},
		"indices":           {attr("[1]" + many(".0", n)), "Number too long"},
		"brackets behind":   {attr("[1]" + many("[0]", n)), "Nested too deeply"},
		"splats with dots":  {attr("[1]" + many(".*", n)), "Nested too deeply"},
		"calls":             {attr(many("env(", n)), "Nested too deeply"},
		"heredoc":           {attr("<<A\n" + many("x\n", n)), "Text too long"},
		"closed heredoc":    {attr("<<A\n" + many("x\n", n) + "A"), "Text too long"},
		"a name":            {attr(many("x", 1<<20)), "Name too long"},
		"a number":          {attr(many("9", 1<<20)), "Number too long"},
		"exponent":          {attr("\"x${1e99999999}\""), "Number too large"},
		"product":           {attr("\"${" + many("1e1000*", 300) + "1}\""), "Operation failed"},
		"quotient":          {attr("\"${1 % (\"1e-99999999\" * 1)}\""), "Operation failed"},
		"text as number":    {attr("\"${-\"1e99999999\"}\""), "Operation failed"},
		"squares":           {attr("[for x in [3] : " + squared(60) + "]"), "Operation failed"},
		"loops in loops":    {attr(loop(30)), "Too much to evaluate"},
		"doubled texts":     {attr("[for x in [\"ha\"] : " + doubled(30) + "]"), "Too much to evaluate"},
		"open quotes":       {many("\"", some), ""},
		"newlines":          {many("\n", 1<<17), "No child"},
		"attributes":        {many("a=1\n", some), ""},
		"unknown names":     {func() string { var b strings.Builder; names(&b, some); return b.String() }(), ""},
		"unknown blocks":    {many("a{}\n", some), ""},
		"children":          {manyChildren(3000, "count = 9999"), ""},
		"unknown children":  {manyChildren(1000, "depends_on = ["+many("\"zz\",", 10)+many("\"c1_x\",", 10)+"]"), ""},
		"one line":          {"child \"a\" { args = [" + many("null,", some) + "] }", ""},
		"many dependencies": {"child \"a\" { depends_on = [" + many("\"b\",", some) + "] }", ""},
		"long label":        {"child \"" + many("é", some) + "\" { command = \"server\" }", "Invalid name"},
		"long texts":        {"child \"a\" {\n args = [\"" + many("a", maxFile/16) + "\"]\n}", ""},
	}
}

func names(b *strings.Builder, n int) {
	for i := range n {
		b.WriteString("a")
		for ; i > 0; i /= 26 {
			b.WriteByte('a' + byte(i%26))
		}
		b.WriteString("=1\n")
	}
}

func TestHostileFiles(t *testing.T) {
	_, opt := machine(t)
	for name, test := range hostile() {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := parse([]byte(test.src), "supervisor.hcl", opt)
			var faults *Faults
			if !errors.As(err, &faults) {
				t.Fatalf("err = %v", err)
			}
			parsed := time.Since(begin)
			must(t, faults.Write(io.Discard, 80, false))
			// A wide bound: what it guards against takes hours or ends the process.
			if took := time.Since(begin); took > 60*time.Second {
				t.Errorf("took %v", took)
			} else if took > time.Second {
				t.Logf("parsed in %v, written in %v, %d faults", parsed, took-parsed, faults.Len())
			}
			if test.want != "" && faults.List()[0].Summary != test.want {
				t.Errorf("got %s, want %s", brief(faults.List()[0]), test.want)
			}
		})
	}
}

// TestDeepestAllowed shows that what the guard lets through does no harm.
func TestDeepestAllowed(t *testing.T) {
	_, opt := machine(t)
	for _, expr := range []string{
		strings.Repeat("[", maxNesting-10) + strings.Repeat("]", maxNesting-10),
		strings.Repeat("(", maxNesting-10) + "1" + strings.Repeat(")", maxNesting-10),
		strings.Repeat("!", maxNesting-10) + "true",
		strings.Repeat("1+", maxNesting-10) + "1",
	} {
		f := faultsOf(t, "child \"a\" {\n command = \"server\"\n args = "+expr+"\n}", opt).List()[0]
		if f.Summary != "Invalid value for args" {
			t.Errorf("%.20s: %s", expr, brief(f))
		}
	}
	var lines bytes.Buffer // operators of one line do not count for the next
	for range 2000 {
		lines.WriteString(" # a + b\n args = [1 + 2,\n 3 - 4, { a = 1 ? 2 : 3\n b = -1 }, \"${1}\"]\n")
	}
	if d := checkShape(lines.Bytes(), "f"); d != nil {
		t.Errorf("an ordinary file is nested too deeply: %v", d)
	}
}

func FuzzParse(f *testing.F) {
	_, opt := machine(f)
	f.Add(example)
	f.Add("\ufeff" + strings.ReplaceAll(example, "\n", "\r\n"))
	f.Add("child \"a\" {\n command = \"server\"\n args = [for x in [1, 2] : \"${x}%{if x > 1}a%{else}b%{endif}\"]\n}\n")
	f.Add("child \"a\" {\n count = 3\n command = <<-E\n  server\n  E\n env = { (index) = env(\"X\", {a = 1}[\"a\"]), \"b\" = [1][0] }\n}\n")
	f.Add("child a {\n args = [[1, 2][*], {}.*.b, -index % 2, 1e9 / 3]\n depends_on = [\"a\", \"b\"]\n ready {\n tcp = \":1\"\n}\n}\nchild b {\n depends_on = [\"a\"]\n}\n")
	f.Add("a = \x00\xff\u202e")
	f.Add("variable \"p\" {\n type = list(any)\n default = [1, \"a\"]\n}\nlocals {\n a = join(\"\", [for x in range(3) : local.b])\n b = var.p[1]\n}\nchild \"a\" {\n command = \"server\"\n args = [local.a]\n}\n")
	f.Add("include = [\"none*\", \"\\u0000\"]\nlocals {\n a = local.a\n b = local[local.c].d\n}\nlog_level = format(\"%*[1]d%999s\", -1, regex(\"(a+)+\", \"aaa\"))\n")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := parse([]byte(src), "f", opt)
		var faults *Faults
		switch {
		case errors.As(err, &faults):
			var b bytes.Buffer
			must(t, faults.Write(&b, 40, false))
			harmlessText(t, b.String()+faults.Error())
			if c != nil || faults.Len() == 0 {
				t.Errorf("%v with %d faults", c, faults.Len())
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
				if i.Launch.Path == "" || i.Policy.KillTimeout <= 0 || i.Policy.KillTimeout > c.Shutdown.Deadline-c.Shutdown.Reserve {
					t.Errorf("%+v", i)
				}
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	_, opt := machine(f)
	f.Add(`{"variable": {"p": {"type": "list(string)", "default": ["${1 + 1}"]}}, "locals": {"l": "${var.p[0]}"}, "child": {"a": {"command": "server", "args": ["${local.l}\\n", null]}}}`)
	f.Add(`{"child": [{"a": {"command": "${format(\"%9999999d\", 1)}"}}, {"b": {}}], "include": ["none*"], "log_level": {"${x}": [1e9]}}`)
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

// FuzzFormat holds format against its promise: blanks within lines.
func FuzzFormat(f *testing.F) {
	f.Add(example)
	f.Add("\ufeffa=1\r\nbc  =<<-E\r\n  x\r\n  E\r\n")
	f.Fuzz(func(t *testing.T, src string) {
		out, err := Format([]byte(src), "f.hcl")
		if err != nil {
			return
		}
		again, err := Format(out, "f.hcl")
		if err != nil || bytes.Count(out, []byte("\n")) != strings.Count(src, "\n") {
			t.Errorf("%q became %q, and then %q: %v", src, out, again, err)
		}
	})
}

func BenchmarkCount1000(b *testing.B) {
	_, opt := machine(b)
	src := []byte("child \"a\" {\n count = 1000\n command = \"server\"\n args = [\"-id\", index]\n env = { ID = index }\n}\n")
	for b.Loop() {
		if _, err := Parse(src, "f", opt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBlocks1000(b *testing.B) {
	_, opt := machine(b)
	src := []byte(manyChildren(1000, "env = { ID = index }\nargs = [\"a\", \"b\"]\nrestart {\non = \"never\"\n}"))
	for b.Loop() {
		if _, err := Parse(src, "f", opt); err != nil {
			b.Fatal(err)
		}
	}
}
