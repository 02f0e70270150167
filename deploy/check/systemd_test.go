package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/fixture/needs"
)

// TestUnitVerifies checks that systemd-analyze has no complaint about the unit that make install
// writes. It exits with 0 in spite of unknown keys, so its output is checked.
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
		// systemd-analyze checks that the programs exist. Here they are below dir.
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
		t.Errorf("systemd-analyze verify printed the following, want nothing:\n%s", out)
	}
	if out := verify(append(text, "[Service]\nKillMod=mixed\n"...)); out == "" {
		t.Error("systemd-analyze verify accepted a misspelt key")
	}
}
