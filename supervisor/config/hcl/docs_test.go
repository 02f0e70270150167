package hclconfig

import (
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

// TestDocs checks that the generated part of the configuration page matches the schema.
func TestDocs(t *testing.T) {
	const path = "../../../docs/configuration.md"
	const begin = "<!-- generated: go test ./supervisor/config/hcl -run TestDocs -update -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(b), begin)
	if !ok {
		t.Fatalf("%s has no line that begins the generated part", path)
	}
	child := defaultChild()
	var tables strings.Builder
	document(&tables, "", fileSchema(), defaultConfig())
	document(&tables, "", childSchema(), &child)
	socket := defaultListen()
	document(&tables, "child › ", listenSchema(), &socket)
	check := defaultCheck()
	document(&tables, "child › ", checkSchema(), &check)
	documentLanguage(&tables)
	if strings.Contains(tables.String(), "```hcl\n```") {
		t.Error("a block has no example")
	}
	want := head + begin + tables.String()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s does not match the schema. Run the test with -update.", path)
	}
}

func document[T any](w *strings.Builder, around string, b *block[T], defaults *T) {
	title := "The file"
	if b.name != "" {
		title = around + b.name
		if b.label != "" {
			title += " \"" + b.label + "\""
		}
		title = "`" + title + "`"
		around += b.name + " › "
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n"+
		"| attribute | type | allowed values | default | example | meaning |\n"+
		"|---|---|---|---|---|---|\n", title, b.doc)
	for _, a := range b.attributes {
		if a.doc == "" {
			continue // the schema has it only for a better diagnostic
		}
		value := shown(a.get(defaults))
		if a.typ == "" || a.allowed == "" || a.example == "" {
			panic("the attribute " + a.name + " has no type, allowed values or example")
		}
		if a.required {
			value = "required"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | `%s` | %s |\n", a.name, a.typ, a.allowed, value,
			a.example, a.doc)
	}
	if b.name != "" {
		fmt.Fprintf(w, "\n```hcl\n%s```\n", blockExamples[b.name])
	}
	for i := range b.blocks {
		document(w, around, &b.blocks[i], defaults)
	}
}

// blockExamples has an example of each block for the page. TestExamples parses them.
var blockExamples = map[string]string{
	"control": `control {
  socket = "/run/supervisor/echo.sock"
  group  = "1000" # a name, such as "ops", must be in /etc/group
}

child "server" {
  command = "server"
}
`,
	"metrics": `metrics {
  listen = "127.0.0.1:9180"
}

child "server" {
  command = "server"
}
`,
	"reload": `reload {
  rollback = true
}

child "server" {
  command = "server"
  ready {
    tcp = "127.0.0.1:12345" # without a ready block there is no rollback
  }
}
`,
	"shutdown": `shutdown {
  deadline = "9s" # docker stop kills after 10
  strict   = true
  findings = "sockets"
  allow    = ["epoll", "file:/var/log/**"]
  report   = "/tmp/stop.html"
}

child "server" {
  command = "server"
}
`,
	"child": `child "server" {
  command      = "server"
  args         = ["-v"]
  env          = { SERVER_PORT = env("SERVER_PORT", "12345") }
  kill_timeout = "5s"
}

child "client" {
  count      = 2
  command    = "client"
  env        = { CLI_ID = index } # 1, 2
  depends_on = ["server"]
  on_success = "ignore"
}
`,
	"rotate": `child "server" {
  command = "server"
  logs {
    stdout = "/var/log/server.log"
    rotate {
      size = "10MiB"
      keep = 5
    }
  }
}
`,
	"ready": `child "server" {
  command = "server"
  ready {
    http    = "http://127.0.0.1:8080/ready"
    timeout = "5s"
  }
}
`,
	"rlimits": `child "server" {
  command = "server"
  rlimits {
    nofile = 4096
    core   = { soft = 0, hard = "unlimited" }
  }
}
`,
	"restart": `child "server" {
  count   = 4
  command = "server"
  listen "echo" {
    tcp = ":12345"
  }
  ready {
    log = "inherited: true"
  }
  restart {
    on           = "always"
    attempts     = 5
    interval     = "1m"
    delay        = "200ms"
    max_delay    = "30s"
    strategy     = "overlap"
    max_parallel = 2
  }
}
`,
	"stop": `child "server" {
  command      = "server"
  kill_timeout = "5s"
  stop {
    exec = ["/bin/sh", "-c", "kill -QUIT $SUPERVISOR_PID"]
  }
}
`,
	"hooks": `child "server" {
  command = "server"
  hooks {
    pre_start  = ["/bin/sh", "-c", "rm -f /tmp/server.lock"]
    post_stop  = ["/bin/sh", "-c", "echo $SUPERVISOR_RESULT: $SUPERVISOR_REASON"]
    on_failure = ["/bin/sh", "-c", "echo $SUPERVISOR_INSTANCE has failed"]
    timeout    = "2s"
  }
}
`,
	"logs": `child "server" {
  command = "server"
  logs {
    format = "json"
    stderr = "/tmp/server.log"
  }
}
`,
	"listen": `child "server" {
  command = "server"
  listen "echo" {
    tcp = "127.0.0.1:12345"
  }
  listen "admin" {
    unix = "/tmp/admin.sock"
    mode = "0600"
  }
}
`,
	"check": `child "server" {
  command = "server"
  check "alive" {
    http     = "http://127.0.0.1:8080/healthz"
    interval = "10s"
    timeout  = "2s"
    limit    = 3
    grace    = "5s"
  }
}
`,
}

func shown(v any) string {
	switch v := v.(type) {
	case time.Duration:
		if v == 0 {
			return "none"
		}
		s := v.String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		return fmt.Sprintf("`%q`", s)
	case unix.Signal:
		if v == 0 {
			return "none"
		}
		return fmt.Sprintf("`%q`", unix.SignalName(v))
	case int:
		if v == noCount {
			return "one instance"
		}
		return fmt.Sprintf("`%d`", v)
	case config.Bytes:
		if v == 0 {
			return "none"
		}
		return fmt.Sprintf("`\"%v\"`", v)
	case []int:
		return fmt.Sprintf("`%v`", v)
	case bool:
		return fmt.Sprintf("`%v`", v)
	}
	if v, ok := v.(fs.FileMode); ok {
		return fmt.Sprintf("`\"%04o\"`", v)
	}
	if s := reflect.ValueOf(v); s.Kind() == reflect.String && s.Len() > 0 {
		return fmt.Sprintf("`%q`", s)
	}
	return "none"
}

// examples are the sections of the page about the language. TestExamples parses them.
var examples = []struct{ title, doc, src string }{
	{"variable \"name\"", "A value that the user sets. The first of these counts: `--var " +
		"name=value`, the last `--var-file` that has it, the environment variable " +
		"`SUPERVISOR_VAR_name`, the attribute `default`. A variable without a value is a fault. " +
		"For a string, a number, a bool or a variable without a type, the value is the given " +
		"text; for other types it is an expression. A reload reads the files again. " +
		"`sensitive = true` hides the value: no message, plan, report or log shows it, nor a " +
		"value that is computed from it. The output of a child is not searched for it, so a " +
		"child must not print it. A sensitive value is allowed in `env`, in `args` and in " +
		"the `exec` of a probe, where a plan shows `(sensitive)`. `secret(\"/run/secrets/x\")` " +
		"is the content of a file, without the newline at its end, as a sensitive value.",
		`variable "port" {
  type        = number # string, bool, list(string), map(string), object({ … }); any if unset
  default     = 12345
  description = "Where the server listens."
}

variable "password" {
  sensitive = true
  default   = "" # in practice none: it comes from --var-file, or from secret("/run/secrets/x")
}

child "server" {
  command = "server"
  env     = { SERVER_PORT = var.port, PASSWORD = var.password }
}
`},
	{"locals", "Named values. They can refer to variables and to each other, in any order, but " +
		"not to `index`.", `locals {
  address = "127.0.0.1:${local.port}"
  port    = 12345
}

child "server" {
  command = "server"
  ready {
    tcp = local.address
  }
}
`},
	{"include", includeDoc + " A pattern matches hidden files only if it begins with a dot. All " +
		"files form one configuration: a child or an attribute that two files have is a fault. " +
		"The limit is 1,000 files with 4 MiB, and 600,000 words and symbols, in total.",
		`include = ["conf.d/*.hcl", "conf.d/*.json"]

child "server" {
  command = "server"
}
`},
	{"JSON", "A file whose name ends in `.json` has HCL's " +
		"[JSON syntax](https://github.com/hashicorp/hcl/blob/main/json/spec.md). Strings are " +
		"templates.", `{
  "child": {
    "server": {"command": "server", "count": 2, "args": ["-id", "${index}"]}
  }
}
`},
}

func documentLanguage(w *strings.Builder) {
	for _, e := range examples {
		title, fence := "`"+e.title+"`", "hcl"
		if e.title == "JSON" {
			title, fence = e.title, "json"
		}
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n```%s\n%s```\n", title, e.doc, fence, e.src)
	}
	fmt.Fprintf(w, "\n## Functions\n\nThe functions are `env`, `secret` and the following, which "+
		"are those of Nomad. `length` also takes strings. No function but `secret` reads a file, "+
		"and none the network or the time. The evaluation of a configuration has a limit of "+
		"2 million steps.\n\n"+
		"`%s`.\n", strings.Join(functionNames()[2:], "`, `"))
}

// TestExamples checks that each example of the page is valid and formatted.
func TestExamples(t *testing.T) {
	_, opt := machine(t)
	for name, src := range blockExamples {
		if _, err := Parse([]byte(src), "s.hcl", opt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(src, name+" ") {
			t.Errorf("the example of the block %s has no such block", name)
		}
		if out, err := formatted(src, "s.hcl"); err != nil || out != src {
			t.Errorf("%s: the example is not formatted: got the error %v, want\n%s", name, err,
				out)
		}
	}
	for _, e := range examples {
		name := "s.hcl"
		if e.title == "JSON" {
			name = "s.json"
		}
		if _, err := Parse([]byte(e.src), name, opt); err != nil {
			t.Errorf("%s: %v", e.title, err)
		}
		if name == "s.json" {
			continue
		}
		if out, err := formatted(e.src, name); err != nil || out != e.src {
			t.Errorf("%s: the example is not formatted: got the error %v, want\n%s", e.title, err,
				out)
		}
	}
}
