package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDocs keeps the page of the configuration what the schema says.
func TestDocs(t *testing.T) {
	const path, begin = "../../docs/configuration.md", "<!-- generated: go test ./supervisor/config -run TestDocs -update -->\n"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(b), begin)
	if !ok {
		t.Fatalf("%s has no place for the tables", path)
	}
	child := defaultChild()
	var tables strings.Builder
	document(&tables, "", &fileSchema, defaultConfig())
	document(&tables, "", &childSchema, &child)
	socket := defaultListen()
	document(&tables, "child › ", &listenSchema, &socket)
	check := defaultCheck()
	document(&tables, "child › ", &checkSchema, &check)
	want := head + begin + tables.String()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != want {
		t.Errorf("%s is not what the schema says; run the test with -update", path)
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
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n| attribute | default | |\n|---|---|---|\n", title, b.doc)
	for _, a := range b.attributes {
		if a.doc == "" {
			continue // it is there to be refused
		}
		value := shown(a.get(defaults))
		if a.required {
			value = "required"
		}
		fmt.Fprintf(w, "| `%s` | %s | %s |\n", a.name, value, a.doc)
	}
	for i := range b.blocks {
		document(w, around, &b.blocks[i], defaults)
	}
}

func shown(v any) string {
	switch v := v.(type) {
	case time.Duration:
		if v == 0 {
			return ""
		}
		s := v.String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		return fmt.Sprintf("`%q`", s)
	case unix.Signal:
		return fmt.Sprintf("`%q`", unix.SignalName(v))
	case int:
		if v == noCount {
			return ""
		}
		return fmt.Sprintf("`%d`", v)
	case []int:
		return fmt.Sprintf("`%v`", v)
	case bool:
		return fmt.Sprintf("`%v`", v)
	}
	if s := reflect.ValueOf(v); s.Kind() == reflect.String && s.Len() > 0 {
		return fmt.Sprintf("`%q`", s)
	}
	return ""
}
