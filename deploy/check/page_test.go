package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checkTable compares the table of the page with the one made from the files, or writes it.
func checkTable(t *testing.T, table string) {
	t.Helper()
	text := string(read(t, page))
	head, rest, ok := strings.Cut(text, begin)
	old, tail, ended := strings.Cut(rest, end)
	if !ok || !ended {
		t.Fatalf("%s has no lines %q and %q", page, begin, end)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(root, page), []byte(head+begin+table+end+tail),
			0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != table {
		t.Errorf("%s has other numbers than the files. go test -run Nest -update writes:\n%s",
			page, table)
	}
}

// checkPicture compares a picture with the one made from the files, or writes it.
func checkPicture(t *testing.T, path, svg string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join(root, path), []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(read(t, path)) != svg {
		t.Errorf("%s has other numbers than the files. go test -run Nest -update writes it", path)
	}
}
