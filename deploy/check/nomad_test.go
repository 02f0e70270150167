package check

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	nomadapi "github.com/hashicorp/nomad/api"
)

// The job is read by HashiCorp's own HCL, and its names are held against the
// types of Nomad's API: the parser of job files itself is not to be had under a
// free licence any more. What is below config is the driver's.
func TestNomadJob(t *testing.T) {
	f := nomadFile(t)
	jobs := blocks(f, "job")
	if len(jobs) != 1 {
		t.Fatalf("%d jobs", len(jobs))
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

// The guard itself.
func TestUnknownNameInNomadJob(t *testing.T) {
	fields := tags(reflect.TypeFor[nomadapi.Task]())
	for name, want := range map[string]bool{"kill_timeout": true, "kill_signal": true,
		"kill_timout": false, "template": true} {
		if _, ok := fields[name]; ok != want {
			t.Errorf("%s is known: %v", name, ok)
		}
	}
}

// tags are the names that a type of the API has in a job file.
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
		// the types have them elsewhere, and so does the parser
		case path == "job group network" && inner.Type == "port":
		case !ok:
			t.Errorf("%s has no block %s", path, inner.Type)
		default:
			known(t, inner.Body, field, path+" "+inner.Type)
		}
	}
}
