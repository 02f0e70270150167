package server

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"tp0/supervisor/api"
)

var update = flag.Bool("update", false, "write the schemas of docs/openapi.yaml")

const (
	openAPI       = "../../../docs/openapi.yaml"
	schemasHeader = "  schemas:\n"
)

// schemaTypes are the types of the schemas.
var schemaTypes = []any{
	api.Identity{}, api.Status{}, api.Supervisor{}, api.ReloadState{}, api.Instance{}, api.Check{},
	api.Exit{}, api.Usage{}, api.Requester{}, api.Operation{}, api.Progress{}, api.Result{},
	api.Difference{}, api.Health{}, api.Event{}, api.LogLine{}, api.Problem{}, api.FDs{},
	api.InstanceFDs{}, api.ProcessFDs{}, api.FDCount{}, api.FDTarget{}, api.OpenFD{},
	api.WhyAnswer{}, api.Why{},
}

// TestOpenAPI checks docs/openapi.yaml against the table of routes and the types: every route with
// its method, and every field with its type.
func TestOpenAPI(t *testing.T) {
	src, err := os.ReadFile(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(src), schemasHeader)
	if !ok {
		t.Fatalf("%s has no schemas", openAPI)
	}
	if want := head + schemasHeader + schemas(); *update {
		src = []byte(want)
		if err := os.WriteFile(openAPI, src, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(src) != want {
		t.Error("the schemas differ from the types: go test ./supervisor/api/server -update")
	}
	var doc struct {
		Paths      map[string]map[string]any
		Components map[string]map[string]any
	}
	if err := yaml.Unmarshal(src, &doc); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for path, methods := range doc.Paths {
		for method := range methods {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range routeTable() {
		want = append(want, r.method+" "+r.path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the routes are\n%q, the handlers have\n%q", got, want)
	}
	for _, ref := range strings.Split(string(src), "#/components/")[1:] {
		part, rest, _ := strings.Cut(ref, "/")
		name := rest[:strings.IndexByte(rest, '"')]
		if doc.Components[part][name] == nil {
			t.Errorf("#/components/%s/%s is used and not there", part, name)
		}
	}
}

// schemas returns the schemas of the types.
func schemas() string {
	var b strings.Builder
	for _, v := range schemaTypes {
		typ := reflect.TypeOf(v)
		fmt.Fprintf(&b, "    %s:\n      type: object\n", typ.Name())
		var required []string
		var fields strings.Builder
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
			fmt.Fprintf(&fields, "        %s: %s\n", name, schemaOf(f.Type))
		}
		if len(required) > 0 {
			fmt.Fprintf(&b, "      required: [%s]\n", strings.Join(required, ", "))
		}
		fmt.Fprintf(&b, "      properties:\n%s", fields.String())
	}
	return b.String()
}

// schemaOf returns the schema of a type in one line.
func schemaOf(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t == reflect.TypeFor[time.Time]():
		return "{type: string, format: date-time}"
	case t == reflect.TypeFor[api.Duration]():
		return "{type: string, example: 1.5s}"
	case t == reflect.TypeFor[[]byte]():
		return "{type: string, contentEncoding: base64}"
	}
	switch t.Kind() {
	case reflect.Struct:
		return fmt.Sprintf(`{$ref: "#/components/schemas/%s"}`, t.Name())
	case reflect.Slice:
		return "{type: array, items: " + schemaOf(t.Elem()) + "}"
	case reflect.Map:
		return "{type: object, additionalProperties: " + schemaOf(t.Elem()) + "}"
	case reflect.Interface:
		return "{}"
	case reflect.Bool:
		return "{type: boolean}"
	case reflect.String:
		return "{type: string}"
	case reflect.Float64:
		return "{type: number}"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "{type: integer}"
	}
	panic(t.String())
}
