package check

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	nomadapi "github.com/hashicorp/nomad/api"
)

// TestNomadJob parses the job with HashiCorp's HCL and looks up its names in the types of Nomad's
// API, because the parser of job files has no free licence. The block config belongs to the driver
// and is not checked.
func TestNomadJob(t *testing.T) {
	f := nomadFile(t)
	jobs := blocks(f, "job")
	if len(jobs) != 1 {
		t.Fatalf("got %d jobs, want 1", len(jobs))
	}
	known(t, jobs[0], reflect.TypeFor[nomadapi.Job](), "job")
	for _, b := range blocks(f, "job", "group", "task", "template") {
		for name := range b.Attributes {
			if _, ok := tags(reflect.TypeFor[nomadapi.Template]())[name]; !ok {
				t.Errorf("template has no %s", name)
			}
		}
	}
}

// TestUnknownNameInNomadJob checks that tags has no misspelt name.
func TestUnknownNameInNomadJob(t *testing.T) {
	fields := tags(reflect.TypeFor[nomadapi.Task]())
	for name, want := range map[string]bool{"kill_timeout": true, "kill_signal": true,
		"kill_timout": false, "template": true} {
		if _, ok := fields[name]; ok != want {
			t.Errorf("%s is known: got %v, want %v", name, ok, want)
		}
	}
}

// tags returns the names of the fields of an API type in a job file.
func tags(of reflect.Type) map[string]reflect.Type {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	all := map[string]reflect.Type{}
	if of.Kind() != reflect.Struct {
		return all
	}
	for i := range of.NumField() {
		f := of.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("hcl"), ","); name != "" {
			all[name] = f.Type
		}
	}
	return all
}

// known checks that a block has no attribute or block that the API type does not have.
func known(t *testing.T, b *hclsyntax.Body, of reflect.Type, path string) {
	t.Helper()
	fields := tags(of)
	for name := range b.Attributes {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s has no %s", path, name)
		}
	}
	for _, inner := range b.Blocks {
		field, ok := fields[inner.Type]
		switch {
		case inner.Type == "config":
		case path == "job group network" && inner.Type == "port": // the type has no tag for it
		case !ok:
			t.Errorf("%s has no block %s", path, inner.Type)
		default:
			known(t, inner.Body, field, path+" "+inner.Type)
		}
	}
}
