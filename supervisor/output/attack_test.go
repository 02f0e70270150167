package output

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/fixture/attacker"
	"tp0/supervisor/fixture/needs"
)

// TestLogFileRace reopens a log file while the user of the child, who owns its directory, exchanges
// the file with a link to a file of root.
func TestLogFileRace(t *testing.T) {
	needs.Check(t, "root")
	dir := t.TempDir()
	victim, logs := filepath.Join(dir, "victim"), filepath.Join(dir, "logs")
	at := func(name string) string { return filepath.Join(logs, name) }
	for _, err := range []error{
		os.WriteFile(victim, []byte("secret"), 0o600), os.Mkdir(logs, 0o755),
		os.WriteFile(at("log"), nil, 0o600), os.Symlink(victim, at("link")),
		os.WriteFile(at("other"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	attacker.Own(t, logs, at("log"), at("link"), at("other"))
	uid, refused, opened := uint32(attacker.UID), 0, 0
	fd, err := openToAppend(at("log"), &uid)
	if err != nil {
		t.Fatal(err)
	}
	f := newLogFile(fd, at("log"), &uid, noLedger{}, func(r Reopened) {
		switch {
		case r.Err == nil:
			opened++
		case strings.Contains(r.Err.Error(), "symbolic link"):
			refused++
		}
	})
	defer f.close()
	attacker.Exchange(t, logs, "log", "link", "link", "other", "other", "log")
	for range 20_000 {
		f.checkPath(true, true)
		if _, err := f.write([][]byte{[]byte("line\n")}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "secret" {
		t.Errorf("root's file has %.40q, %v", got, err)
	}
	if opened == 0 || refused == 0 {
		t.Errorf("reopened %d times, refused %d times, want both", opened, refused)
	}
	t.Logf("reopened %d times, refused %d times", opened, refused)
}
