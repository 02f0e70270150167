package plan_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
)

// base is the configuration that the cases of TestCompare edit.
const base = `
shutdown {
  deadline = "9s"
}
child "server" {
  command      = "server"
  kill_timeout = "1s"
  ready {
    tcp = ":1"
  }
}
child "client" {
  command      = "client"
  count        = 2
  kill_timeout = "1s"
  depends_on   = ["server"]
  env          = { ID = index }
}
`

// edit returns base with replacements, given as pairs of an old and a new string.
func edit(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }

// editServer returns base with further lines in the block of the child server.
func editServer(lines string) string {
	return edit(`child "server" {`, "child \"server\" {\n"+lines)
}

// restarted is the change of an instance that is replaced.
func restarted(name string, attributes ...string) plan.Change {
	return plan.Change{Name: name, Restart: true, Attributes: attributes}
}

// kept is the change of an instance whose process is kept.
func kept(name string, attributes ...string) plan.Change {
	return plan.Change{Name: name, Attributes: attributes}
}

type compareCase struct {
	new  string
	want plan.Plan
}

var (
	allNames    = []string{"server", "client1", "client2"}
	clientNames = []string{"client1", "client2"}
	serverName  = []string{"server"}
)

// unchanged are files that mean the same as base.
var unchanged = map[string]string{
	"the same file": base,
	"a comment":     base + "# a comment\n",
	"defaults as written": edit("count        = 2",
		"count = 2\n args = []\n kill_signal = \"TERM\""),
}

// countChanges are edits of count, and of the child that an instance belongs to.
var countChanges = map[string]compareCase{
	"one instance more": {edit("count        = 2", "count = 3"),
		plan.Plan{Added: []string{"client3"}, Kept: allNames}},
	"one instance less": {edit("count        = 2", "count = 1"),
		plan.Plan{Removed: []string{"client2"}, Kept: []string{"server", "client1"}}},
	"no instance": {edit("count        = 2", "count = 0"),
		plan.Plan{Removed: clientNames, Kept: serverName}},
	"no count": {edit("count        = 2", ""),
		plan.Plan{Added: []string{"client"}, Removed: clientNames, Kept: serverName}},
	"another child with the name of an instance": {
		edit(`child "client" {`, `child "client1" {`, "count        = 2", "", "= index", "= 1"),
		plan.Plan{Removed: []string{"client2"}, Changed: []plan.Change{kept("client1", "child")},
			Kept: serverName}},
}

// restarts are edits that replace processes.
var restarts = map[string]compareCase{
	"args": {editServer(`args = ["-v"]`),
		plan.Plan{Changed: []plan.Change{restarted("server", "args")}, Kept: clientNames}},
	"env of one instance": {edit("ID = index", "ID = index > 1 ? 7 : index"), plan.Plan{
		Changed: []plan.Change{restarted("client2", "env")}, Kept: []string{"server", "client1"}}},
	"command": {edit(`"client"`+"\n", `"server"`+"\n"), plan.Plan{Changed: []plan.Change{
		restarted("client1", "command"), restarted("client2", "command")}, Kept: serverName}},
	"a socket": {editServer(`listen "x" { tcp = ":2" }`),
		plan.Plan{Changed: []plan.Change{restarted("server", "listen")}, Kept: clientNames}},
	"a restart and a kept process": {
		edit(`":1"`, `":2"`, `child "server" {`, "child \"server\" {\non_failure = \"ignore\""),
		plan.Plan{Changed: []plan.Change{restarted("server", "on_failure", "ready.tcp")},
			Kept: clientNames}},
}

// policies are edits that keep all processes.
var policies = map[string]compareCase{
	"kill_timeout": {strings.Replace(base, `"1s"`, `"2s"`, 1),
		plan.Plan{Changed: []plan.Change{kept("server", "kill_timeout")}, Kept: clientNames}},
	"kill_sequence": {
		strings.Replace(base, `kill_timeout = "1s"`,
			`kill_sequence = [{ signal = "INT", wait = "2s" }]`, 1),
		plan.Plan{Changed: []plan.Change{
			kept("server", "kill_signal", "kill_timeout", "kill_sequence")}, Kept: clientNames}},
	"depends_on": {edit(`depends_on   = ["server"]`, ""), plan.Plan{Changed: []plan.Change{
		kept("client1", "depends_on"), kept("client2", "depends_on")}, Kept: serverName}},
	"a dependency on a oneshot": {
		edit(`depends_on   = ["server"]`, `depends_on = ["server", "one"]`) +
			"child \"one\" {\n  command = \"client\"\n  oneshot = true\n}\n",
		plan.Plan{Added: []string{"one"}, Changed: []plan.Change{
			kept("client1", "depends_on"), kept("client2", "depends_on")}, Kept: serverName}},
	"globals": {"log_level = \"debug\"\n" + edit(`"9s"`, `"8s"`),
		plan.Plan{Globals: []string{"log_level", "shutdown.deadline"}, Kept: allNames}},
}

func TestCompare(t *testing.T) {
	old := load(t, base)
	for _, cases := range []map[string]compareCase{countChanges, restarts, policies} {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				got := plan.Compare(old, load(t, test.new))
				if !reflect.DeepEqual(got, test.want) || got.Empty() {
					t.Errorf("got  %+v (empty: %v)\nwant %+v", got, got.Empty(), test.want)
				}
			})
		}
	}
	for name, src := range unchanged {
		t.Run(name, func(t *testing.T) {
			want := plan.Plan{Kept: allNames}
			got := plan.Compare(old, load(t, src))
			if !reflect.DeepEqual(got, want) || !got.Empty() {
				t.Errorf("got  %+v (empty: %v)\nwant %+v", got, got.Empty(), want)
			}
		})
	}
}

func TestCompareWithNil(t *testing.T) {
	c := load(t, base)
	if got := plan.Compare(nil, c).Added; !slices.Equal(got, allNames) {
		t.Errorf("from nil to a configuration: added %q, want %q", got, allNames)
	}
	if got := plan.Compare(c, nil).Removed; !slices.Equal(got, allNames) {
		t.Errorf("from a configuration to nil: removed %q, want %q", got, allNames)
	}
}

// TestCompareSeesEveryField changes each field of an instance and of the global values alone. A
// change that Compare does not see would never be applied.
func TestCompareSeesEveryField(t *testing.T) {
	old := load(t, example)
	for _, part := range []string{"Launch", "Policy"} {
		of := func(c *config.Config) reflect.Value {
			return reflect.ValueOf(c.Children[0].Instances[0]).Elem().FieldByName(part)
		}
		for _, f := range fieldsBelow(of(old), part) {
			switch f.name {
			case "Policy.DefaultOnFailure": // a default that is written out is no change
				continue
			case "Policy.Hooks.StopTimeout": // computed, from the deadline and the timeouts
				continue
			}
			new := load(t, example)
			change(of(new).FieldByIndex(f.index))
			got := plan.Compare(old, new)
			if len(got.Changed) != 1 || got.Changed[0].Restart != (part == "Launch") ||
				len(got.Globals) > 0 {
				t.Errorf("after a change of %s: got %+v, want one changed instance", f.name, got)
				continue
			}
			several := f.name == "Launch.Ready" || f.name == "Policy.KillSequence"
			if names := got.Changed[0].Attributes; len(names) != 1 && !several {
				t.Errorf("after a change of %s: got %q, want one attribute", f.name, names)
			}
		}
	}
	for _, part := range []string{"Log", "Shutdown", "Reload"} {
		of := func(c *config.Config) reflect.Value {
			return reflect.ValueOf(c).Elem().FieldByName(part)
		}
		for _, f := range fieldsBelow(of(old), part) {
			if f.name == "Shutdown.Reserve" {
				continue // it is computed from the deadline
			}
			new := load(t, example)
			change(of(new).FieldByIndex(f.index))
			if got := plan.Compare(old, new); len(got.Globals) != 1 || len(got.Changed) > 0 {
				t.Errorf("after a change of %s: got %+v, want one global attribute", f.name, got)
			}
		}
	}
}

// fieldPath is a field of a struct or of a struct in it.
type fieldPath struct {
	name  string
	index []int
}

// fieldsBelow returns the fields of a struct. A field that is itself a struct is replaced by its
// fields. A pointer to a struct is returned, and the fields of that struct.
func fieldsBelow(v reflect.Value, name string) (paths []fieldPath) {
	for i := range v.NumField() {
		field, name := v.Field(i), name+"."+v.Type().Field(i).Name
		pointer := field.Kind() == reflect.Pointer && !field.IsNil()
		if field.Kind() != reflect.Struct {
			paths = append(paths, fieldPath{name, []int{i}})
		}
		if pointer {
			field = field.Elem()
		}
		if field.Kind() == reflect.Struct {
			for _, p := range fieldsBelow(field, name) {
				paths = append(paths, fieldPath{p.name, append([]int{i}, p.index...)})
			}
		}
	}
	return paths
}

// change gives v another value.
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
		more := reflect.MakeMap(v.Type())
		for key, value := range v.Seq2() {
			more.SetMapIndex(key, value)
		}
		v.Set(more)
		v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
	default:
		v.SetInt(v.Int() + 1)
	}
}

// TestShareIsNoAttribute checks that a share of the deadline that another child makes smaller is no
// change of a child.
func TestShareIsNoAttribute(t *testing.T) {
	const one = "child \"a\" {\n  command = \"server\"\n}\n"
	const two = one + "child \"b\" {\n  command = \"server\"\n  depends_on = [\"a\"]\n}\n"
	old, new := load(t, one), load(t, two)
	before, after := old.Instances()[0].Policy.KillTimeout, new.Instances()[0].Policy.KillTimeout
	if before <= after {
		t.Fatalf("kill_timeout is %v with one child and %v with two, want a smaller share", before,
			after)
	}
	want := plan.Plan{Added: []string{"b"}, Kept: []string{"a"}}
	if got := plan.Compare(old, new); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
