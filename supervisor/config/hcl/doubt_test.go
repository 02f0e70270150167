package hclconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/config"
	"tp0/supervisor/fixture/needs"
)

// TestDoubts loads a configuration of root with one file that another user can change.
func TestDoubts(t *testing.T) {
	needs.Check(t, "root")
	for _, changed := range []string{
		"", "supervisor.hcl", "more.hcl", "a.env", "late.env", "values.hcl",
	} {
		dir, opt := machine(t)
		at := func(name string) string { return filepath.Join(dir, name) }
		must(t, os.WriteFile(at("supervisor.hcl"), []byte(`
include = ["more.hcl"]
child "a" {
  command  = "server"
  env_file = "a.env"
}
child "b" {
  command  = "server"
  env_file = "a.env"
}
child "once" {
  command = "server"
  oneshot = true
}
child "late" {
  command    = "server"
  env_file   = ["late.env", "none.env"]
  depends_on = ["once"]
}`), 0o644))
		must(t, os.WriteFile(at("more.hcl"), []byte(`variable "x" {}`), 0o644))
		must(t, os.WriteFile(at("a.env"), []byte("A=1"), 0o644))
		must(t, os.WriteFile(at("late.env"), []byte("A=1"), 0o644))
		must(t, os.WriteFile(at("values.hcl"), []byte("x = 1"), 0o644))
		opt.VarFiles = []string{at("values.hcl")}
		var doubts []string
		opt.OnDoubt = func(path string, reasons []string) {
			doubts = append(doubts, filepath.Base(path)+": "+strings.Join(reasons, "; "))
		}
		warnings := 0
		opt.OnWarnings = func(w *Faults) { warnings = w.Len() }
		if changed != "" {
			must(t, os.Chmod(at(changed), 0o666))
		}
		cwd := at("supervisor.hcl")
		_, err := Load(cwd, opt)
		must(t, err)
		want := ""
		if changed != "" {
			want = changed + ": others may write to the file " + at(changed) +
				", which has the mode 0666"
		}
		if got := strings.Join(doubts, "; "); got != want || warnings != min(len(want), 1) {
			t.Errorf("%s: got %q and %d warnings, want %q", changed, got, warnings, want)
		}
		opt.RefuseDoubts = true
		_, err = Load(cwd, opt)
		if (err != nil) != (changed != "") ||
			err != nil && !strings.Contains(err.Error(), "--strict-config") {
			t.Errorf("%s with --strict-config: got error %v", changed, err)
		}
	}
}

// TestListenOwner resolves the owner of a unix socket.
func TestListenOwner(t *testing.T) {
	needs.Check(t, "root")
	_, opt := machine(t)
	listens := good(t, `
child "a" {
  command = "server"
  listen "user" {
    unix = "/run/user.sock"
    user = "1234"
  }
  listen "group" {
    unix  = "/run/group.sock"
    group = "root"
  }
  listen "both" {
    unix  = "/run/both.sock"
    user  = "root"
    group = "1235"
  }
}`, opt).Instances()[0].Launch.Listen
	for i, want := range []config.SocketOwner{
		{User: "1234", UID: 1234, GID: 1234},
		{Group: "root"},
		{User: "root", Group: "1235", GID: 1235},
	} {
		if got := listens[i].Owner; got != want {
			t.Errorf("%s: got %+v, want %+v", listens[i].Name, got, want)
		}
	}
	if got, want := listens[2].String(), "both on /run/both.sock, backlog 4096, mode 0666, "+
		"user root, group 1235"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
