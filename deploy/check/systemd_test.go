package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/fixture/needs"
)

// The unit as make install writes it is what systemd would take, without a word.
// systemd-analyze says what it does not know and exits with 0 all the same.
func TestUnitVerifies(t *testing.T) {
	needs.Check(t, "systemd")
	dir := t.TempDir()
	install := exec.Command("make", "-s", "install-files", "DESTDIR="+dir, "PREFIX=/usr",
		"UNITDIR=/units")
	install.Dir = root
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	unit := filepath.Join(dir, "units/supervisor.service")
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(text []byte) string {
		t.Helper()
		// The programs must be where the unit says: here they are below dir.
		text = []byte(strings.ReplaceAll(string(text), "=/usr/bin/supervisor",
			"="+dir+"/usr/bin/supervisor"))
		if err := os.WriteFile(unit, text, 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput()
		if err != nil {
			t.Logf("%v", err)
		}
		return string(out)
	}
	if out := verify(text); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	if out := verify(append(text, "[Service]\nKillMod=mixed\n"...)); out == "" {
		t.Error("it would not have seen a misspelt key")
	}
}
