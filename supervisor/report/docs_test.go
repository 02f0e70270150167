package report

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tp0/supervisor/event"
)

var update = flag.Bool("update", false, "write the generated files")

const (
	docsPage   = "../../docs/report.md"
	schemaFile = "../../docs/report.schema.json"
)

// TestDocs compares the tables of docs/report.md and the JSON Schema with the types.
func TestDocs(t *testing.T) {
	const begin = "<!-- generated: go test ./supervisor/report -run TestDocs -update -->\n"
	b, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(b), begin)
	if !ok {
		t.Fatalf("%s has no line %q", docsPage, begin)
	}
	var tables strings.Builder
	documented := types(reflect.TypeFor[Document](), nil)
	documented = types(reflect.TypeFor[Summary](), documented)
	for _, of := range types(reflect.TypeFor[Comparison](), documented) {
		tabulate(&tables, of)
	}
	compareFile(t, docsPage, head+begin+tables.String())

	schema := describe(reflect.TypeFor[Document]())
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = fmt.Sprintf("Report of a stop, version %d", Schema)
	schema["properties"].(map[string]any)["schema"] = map[string]any{"const": Schema}
	defs := map[string]any{}
	for _, of := range types(reflect.TypeFor[Document](), nil)[1:] {
		defs[of.Name()] = describe(of)
	}
	schema["$defs"] = defs
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareFile(t, schemaFile, string(text)+"\n")
}

// compareFile compares a generated file with its text. With -update it writes the text.
func compareFile(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("%s differs from the types (%v); run the test with -update", path, err)
	}
}

// types returns the struct types of a document, each once.
func types(of reflect.Type, known []reflect.Type) []reflect.Type {
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return known
	}
	for _, k := range known {
		if k == of {
			return known
		}
	}
	known = append(known, of)
	for _, f := range keys(of) {
		known = types(f.Type, known)
	}
	return known
}

// keys returns the fields of an object, with those of embedded structs in their place.
func keys(of reflect.Type) (fields []reflect.StructField) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous {
			fields = append(fields, keys(f.Type)...)
		} else {
			fields = append(fields, f)
		}
	}
	return fields
}

func key(f reflect.StructField) (name string, optional bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, rest == "omitempty"
}

func tabulate(w *strings.Builder, of reflect.Type) {
	title := "`" + of.Name() + "`"
	if of == reflect.TypeFor[Document]() {
		title = "The document"
	}
	fmt.Fprintf(w, "\n## %s\n\n| key | type | |\n|---|---|---|\n", title)
	for _, f := range keys(of) {
		name, optional := key(f)
		kind := word(f.Type)
		if optional {
			kind += ", optional"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", name, kind, f.Tag.Get("doc"))
	}
}

func word(of reflect.Type) string {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return "time"
	case of.Kind() == reflect.Pointer:
		return word(of.Elem())
	case of.Kind() == reflect.Slice:
		return "list of " + word(of.Elem())
	case of.Kind() == reflect.Struct:
		return "`" + of.Name() + "`"
	}
	return jsonType(of)
}

func jsonType(of reflect.Type) string {
	switch of.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	}
	panic("no JSON type for " + of.String())
}

func describe(of reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range keys(of) {
		name, optional := key(f)
		properties[name] = value(f.Type)
		if !optional {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

func value(of reflect.Type) map[string]any {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case of == reflect.TypeFor[event.Verdict]():
		return map[string]any{"enum": []event.Verdict{event.Graceful, event.Leaky, event.Forced}}
	case of.Kind() == reflect.Pointer:
		return value(of.Elem())
	case of.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": value(of.Elem())}
	case of.Kind() == reflect.Struct:
		return map[string]any{"$ref": "#/$defs/" + of.Name()}
	}
	return map[string]any{"type": jsonType(of)}
}

// TestSchema checks that documents of stops match the JSON Schema, and that others do not.
func TestSchema(t *testing.T) {
	b, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	empty := NewRecorder().Report(
		Facts{Complete: event.ShutdownComplete{Verdict: event.Graceful}},
	)
	for _, d := range []*Document{fullStop(), many(2), empty} {
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		for _, fault := range validate(schema, schema, v, "") {
			t.Error(fault)
		}
	}
	for _, bad := range []string{`{}`, `{"schema": 2}`, `[]`, `{"children": [{"child": 1}]}`} {
		var v any
		if err := json.Unmarshal([]byte(bad), &v); err != nil {
			t.Fatal(err)
		}
		if len(validate(schema, schema, v, "")) == 0 {
			t.Errorf("%s matches the schema", bad)
		}
	}
}

// validate supports the part of JSON Schema that the schema of the report uses. It returns the
// faults of v, which is at the path at.
func validate(schema, s map[string]any, v any, at string) (faults []string) {
	if ref, ok := s["$ref"].(string); ok {
		s = schema["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	wrong := func() { faults = append(faults, fmt.Sprintf("%s is %v, and should be %v", at, v, s)) }
	if c, ok := s["const"]; ok && c != v {
		wrong()
	}
	if of, ok := s["enum"].([]any); ok && !slices.Contains(of, v) {
		wrong()
	}
	switch s["type"] {
	case "object":
		o, ok := v.(map[string]any)
		if !ok {
			wrong()
			break
		}
		properties := s["properties"].(map[string]any)
		for _, name := range s["required"].([]any) {
			if _, ok := o[name.(string)]; !ok {
				faults = append(faults, fmt.Sprintf("%s has no %v", at, name))
			}
		}
		for name, x := range o {
			if p, ok := properties[name].(map[string]any); ok {
				faults = append(faults, validate(schema, p, x, at+"."+name)...)
			} else {
				faults = append(faults, at+"."+name+" is unknown")
			}
		}
	case "array":
		a, ok := v.([]any)
		if !ok {
			wrong()
		}
		for i, x := range a {
			faults = append(
				faults,
				validate(schema, s["items"].(map[string]any), x, fmt.Sprintf("%s[%d]", at, i))...,
			)
		}
	case "string":
		if _, ok := v.(string); !ok {
			wrong()
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			wrong()
		}
	case "number", "integer":
		if n, ok := v.(float64); !ok || s["type"] == "integer" && n != float64(int64(n)) {
			wrong()
		}
	}
	return faults
}
