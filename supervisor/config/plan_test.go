package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	_, opt := machine(t)
	const base = `
shutdown {
  deadline = "9s"
}
child "server" {
  command = "server"
  kill_timeout = "1s"
  ready {
    tcp = ":1"
  }
}
child "client" {
  command = "client"
  count = 2
  kill_timeout = "1s"
  depends_on = ["server"]
  env = { ID = index }
}
`
	edit := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }
	restart := func(name string, attributes ...string) Change { return Change{name, true, attributes} }
	policy := func(name string, attributes ...string) Change { return Change{name, false, attributes} }
	tests := map[string]struct {
		src  string
		want Plan
	}{
		"nothing":          {base, Plan{Kept: []string{"server", "client1", "client2"}}},
		"comments":         {base + "# a word\n", Plan{Kept: []string{"server", "client1", "client2"}}},
		"default written":  {edit("count = 2", "count = 2\n args = []\n kill_signal = \"TERM\""), Plan{Kept: []string{"server", "client1", "client2"}}},
		"one more":         {edit("count = 2", "count = 3"), Plan{Added: []string{"client3"}, Kept: []string{"server", "client1", "client2"}}},
		"one less":         {edit("count = 2", "count = 1"), Plan{Removed: []string{"client2"}, Kept: []string{"server", "client1"}}},
		"none":             {edit("count = 2", "count = 0"), Plan{Removed: []string{"client1", "client2"}, Kept: []string{"server"}}},
		"count taken away": {edit("count = 2", ""), Plan{Added: []string{"client"}, Removed: []string{"client1", "client2"}, Kept: []string{"server"}}},
		"args":             {edit(`command = "server"`, "command = \"server\"\nargs = [\"-v\"]"), Plan{Changed: []Change{restart("server", "args")}, Kept: []string{"client1", "client2"}}},
		"env of one":       {edit("ID = index", "ID = index > 1 ? 7 : index"), Plan{Changed: []Change{restart("client2", "env")}, Kept: []string{"server", "client1"}}},
		"command":          {edit(`command = "client"`, `command = "server"`), Plan{Changed: []Change{restart("client1", "command"), restart("client2", "command")}, Kept: []string{"server"}}},
		"a socket":         {edit(`command = "server"`, "command = \"server\"\nlisten \"x\" { tcp = \":2\" }"), Plan{Changed: []Change{restart("server", "listen")}, Kept: []string{"client1", "client2"}}},
		"kill_timeout":     {edit(`command = "server"`+"\n  kill_timeout = \"1s\"", `command = "server"`+"\n  kill_timeout = \"2s\""), Plan{Changed: []Change{policy("server", "kill_timeout")}, Kept: []string{"client1", "client2"}}},
		"kill_sequence":    {edit(`command = "server"`+"\n  kill_timeout = \"1s\"", "command = \"server\"\nkill_sequence = [{ signal = \"INT\", wait = \"2s\" }]"), Plan{Changed: []Change{policy("server", "kill_signal", "kill_timeout", "kill_sequence")}, Kept: []string{"client1", "client2"}}},
		"depends_on":       {edit(`depends_on = ["server"]`, ""), Plan{Changed: []Change{policy("client1", "depends_on"), policy("client2", "depends_on")}, Kept: []string{"server"}}},
		"both kinds":       {edit(`":1"`, `":2"`, `command = "server"`, "on_failure = \"ignore\"\ncommand = \"server\""), Plan{Changed: []Change{restart("server", "on_failure", "ready.tcp")}, Kept: []string{"client1", "client2"}}},
		"globals":          {"log_level = \"debug\"\n" + edit(`"9s"`, `"8s"`), Plan{Globals: []string{"log_level", "shutdown.deadline"}, Kept: []string{"server", "client1", "client2"}}},
		"another child of the name": {edit("child \"client\" {", "child \"client1\" {", "count = 2", "", "ID = index", "ID = 1"),
			Plan{Removed: []string{"client2"}, Changed: []Change{policy("client1", "child")}, Kept: []string{"server"}}},
	}
	old := good(t, base, opt)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := PlanChange(old, good(t, test.src, opt))
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if quiet := name == "nothing" || name == "comments" || name == "default written"; got.Empty() != quiet {
				t.Errorf("Empty = %v", got.Empty())
			}
		})
	}
	all := []string{"server", "client1", "client2"}
	if got := PlanChange(nil, old); !reflect.DeepEqual(got.Added, all) {
		t.Errorf("from nothing: %+v", got)
	}
	if got := PlanChange(old, nil); !reflect.DeepEqual(got.Removed, all) {
		t.Errorf("to nothing: %+v", got)
	}
}

// TestDiffSeesEverything changes every field of a launch and a policy in turn:
// a change that the plan does not see would never be applied.
func TestDiffSeesEverything(t *testing.T) {
	_, opt := machine(t)
	for _, part := range []string{"Launch", "Policy"} {
		fields := reflect.TypeFor[Instance]()
		field, _ := fields.FieldByName(part)
		for i := range field.Type.NumField() {
			name := part + "." + field.Type.Field(i).Name
			old, new := good(t, example, opt), good(t, example, opt)
			of := func(c *Config) reflect.Value {
				return reflect.ValueOf(c.Children[0].Instances[0]).Elem().FieldByName(part).Field(i)
			}
			change(of(new))
			plan := PlanChange(old, new)
			if len(plan.Changed) != 1 || plan.Changed[0].Restart != (part == "Launch") {
				t.Errorf("%s: %+v", name, plan)
			}
			if name != "Launch.Begin" {
				continue
			}
			for j := range of(new).NumField() {
				new = good(t, example, opt)
				change(of(new).Field(j))
				if plan := PlanChange(old, new); len(plan.Changed) != 1 || !plan.Changed[0].Restart || len(plan.Changed[0].Attributes) != 1 {
					t.Errorf("%s, field %d: %+v", name, j, plan)
				}
			}
		}
	}
}

// change gives v another value, by its first field if it has fields.
// A share of the deadline moves when others come; that is no change of a child.
func TestShareIsNoAttribute(t *testing.T) {
	_, opt := machine(t)
	const base = "child \"a\" {\n  command = \"server\"\n}\n"
	old := good(t, base, opt)
	new := good(t, base+"child \"b\" {\n  command = \"server\"\n  depends_on = [\"a\"]\n}\n", opt)
	if old.Instances()[0].Policy.KillTimeout == new.Instances()[0].Policy.KillTimeout {
		t.Fatal("the share did not move")
	}
	if got, want := PlanChange(old, new), (Plan{Added: []string{"b"}, Kept: []string{"a"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			return
		}
		v.SetZero()
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	case reflect.Struct:
		change(v.Field(0))
	default:
		v.SetInt(v.Int() + 1)
	}
}
