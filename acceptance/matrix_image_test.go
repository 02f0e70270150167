package acceptance

import (
	"bufio"
	"bytes"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/fixture/needs"
)

// TestMatrixInContainers runs the matrix in containers with few rights. The proof must be
// exact, except for a program that is executed in the stop and could be set-user-ID.
func TestMatrixInContainers(t *testing.T) {
	needs.Check(t, "docker", "gcc")
	image := quickImage(t, pythonFiles(t))
	const nobody = `env = { TRUTH_NOBODY = "1" }`
	python := []string{"/usr/bin/python3", "-ISE", "/truth.py"}
	for _, tt := range []struct {
		name, flags, more string
		program           []string
		size              int
	}{
		{"C", "", "", languages["C"], 39},
		{"Go", "", "", languages["Go"], 26},
		{"Python", "", "", python, 13},
		{"C", "--cap-drop ALL", "", languages["C"], 26},
		{"C", "--read-only", "", languages["C"], 26},
		{"C", "--user 12345:54321", "", languages["C"], 26},
		{"C", "--security-opt no-new-privileges", "", languages["C"], 26},
		{"Go", "--read-only --cap-drop ALL --user 12345:54321 --security-opt no-new-privileges", "",
			languages["Go"], 26},
		{"Python", "--read-only --cap-drop ALL --user 12345:54321 --security-opt no-new-privileges",
			"", python, 13},
		{"C, another uid", "--user 0:0", nobody, languages["C"], 26},
		{"C, another uid", "--user 0:0 --read-only --security-opt no-new-privileges", nobody,
			languages["C"], 26},
		{"C, as a user", "--user 0:0", `user = "65534"`, languages["C"], 26},
		{"C, as a user",
			"--user 0:0 --cap-drop ALL --cap-add SETUID --cap-add SETGID --cap-add KILL",
			`user = "65534"`, languages["C"], 26},
	} {
		t.Run(tt.name+" "+tt.flags, func(t *testing.T) {
			m := matrix{program: tt.program, counts: spread(tt.size, true), more: tt.more}
			// whose helper is executed
			m.mayMissExec = tt.name == "Go" && !strings.Contains(tt.flags, "no-new-privileges")
			c := runContainer(t, image, m.config(), strings.Fields(tt.flags)...)
			m.awaitReady(t, c.logs, c.logs)
			docker(t, "kill", "--signal", "SIGTERM", c.id)
			e := c.expectStop(m.verdict())
			r := m.judge(entries(c.logs.text()), c.logs.text(), "exact")
			reportMismatches(t, append(r.mismatches, r.unproven...))
			e.expect(t, "spawned", tt.size, "orphans", 0)
			t.Logf("%d stops, %d mismatches", r.stops, len(r.mismatches))
		})
	}
}

// pythonFiles returns the files that Python and the fixture need in a container from scratch,
// by their path in the image.
func pythonFiles(t *testing.T) map[string]string {
	t.Helper()
	python := needPython(t)
	out, err := exec.Command(python, "-ISE", "-c",
		"import sysconfig, _ctypes; print(sysconfig.get_path('stdlib')); print(_ctypes.__file__)",
	).Output()
	if err != nil {
		t.Fatal(err)
	}
	stdlib, ctypes, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	files := map[string]string{"usr/bin/python3": python,
		"truth.py": "../supervisor/fixture/truth.py"}
	err = filepath.WalkDir(stdlib, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "test" || name == "dist-packages" || name == "site-packages" ||
			strings.HasPrefix(name, "config-")):
			return filepath.SkipDir
		case d.Type().IsRegular():
			files[path[1:]] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command("ldd", python, ctypes).Output()
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		for _, word := range strings.Fields(lines.Text()) {
			if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") {
				files[word[1:]] = word
			}
		}
	}
	return files
}
