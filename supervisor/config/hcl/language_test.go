package hclconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// argsOf returns the arguments of a child that are local.x. src declares that local.
func argsOf(t *testing.T, src string, opt Options) []string {
	t.Helper()
	c := good(t, src+"\nchild \"a\" {\ncommand = \"server\"\nargs = flatten([local.x])\n}\n", opt)
	return c.Instances()[0].Launch.Args
}

func TestVariablePrecedence(t *testing.T) {
	dir, opt := machine(t)
	one, two := filepath.Join(dir, "one.hcl"), filepath.Join(dir, "two.json")
	must(t, os.WriteFile(one, []byte("x = \"one\"\n"), 0o600))
	must(t, os.WriteFile(two, []byte(`{"x": "two ${1 + 1}"}`), 0o600))
	const src = "variable \"x\" {\ndefault = \"default\"\n}\nlocals {\nx = var.x\n}\n"
	steps := []struct {
		more func(*Options)
		want string
	}{
		{func(*Options) {}, "default"},
		{
			func(o *Options) {
				o.Environ = append(o.Environ, "SUPERVISOR_VAR_x=env", "SUPERVISOR_VAR_other=1")
			},
			"env"},
		{func(o *Options) { o.VarFiles = append(o.VarFiles, one) }, "one"},
		{func(o *Options) { o.VarFiles = append(o.VarFiles, two) }, "two 2"},
		{func(o *Options) { o.Vars = append(o.Vars, "x=first=1") }, "first=1"},
		{func(o *Options) { o.Vars = append(o.Vars, "x=") }, ""},
	}
	for _, step := range steps {
		step.more(&opt)
		if got := argsOf(t, src, opt); !slices.Equal(got, []string{step.want}) {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
}

func TestVariableTypes(t *testing.T) {
	_, opt := machine(t)
	for _, test := range []struct{ typ, given, expr, want string }{
		{"number", "12", "var.v + 1", "13"},
		{"bool", "true", "var.v ? 1 : 2", "1"},
		{"string", "[1]", "var.v", "[1]"},
		{"list(string)", `["a", 1]`, `join("+", var.v)`, "a+1"},
		{"map(string)", `{ a = 1 }`, `var.v.a`, "1"},
		{"any", `[1, true]`, `jsonencode(var.v)`, "[1,true]"},
		{"object({ p = number, q = optional(string, \"d\") })", `{ p = "7" }`,
			`"${var.v.p}${var.v.q}"`, "7d"},
	} {
		opt := opt
		opt.Vars = []string{"v=" + test.given}
		src := fmt.Sprintf(
			"variable \"v\" {\ntype = %s\ndescription = \"d\"\n}\nlocals {\nx = %s\n}\n", test.typ,
			test.expr)
		if got := argsOf(t, src, opt); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: got %q, want %q", test.typ, got, test.want)
		}
	}
}

func TestLocalsInAnyOrder(t *testing.T) {
	_, opt := machine(t)
	src := "locals {\nx = [local.b, local.a[\"k\"]]\na = { k = \"${local.b}!\" }\n}\n" +
		"locals {\nb = var.v\n}\nvariable \"v\" {\ndefault = [for local in [1] : " +
		"local][0]\n}\n"
	if got := argsOf(t, src, opt); !slices.Equal(got, []string{"1", "1!"}) {
		t.Errorf("got %q", got)
	}
}

func TestFunctions(t *testing.T) {
	_, opt := machine(t)
	for expr, want := range map[string]string{
		`upper("ab")`: "AB", `format("%s-%03d", "a", 7)`: "a-007",
		`join(",", sort(["b", "a"]))`:  "a,b",
		`join(",", split(".", "a.b"))`: "a,b", `replace("a/b", "/", "-")`: "a-b",
		`regex_replace("a1b2", "[0-9]", "")`: "ab",
		`regex("[0-9]+", "ab12")`:            "12", `length("äö")`: "2", `length([1, 2, 3])`: "3",
		`length({ a = 1 })`:             "1",
		`merge({ a = 1 }, { a = 2 }).a`: "2", `lookup({ a = 1 }, "b", 5)`: "5",
		`contains(["a"], "a")`:                 "true",
		`join(",", distinct(["a", "a", "b"]))`: "a,b",
		`join(",", [for i in range(3) : i])`:   "0,1,2", `max(1, 3, 2)`: "3",
		`coalesce(null, "x")`: "x", `jsondecode("{\"a\":[1]}").a[0]`: "1",
		`trimsuffix("a.hcl", ".hcl")`: "a", `tonumber("7") + 1`: "8",
		`index([1], 0)`: "", `timestamp()`: "", `file("/etc/passwd")`: "", `uuid()`: "",
	} {
		src := "locals {\nx = " + expr +
			"\n}\nchild \"a\" {\ncommand = \"server\"\nargs = [local.x]\n}\n"
		if want == "" { // there is no such function
			if f := faultsOf(t, src, opt).List()[0]; f.Summary != "Call to unknown function" {
				t.Errorf("%s: got %s, want a call to an unknown function", expr, brief(f))
			}
			continue
		}
		if got := good(t, src, opt).Instances()[0].Launch.Args[0]; got != want {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

// TestCostlyFunctions checks that the time and memory of every function are limited.
func TestCostlyFunctions(t *testing.T) {
	_, opt := machine(t)
	long := strings.Repeat("a", 100_000)
	mixed := "[" + strings.Repeat("1, \"a\", ", 20_000) + "]"
	for name, expr := range map[string]string{
		"range":       `range(0, 1e9)`,
		"small steps": `range(0, 1, 1e-300)`,
		"ranges": `[for a in range(1000) : [for b in range(1000) : [for c in ` +
			`range(1000) : a]]]`,
		"format":        `format("%1000000000d", 1)`,
		"precision":     `format("%.1000000000f", 1)`,
		"verbs":         `format("` + strings.Repeat("%[1]s", 10_000) + `", "` + long + `")`,
		"formatlist":    `formatlist("%100000s", range(1000))`,
		"indent":        `indent(1e15, "a\nb")`,
		"replace":       `replace("` + long + `", "", "` + long + `")`,
		"regex_replace": `regex_replace("` + long + `", "a", "` + long + `")`,
		"group": `regex_replace("` + long + `", "(a+)", "` + strings.Repeat("$1", 10_000) +
			`")`,
		"regex": `regex("` + strings.Repeat("(a?){1000}", 100) + `", "` + long + `")`,
		"join":  `join("` + long + `", range(1000))`,
		"nested joins": `[for a in range(1000) : join("` + long +
			`", [for b in range(100) : b])]`,
		"setproduct":     `setproduct(range(1000), range(1000), range(1000))`,
		"distinct":       `distinct(` + mixed + `)`,
		"tolist":         `tolist(` + mixed + `)`,
		"coalesce":       `coalesce(` + mixed + `...)`,
		"condition":      `true ? ` + mixed + ` : []`,
		"jsondecode":     `jsondecode("` + strings.Repeat("[", 100_000) + `")`,
		"numbers":        `tonumber("` + strings.Repeat("9", 100_000) + `")`,
		"operand":        `"` + strings.Repeat("9", 100_000) + `" + 1`,
		"parseint":       `parseint("` + long + `", 16)`,
		"large parseint": `parseint("1` + strings.Repeat("0", 2000) + `", 16)`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			f := faultsOf(t, "locals {\nx = "+expr+"\n}\nchild \"a\" { command = \"server\" }\n",
				opt).List()[0]
			if d := time.Since(start); d > maxHostileTime {
				t.Errorf("it took %v, want %v at most", d, maxHostileTime)
			}
			if f.Line != 2 || len(f.Detail) > 2*maxDetail {
				t.Errorf("got %s, want a fault of line 2 with %d bytes at most", brief(f),
					2*maxDetail)
			}
		})
	}
}

// TestDoublingLocals checks that the work for a local is counted at each place that uses it.
func TestDoublingLocals(t *testing.T) {
	_, opt := machine(t)
	for name, expr := range map[string]string{
		"strings": `"${local.N}${local.N}"`,
		"lists":   "[local.N, local.N]",
		"joins":   `join("", [local.N, local.N])`,
	} {
		var b strings.Builder
		b.WriteString("child \"a\" { command = \"server\" }\nlocals {\nx0 = \"ha\"\n")
		for i := range 60 {
			fmt.Fprintf(&b, "x%d = %s\n", i+1, strings.ReplaceAll(expr, "N", fmt.Sprintf("x%d", i)))
		}
		b.WriteString("}\n")
		if f := faultsOf(t, b.String(), opt).List()[0]; f.Summary != "Too many evaluation steps" {
			t.Errorf("%s: got %s, want too many evaluation steps", name, brief(f))
		}
	}
}

const numberVariable = "variable \"port\" {\ntype = number\ndefault = 1\n}\n"

// languageFaults are the faults of variables, locals and include. DIR is the directory of v.hcl.
var languageFaults = []struct {
	name, src string
	more      Options
	want      []string
}{
	{"variable without a value", "variable \"port\" {}", Options{},
		[]string{
			`1:1 No value for variable: The variable "port" has no default. Set it with ` +
				`--var port=…, in a file for --var-file, or in the environment as ` +
				`SUPERVISOR_VAR_port.`}},
	{"leading zeros", "child \"z\" {\ncommand = \"/bin/true\"\n" +
		"args = [007, 0, 00, 0.5, 10, \"08\"]\n" +
		"env = { P = 08080, Q = \"${1 + 01.5}\" } # 09\n}", Options{}, []string{
		`3:9 Number with a leading zero: The number 007 is decimal, so its value is 7. Write ` +
			`"007" to keep the zero, or 7 for the number.`,
		"3:17 Number with a leading zero: The number 00 is decimal, so its value is 0.",
		"4:13 Number with a leading zero: The number 08080 is decimal, so its value is 8080.",
		"4:31 Number with a leading zero: The number 01.5 is decimal, so its value is 1.5."}},
	{"env as an object", "child \"z\" {\ncommand = \"/bin/true\"\n" +
		"args = [\"${env.HOME}\", \"${count.index}\"]\n}", Options{}, []string{
		`3:12 Unknown variable: There is no variable named "env". env is a function: write ` +
			`env("HOME").`,
		`3:27 Unknown variable: There is no variable named "count". The number of an ` +
			`instance is index.`}},
	{"invalid default", "variable \"port\" {\ntype = number\ndefault = \"x\"\n}", Options{},
		[]string{
			`3:11 Invalid value for variable: The value of the variable "port" cannot be ` +
				`converted to its type, number: a number is required`}},
	{"invalid value of --var", numberVariable, Options{Vars: []string{"port=x"}},
		[]string{
			`1:1 Invalid value for variable: The value of the variable "port" from --var ` +
				`cannot be converted to its type, number: a number is required`}},
	{"invalid value in the environment", numberVariable,
		Options{Environ: []string{"SUPERVISOR_VAR_port=x"}},
		[]string{
			`1:1 Invalid value for variable: The value of the variable "port" from ` +
				`SUPERVISOR_VAR_port cannot`}},
	{"invalid value in a file", numberVariable, Options{VarFiles: []string{"DIR/v.hcl"}},
		[]string{
			`1:8 Invalid value for variable: The value of the variable "port" cannot be ` +
				`converted to its type, number`,
			`2:1 Unknown variable: No variable block declares "prot". Did you mean "port"?`}},
	{"--var without a variable", numberVariable, Options{Vars: []string{"prot=1", "novalue"}},
		[]string{`0:0 Invalid --var: The form is --var name=value, but the argument is "novalue".`,
			`0:0 Unknown variable: --var sets the variable "prot", but no variable block ` +
				`declares it. Did you ` +
				`mean "port"?`}},
	{"incomplete list", "variable \"l\" {\ntype = list(string)\n}", Options{Vars: []string{"l=[1"}},
		[]string{
			`1:1 Invalid value for variable: The value of the variable "l" from --var cannot be ` +
				`converted to its type, list(string): `}},
	{"function call in --var", "variable \"l\" {\ntype = list(string)\n}",
		Options{Vars: []string{"l=[env(\"HOME\")]"}}, []string{`1:1 Invalid value for variable`}},
	{"duplicate variable", numberVariable + numberVariable, Options{},
		[]string{`5:10 Duplicate variable: The variable "port" is already declared in line 1.`}},
	{"invalid type", "variable \"port\" {\ntype = strin\n}", Options{},
		[]string{"2:8 Invalid type specification"}},
	{"unknown attribute of a variable", "variable \"port\" {\nsecret = true\n}", Options{},
		[]string{"2:1 Unsupported argument"}},
	{"invalid variable name", "variable \"a b\" {\ndefault = 1\n}", Options{},
		[]string{"1:10 Invalid name"}},
	{"unknown variable", numberVariable + "log_level = var.prot", Options{},
		[]string{`5:13 Unknown variable: There is no variable "prot". Did you mean "port"?`}},
	{"unknown local", "locals {\na = local.bb\nbbb = 1\n}", Options{},
		[]string{`2:5 Unknown local: There is no local "bb". Did you mean "bbb"?`}},
	{"local refers to itself", "locals {\na = local.a\n}", Options{},
		[]string{"2:5 Cycle of locals: The local refers to itself."}},
	{"cycle of locals", "locals {\na = local.b\nb = \"${local.c}\"\nc = [local.a]\nd = local.c\n}",
		Options{},
		[]string{"4:6 Cycle of locals: These locals refer to each other: a → b → c → a."}},
	{"index in a local", "locals {\na = index\n}", Options{},
		[]string{"2:5 Invalid use of index: `index` differs"}},
	{"local without a name", "locals {\na = local\n}", Options{},
		[]string{"2:5 Invalid reference"}},
	{"duplicate local", "locals {\na = 1\n}\nlocals {\na = 2\n}", Options{},
		[]string{`5:1 Duplicate local: The local "a" is already defined in line 2.`}},
	{"variable in include", numberVariable + "include = [var.port]", Options{},
		[]string{"5:12 Invalid reference in include"}},
	{"invalid pattern", "include = [\"[a\"]", Options{}, []string{`1:12 Invalid include: `}},
	{"included file does not exist", "include = [\"none.hcl\"]", Options{},
		[]string{"1:12 Cannot read included file: open none.hcl: no such file"}},
}

func TestLanguageFaults(t *testing.T) {
	dir, opt := machine(t)
	file := filepath.Join(dir, "v.hcl")
	must(t, os.WriteFile(file, []byte("port = \"abc\"\nprot = 1\n"), 0o600))
	for _, test := range languageFaults {
		t.Run(test.name, func(t *testing.T) {
			opt := opt
			opt.Environ = append(slices.Clone(opt.Environ), test.more.Environ...)
			opt.Vars = test.more.Vars
			for _, file := range test.more.VarFiles {
				opt.VarFiles = append(opt.VarFiles, strings.ReplaceAll(file, "DIR", dir))
			}
			faults := faultsOf(t, test.src+"\nchild \"a\" { command = \"server\" }\n", opt)
			var got []string
			for _, f := range faults.List() {
				got = append(got, brief(f))
			}
			compareFaults(t, got, test.want)
		})
	}
}

// writeFiles writes files into a directory, and makes the directories of their names.
func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
}

func TestInclude(t *testing.T) {
	dir, opt := machine(t)
	child := func(name string) string { return "child \"" + name + "\" { command = \"server\" }\n" }
	writeFiles(t, dir, map[string]string{
		"s.hcl": "include = [\"conf.d/*.hcl\", \"conf.d/*.json\", \"*/none*\", " +
			"\"conf.d/b.hcl\"]\n" + child("main"),
		"conf.d/b.hcl":       "child \"b\" {\ncommand = \"server\"\nenv_file = [\"b.env\"]\n}\n",
		"conf.d/b.env":       "B=from conf.d\n",
		"conf.d/a.hcl":       "include = [\"more/x.hcl\"]\nlog_level = local.level\n" + child("a"),
		"conf.d/c.json":      `{"child": {"c": {"command": "server", "args": ["${local.level}"]}}}`,
		"conf.d/.hidden.hcl": child("hidden"),
		"conf.d/more/x.hcl":  "locals {\nlevel = \"debug\"\n}\n" + child("x"),
	})
	c, err := Load(filepath.Join(dir, "s.hcl"), opt)
	must(t, err)
	var names []string
	for _, child := range c.Children {
		names = append(names, child.Name)
	}
	if env := c.Child("b").Instances[0].Launch.Env; !slices.Contains(env, "B=from conf.d") {
		t.Errorf("got the environment %q, want B from conf.d/b.env", env)
	}
	if want := []string{"main", "a", "x", "b", "c"}; !slices.Equal(names, want) {
		t.Errorf("got the children %q, want %q", names, want)
	}
	if path := filepath.Join(dir, "s.hcl"); c.Log.Level != "debug" || c.Path != path {
		t.Errorf("got the level %s and the path %s, want debug and %s", c.Log.Level, c.Path, path)
	}
}

const oneChild = "child \"a\" { command = \"server\" }\n"

// include returns a main file that includes b.hcl, and that file.
func include(text string) map[string]string {
	return map[string]string{"s.hcl": oneChild + `include = ["b.hcl"]`, "b.hcl": text}
}

// includeJSON returns a main file that includes b.json, and that file.
func includeJSON(text string) map[string]string {
	return map[string]string{"s.hcl": oneChild + `include = ["b.json"]`, "b.json": text}
}

// includeFaults are the faults of several files. DIR is the directory of the files.
var includeFaults = []struct {
	name  string
	files map[string]string
	want  []string
}{
	{"fault in the included file", include("\nlog_level = \"x\"\n"),
		[]string{"b.hcl:2:13 Invalid value for log_level"}},
	{"duplicate child", include(oneChild),
		[]string{`b.hcl:1:7 Duplicate child: The child "a" is already defined in DIR/s.hcl line ` +
			`1.`}},
	{"duplicate log_level",
		map[string]string{"s.hcl": oneChild + "log_level = \"info\"\ninclude = [\"b.hcl\"]",
			"b.hcl": "log_level = \"info\"\n"},
		[]string{
			"b.hcl:1:1 Duplicate attribute: `log_level` is already set in DIR/s.hcl line 2."}},
	{"duplicate address",
		map[string]string{
			"s.hcl": "child \"a\" {\ncommand = \"server\"\nlisten \"x\" { tcp = \":1\" }\n}\n" +
				"include = [\"b.hcl\"]",
			"b.hcl": "child \"b\" {\ncommand = \"server\"\nlisten \"x\" { tcp = \":1\" }\n}\n"},
		[]string{"b.hcl:3:1 Duplicate address: The socket in DIR/s.hcl line 3 already listens"}},
	{"duplicate shutdown block",
		map[string]string{"s.hcl": oneChild + "shutdown {}\ninclude = [\"b.hcl\"]",
			"b.hcl": "shutdown {}\n"},
		[]string{
			"b.hcl:1:1 Duplicate block: The shutdown block is already in DIR/s.hcl line 2"}},
	{"syntax errors in two files",
		map[string]string{"s.hcl": oneChild + `include = ["b.hcl", "c.hcl"]`, "b.hcl": "a = \n",
			"c.hcl": "b = \n"},
		[]string{"b.hcl:1:5 Invalid expression", "c.hcl:1:5 Invalid expression"}},
	{"file includes itself", map[string]string{"s.hcl": oneChild + `include = ["*.hcl"]`},
		[]string{"s.hcl:2:12 Cycle of includes: These files include each other: s.hcl → s.hcl."}},
	{"cycle of includes",
		map[string]string{"s.hcl": oneChild + `include = ["b.hcl"]`,
			"b.hcl": `include = ["sub/c.hcl"]`, "sub/c.hcl": `include = ["../b.hcl"]`},
		[]string{"sub/c.hcl:1:12 Cycle of includes: These files include each other: b.hcl → " +
			"c.hcl → b.hcl."}},
	{"included directory", map[string]string{"s.hcl": oneChild + `include = ["bin"]`},
		[]string{"s.hcl:2:12 Cannot read included file: DIR/bin is not a regular file."}},
	{"included FIFO", map[string]string{"s.hcl": oneChild + `include = ["fif*"]`},
		[]string{"s.hcl:2:12 Cannot read included file: DIR/fifo is not a regular file."}},
	{"included file too large", include(strings.Repeat("#\n", 25<<20)),
		[]string{"s.hcl:2:12 Cannot read included file: DIR/b.hcl is larger than 4 MiB."}},
	{"all files too large",
		map[string]string{"s.hcl": oneChild + `include = ["b.hcl", "c.hcl"]`,
			"b.hcl": "#" + strings.Repeat("x", 3<<20) + "\n",
			"c.hcl": "#" + strings.Repeat("x", 3<<20) + "\n"},
		[]string{"c.hcl:1:1 Configuration too large: With this file"}},
	{"NUL byte", include("#\x00"), []string{"b.hcl:1:2 Not a text file"}},
	{"faults in JSON",
		includeJSON(
			"{\"child\": {\"b\": {\"comand\": \"x\",\n\"command\": \"${nobody}\", \"args\": " +
				"[\"\\u0041\\n${nobody}\", null]}}}"),
		[]string{"b.json:1:18 Extraneous JSON object property", "b.json:2:15 Unknown variable",
			"b.json:2:34 Unknown variable"}},
	{"misspelled command in JSON", includeJSON(`{"child": {"b": {"comand": "server"}}}`),
		[]string{"b.json:1:18 Extraneous JSON object property"}},
	{"duplicate key in JSON",
		includeJSON(`{"child": {"b": {"command": "server", "env": {"A": 1, "A": 2}}}}`),
		[]string{`b.json:1:56 Duplicate key: The object already has the key "A"`}},
	{"brackets in JSON", includeJSON(strings.Repeat("[", 100_000)),
		[]string{"b.json:1:401 Nested too deeply"}},
	{"long number in JSON", includeJSON(`{"log_level": ` + strings.Repeat("9", 100_000) + "}"),
		[]string{"b.json:1:115 Number too long"}},
	{"nested template in JSON",
		includeJSON(`{"log_level": "${` + strings.Repeat("(", 100_000) + `"}`),
		[]string{"b.json:1:15 Nested too deeply"}},
	{"loops in JSON",
		includeJSON(
			`{"log_level": "${[for a in range(1000) : [for b in range(1000) : [for c in ` +
				`range(1000) : a]]]}"}`), []string{"b.json:1:15 Too many evaluation steps"}},
	{"invalid type in JSON",
		includeJSON(`{"variable": {"p": {"type": "list(strin)", "default": []}}}`),
		[]string{"b.json:1:35 Invalid type specification"}},
}

func TestIncludeFaults(t *testing.T) {
	for _, test := range includeFaults {
		t.Run(test.name, func(t *testing.T) {
			dir, opt := machine(t)
			writeFiles(t, dir, test.files)
			must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
			_, err := Load(filepath.Join(dir, "s.hcl"), opt)
			var faults *Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got the error %v, want faults", err)
			}
			var got []string
			for _, f := range faults.List() {
				file := strings.TrimPrefix(f.File, dir+"/")
				got = append(got, strings.ReplaceAll(file+":"+brief(f), dir, "DIR"))
			}
			compareFaults(t, got, test.want)
		})
	}
}

// TestJSON checks that a file in JSON means the same as a file in HCL.
func TestJSON(t *testing.T) {
	_, opt := machine(t)
	const inJSON = `{
  "log_level": "debug",
  "variable": {"port": {"type": "number", "default": 7}},
  "locals": {"address": "127.0.0.1:${var.port}"},
  "shutdown": {"deadline": "5s"},
  "child": {
    "server": {
      "command": "server",
      "env": {"P": "${var.port + 1}", "Q": true, "${upper(\"r\")}": 2},
      "ready": {"tcp": "${local.address}"}
    },
    "client": {
      "command": "client", "count": 2, "args": ["${index}", "a\nb", 1.5],
      "depends_on": ["server"], "restart": {"attempts": 3}
    }
  }
}`
	const native = `
log_level = "debug"
variable "port" {
  type    = number
  default = 7
}
locals { address = "127.0.0.1:${var.port}" }
shutdown { deadline = "5s" }
child "server" {
  command = "server"
  env     = { P = var.port + 1, Q = true, R = 2 }
  ready { tcp = local.address }
}
child "client" {
  command    = "client"
  count      = 2
  args       = [index, "a\nb", 1.5]
  depends_on = ["server"]
  restart { attempts = 3 }
}`
	got, err := Parse([]byte(inJSON), "s.hcl.json", opt)
	must(t, err)
	want := good(t, native, opt)
	got.Path = want.Path
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", dump(got), dump(want))
	}
}

func TestUnreadableVarFile(t *testing.T) {
	dir, opt := machine(t)
	for _, path := range []string{dir, "/dev/zero", filepath.Join(dir, "none")} {
		opt.VarFiles = []string{path}
		_, err := Parse([]byte(example), "s.hcl", opt)
		var faults *Faults
		if err == nil || errors.As(err, &faults) ||
			!strings.HasPrefix(err.Error(), "cannot read variables: ") {
			t.Errorf("%s: got the error %v, want that variables cannot be read", path, err)
		}
	}
}
