package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// stopReport returns a report in which the stop of child web took some ms.
func stopReport(began string, ms int) string {
	return fmt.Sprintf(`{"schema": 1, "config": "/app.hcl", "verdict": "graceful",
		"began": "2026-11-%sT10:00:00Z", "elapsed_ms": %d, "findings": [], "budget": [
		{"who": "web", "kind": "child"}], "children": [{"child": "web", "stop_ms": %d,
		"steps": [{"step": 1, "signal": "SIGTERM"}]}]}`, began, ms, ms)
}

// TestReports runs the verb on several files. A file that cannot be used is named, and the others
// are shown.
func TestReports(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	good := []string{path("1.json"), path("2.json"), path("3.json")}
	for i, file := range good {
		write(t, file, stopReport(fmt.Sprintf("%02d", i+1), 100*(i+1)), 0o600)
	}
	write(t, path("foreign"), `{"layers": []}`, 0o600)
	write(t, path("truncated"), stopReport("09", 9)[:80], 0o600)
	write(t, path("same"), stopReport("01", 100), 0o600)
	write(t, path("newer"), `{"schema": 99}`, 0o600)
	for name, size := range map[string]int64{"huge": 129 << 20, "empty": 0} {
		write(t, path(name), "", 0o600)
		if err := os.Truncate(path(name), size); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path("none"), 0o700); err != nil {
		t.Fatal(err)
	}
	const three = "3 stops of app.hcl: 3 graceful, 0 leaky, 0 forced\n"
	for _, tt := range []struct {
		name, stderr string
		code         int
	}{
		{"foreign", "no report of a stop: it has no schema", 1},
		{"truncated", "or a truncated one", 1},
		{"newer", "written by a newer supervisor", 1},
		{"huge", "larger than 128 MiB", 1},
		{"empty", "no report of a stop", 1},
		{"fifo", "not a regular file", 1},
		{"none", "has no files *.json or *.html", 1},
		{"missing", "no such file or directory", 1},
		{"same", "is the same report as " + good[0], 0},
	} {
		args := append([]string{"report", path(tt.name)}, good...)
		if tt.name == "same" {
			args = append([]string{"report"}, append(good, path(tt.name))...)
		}
		code, stdout, stderr := supervisor("", args...)
		if code != tt.code || strings.Count(stderr, "\n") != 1 ||
			!strings.Contains(stderr, tt.stderr) || !strings.Contains(stderr, path(tt.name)) {
			t.Errorf("%s: got %d, %q, want %d and %q", tt.name, code, stderr, tt.code, tt.stderr)
		}
		if !strings.HasPrefix(stdout, three) ||
			!strings.Contains(stdout, "\nweb       3  200     300     300       3") {
			t.Errorf("%s: the others are not shown:\n%s", tt.name, stdout)
		}
	}
}

func TestReportDirectory(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		file := filepath.Join(dir, fmt.Sprint(i, ".json"))
		write(t, file, stopReport(fmt.Sprintf("%02d", i+1), 100*(i+1)), 0o600)
	}
	foreign := filepath.Join(dir, "foreign")
	write(t, foreign, "hello", 0o600)
	code, stdout, stderr := supervisor("", "report", dir, "-o", "json")
	var s struct{ Children []struct{ N int } }
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != 0 || stderr != "" ||
		len(s.Children) != 1 || s.Children[0].N != 3 {
		t.Errorf("a directory: got %d, %q, %v in %s", code, stderr, err, stdout)
	}
	if code, stdout, _ := supervisor("", "report", foreign, foreign); code != 1 ||
		stdout != "" {
		t.Errorf("no report at all: got %d and %q", code, stdout)
	}
}

func TestReportCompare(t *testing.T) {
	dir := t.TempDir()
	old, slow := filepath.Join(dir, "old"), filepath.Join(dir, "slow.json")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(old, "1.json"), stopReport("01", 100), 0o600)
	write(t, filepath.Join(old, "2.json"), stopReport("02", 110), 0o600)
	write(t, slow, stopReport("03", 300), 0o600)
	code, stdout, stderr := supervisor("", "report", "--compare", old, slow)
	const row = "web       slower  2 → 1  100 → 300"
	if code != 0 || stderr != "" || !strings.Contains(stdout, row) {
		t.Errorf("got %d, %q and\n%s", code, stderr, stdout)
	}
	code, stdout, _ = supervisor(stopReport("04", 105), "report", "--compare", old, "-", "-o=json")
	var c struct {
		Stop     string
		Children []struct{ Child, Change string }
	}
	if err := json.Unmarshal([]byte(stdout), &c); err != nil || code != 0 || c.Stop != "same" ||
		len(c.Children) != 1 || c.Children[0].Change != "same" {
		t.Errorf("got %d, %v, %+v in %s", code, err, c, stdout)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--compare", old}, 2, "--compare needs two files or directories, not 1"},
		{[]string{"--compare", old, slow, slow}, 2, "not 3"},
		{[]string{"--compare", old, filepath.Join(dir, "none")}, 1, "no such file"},
		{[]string{"-o", "yaml", slow}, 2, `--output is "yaml"`},
		{nil, 2, "requires at least 1 arg"},
	} {
		code, stdout, stderr := supervisor("", append([]string{"report"}, tt.args...)...)
		if code != tt.code || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%q: got %d, %q, want %d and %q", tt.args, code, stderr, tt.code, tt.want)
		}
	}
}
