package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// said holds the table of the page against what the files say.
func said(t *testing.T, table string) {
	t.Helper()
	text := string(read(t, page))
	head, rest, ok := strings.Cut(text, begin)
	old, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no place for the numbers", page)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, page), []byte(head+begin+table+end+tail),
			0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table {
		t.Errorf("%s has other numbers; go test -run Nest -update writes\n%s", page, table)
	}
}

// drawn does the same with a picture.
func drawn(t *testing.T, path, svg string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join(root, path), []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(read(t, path)) != svg {
		t.Errorf("%s shows other numbers; go test -run Nest -update draws it anew", path)
	}
}
