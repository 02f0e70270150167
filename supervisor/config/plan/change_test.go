package plan_test

import (
	"reflect"
	"strings"
	"testing"
	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

func TestDiff(t *testing.T) {
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
	restart := func(name string, attributes ...string) plan.Change { return plan.Change{name, true, attributes} }
	policy := func(name string, attributes ...string) plan.Change { return plan.Change{name, false, attributes} }
	tests := map[string]struct {
		src  string
		want plan.Plan
	}{
		"nothing":          {base, plan.Plan{Kept: []string{"server", "client1", "client2"}}},
		"comments":         {base + "# a word\n", plan.Plan{Kept: []string{"server", "client1", "client2"}}},
		"default written":  {edit("count = 2", "count = 2\n args = []\n kill_signal = \"TERM\""), plan.Plan{Kept: []string{"server", "client1", "client2"}}},
		"one more":         {edit("count = 2", "count = 3"), plan.Plan{Added: []string{"client3"}, Kept: []string{"server", "client1", "client2"}}},
		"one less":         {edit("count = 2", "count = 1"), plan.Plan{Removed: []string{"client2"}, Kept: []string{"server", "client1"}}},
		"none":             {edit("count = 2", "count = 0"), plan.Plan{Removed: []string{"client1", "client2"}, Kept: []string{"server"}}},
		"count taken away": {edit("count = 2", ""), plan.Plan{Added: []string{"client"}, Removed: []string{"client1", "client2"}, Kept: []string{"server"}}},
		"args":             {edit(`command = "server"`, "command = \"server\"\nargs = [\"-v\"]"), plan.Plan{Changed: []plan.Change{restart("server", "args")}, Kept: []string{"client1", "client2"}}},
		"env of one":       {edit("ID = index", "ID = index > 1 ? 7 : index"), plan.Plan{Changed: []plan.Change{restart("client2", "env")}, Kept: []string{"server", "client1"}}},
		"command":          {edit(`command = "client"`, `command = "server"`), plan.Plan{Changed: []plan.Change{restart("client1", "command"), restart("client2", "command")}, Kept: []string{"server"}}},
		"a socket":         {edit(`command = "server"`, "command = \"server\"\nlisten \"x\" { tcp = \":2\" }"), plan.Plan{Changed: []plan.Change{restart("server", "listen")}, Kept: []string{"client1", "client2"}}},
		"kill_timeout":     {edit(`command = "server"`+"\n  kill_timeout = \"1s\"", `command = "server"`+"\n  kill_timeout = \"2s\""), plan.Plan{Changed: []plan.Change{policy("server", "kill_timeout")}, Kept: []string{"client1", "client2"}}},
		"kill_sequence":    {edit(`command = "server"`+"\n  kill_timeout = \"1s\"", "command = \"server\"\nkill_sequence = [{ signal = \"INT\", wait = \"2s\" }]"), plan.Plan{Changed: []plan.Change{policy("server", "kill_signal", "kill_timeout", "kill_sequence")}, Kept: []string{"client1", "client2"}}},
		"depends_on":       {edit(`depends_on = ["server"]`, ""), plan.Plan{Changed: []plan.Change{policy("client1", "depends_on"), policy("client2", "depends_on")}, Kept: []string{"server"}}},
		"both kinds":       {edit(`":1"`, `":2"`, `command = "server"`, "on_failure = \"ignore\"\ncommand = \"server\""), plan.Plan{Changed: []plan.Change{restart("server", "on_failure", "ready.tcp")}, Kept: []string{"client1", "client2"}}},
		"globals":          {"log_level = \"debug\"\n" + edit(`"9s"`, `"8s"`), plan.Plan{Globals: []string{"log_level", "shutdown.deadline"}, Kept: []string{"server", "client1", "client2"}}},
		"another child of the name": {edit("child \"client\" {", "child \"client1\" {", "count = 2", "", "ID = index", "ID = 1"),
			plan.Plan{Removed: []string{"client2"}, Changed: []plan.Change{policy("client1", "child")}, Kept: []string{"server"}}},
	}
	old := load(t, base)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := plan.Compare(old, load(t, test.src))
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
			if quiet := name == "nothing" || name == "comments" || name == "default written"; got.Empty() != quiet {
				t.Errorf("Empty = %v", got.Empty())
			}
		})
	}
	all := []string{"server", "client1", "client2"}
	if got := plan.Compare(nil, old); !reflect.DeepEqual(got.Added, all) {
		t.Errorf("from nothing: %+v", got)
	}
	if got := plan.Compare(old, nil); !reflect.DeepEqual(got.Removed, all) {
		t.Errorf("to nothing: %+v", got)
	}
}

// TestDiffSeesEverything changes every field of a launch and a policy in turn:
// a change that the plan does not see would never be applied.
func TestDiffSeesEverything(t *testing.T) {
	for _, part := range []string{"Launch", "Policy"} {
		fields := reflect.TypeFor[config.Instance]()
		field, _ := fields.FieldByName(part)
		for i := range field.Type.NumField() {
			name := part + "." + field.Type.Field(i).Name
			old, new := load(t, example), load(t, example)
			of := func(c *config.Config) reflect.Value {
				return reflect.ValueOf(c.Children[0].Instances[0]).Elem().FieldByName(part).Field(i)
			}
			change(of(new))
			got := plan.Compare(old, new)
			if len(got.Changed) != 1 || got.Changed[0].Restart != (part == "Launch") {
				t.Errorf("%s: %+v", name, got)
			}
			if name != "Launch.Begin" {
				continue
			}
			for j := range of(new).NumField() {
				new = load(t, example)
				change(of(new).Field(j))
				if got := plan.Compare(old, new); len(got.Changed) != 1 || !got.Changed[0].Restart || len(got.Changed[0].Attributes) != 1 {
					t.Errorf("%s, field %d: %+v", name, j, got)
				}
			}
		}
	}
}

// change gives v another value, by its first field if it has fields.
// A share of the deadline moves when others come; that is no change of a child.
func TestShareIsNoAttribute(t *testing.T) {
	const base = "child \"a\" {\n  command = \"server\"\n}\n"
	old := load(t, base)
	new := load(t, base+"child \"b\" {\n  command = \"server\"\n  depends_on = [\"a\"]\n}\n")
	if old.Instances()[0].Policy.KillTimeout == new.Instances()[0].Policy.KillTimeout {
		t.Fatal("the share did not move")
	}
	if got, want := plan.Compare(old, new), (plan.Plan{Added: []string{"b"}, Kept: []string{"a"}}); !reflect.DeepEqual(got, want) {
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
