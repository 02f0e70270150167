package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// floors are the rooms of the house, from the roof down. A room imports only
// from floors below its own.
var floors = [][]string{
	{"."},
	{"cli"},
	{"fleet"},
	{"listen"},
	{"process", "config", "control", "child", "relay", "ready", "journal", "report", "watch", "sdnotify", "guard"},
	{"process/proof", "process/spawn"},
	{"ledger", "queue", "limits"},
	{"procfs", "event", "files"},
}

// TestArrowsPointDown holds the imports against the floors.
func TestArrowsPointDown(t *testing.T) {
	floor := map[string]int{}
	for i, rooms := range floors {
		for _, room := range rooms {
			floor[room] = i
		}
	}
	// hcl stays in config: nobody else decides what a file means.
	hcl := "github.com/hashicorp/hcl/v2"
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		room := filepath.Dir(path)
		if strings.HasPrefix(room, "fixture") {
			return nil
		}
		mine, ok := floor[room]
		if !ok {
			t.Errorf("room %s is on no floor", room)
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			name := strings.Trim(i.Path.Value, `"`)
			if strings.HasPrefix(name, hcl) && room != "config" {
				t.Errorf("%s imports %s", path, name)
			}
			if other, own := strings.CutPrefix(name, "tp0/supervisor/"); own && floor[other] <= mine {
				t.Errorf("%s imports %s, which is not below it", path, other)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
