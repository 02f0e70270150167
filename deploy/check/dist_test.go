package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/fixture/needs"
)

// TestDistIsReproducible checks that two builds of a release are equal byte for byte, although the
// directory, the umask and the time zone differ.
func TestDistIsReproducible(t *testing.T) {
	needs.Check(t, "dpkg")
	build := func(umask, zone string) (sums string, dir string) {
		t.Helper()
		dir = t.TempDir()
		copied := exec.Command("cp", "-r", "Makefile", "go.mod", "go.sum", "README.md",
			"CHANGELOG.md", "LICENSE", "NOTICE", "supervisor.hcl", "supervisor", "workers",
			"deploy", dir)
		copied.Dir = root
		if out, err := copied.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		c := exec.Command("sh", "-c", "umask "+umask+"; exec make -s dist VERSION=v1.2.3")
		c.Dir = dir
		c.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "TZ="+zone)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "dist/SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b), filepath.Join(dir, "dist")
	}
	one, dir := build("022", "UTC")
	two, _ := build("077", "Asia/Tokyo")
	if one != two {
		t.Errorf("the checksums of two builds differ:\n%s\n%s", one, two)
	}
	for _, name := range []string{"supervisor_v1.2.3_linux_amd64.tar.gz",
		"supervisor_v1.2.3_linux_arm64.tar.gz", "supervisor-tp0_1.2.3_amd64.deb",
		"supervisor-tp0_1.2.3_arm64.deb"} {
		if !strings.Contains(one, "  "+name+"\n") {
			t.Errorf("no %s in\n%s", name, one)
		}
	}
	list, err := exec.Command("dpkg-deb", "--contents",
		filepath.Join(dir, "supervisor-tp0_1.2.3_amd64.deb")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	for _, want := range []string{"-rwxr-xr-x root/root", "./usr/bin/supervisor\n",
		"./usr/bin/supervisorctl\n",
		"./usr/libexec/supervisor/server", "./etc/supervisor/supervisor.hcl",
		"./usr/lib/systemd/system/supervisor.service", "./usr/share/doc/supervisor/NOTICE"} {
		if !strings.Contains(string(list), want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
}
