package acceptance

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Edit after edit, valid and not, saved in place, by a rename, or behind a link
// as in a ConfigMap: each is noticed, and what runs is always what the last
// valid file says, in its last edition. A file that goes away ends nobody.
func TestWatch(t *testing.T) {
	t.Parallel()
	edits := many(t, "SUPERVISOR_EDITS", 40)
	dir := t.TempDir()
	config := filepath.Join(dir, "supervisor.hcl")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(config+"~", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(config+"~", config); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	edition := 0
	next := func() (string, []string) {
		edition++
		var hcl string
		var want []string
		for _, name := range []string{"a", "b", "c"} {
			switch n := r.IntN(4); {
			case n == 0:
				hcl += fixture(name, "sleep", "")
				want = append(want, name)
			case n == 1 || name == "a":
				hcl += fixture(name, "sleep", fmt.Sprintf("count = 2\nenv = { EDITION = \"%d\" }\n", edition))
				want = append(want, name+"1", name+"2")
			}
		}
		return fmt.Sprintf("%s# %d\n%s", header, edition, hcl), want
	}
	hcl, want := next()
	s := prepare(t, hcl, "--watch")
	s.cmd.Args[slices.Index(s.cmd.Args, s.config)], s.config = config, config
	save(hcl)
	s.launch()
	for _, name := range want {
		s.wait("child ready", "child", name)
	}
	log := 0
	for i := range edits {
		answer, broken := "config reloaded", r.IntN(4)
		text, then := next()
		switch broken {
		case 0:
			text, then, answer = text+"child {", want, "config rejected"
		case 1: // it is gone for a while
			if err := os.Remove(config); err != nil {
				t.Fatal(err)
			}
			_, log = s.waitFrom(log, "config rejected")
			if got := s.running(); !slices.Equal(got, want) {
				t.Fatalf("edit %d: without a file %v run, and the last one has %v", i, got, want)
			}
		}
		switch r.IntN(3) {
		case 0:
			save(text)
		case 1: // in place: between two writes a part of it can be read
			if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			s.configMap(dir, i, text)
		}
		_, log = s.waitFrom(log, answer)
		if want = then; !slices.Equal(s.running(), want) {
			t.Fatalf("edit %d: %v run, and the last valid file has %v", i, s.running(), want)
		}
	}
	t.Logf("%d edits", edits)
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	if n := s.count("fd closed", "owner", "supervisor", "kind", "inotify"); n != 1 {
		t.Errorf("the descriptor of the watch was closed %d times", n)
	}
}

// configMap lays the file out as the kubelet does.
func (s *super) configMap(dir string, edition int, text string) {
	s.t.Helper()
	do := func(err error) {
		if err != nil {
			s.t.Helper()
			s.t.Fatal(err)
		}
	}
	dated := fmt.Sprintf("..2026_%d", edition)
	do(os.Mkdir(filepath.Join(dir, dated), 0o755))
	do(os.WriteFile(filepath.Join(dir, dated, "supervisor.hcl"), []byte(text), 0o644))
	do(os.Symlink(dated, filepath.Join(dir, "..data_tmp")))
	do(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	if to, err := os.Readlink(s.config); err != nil || to != "..data/supervisor.hcl" {
		do(os.Symlink("..data/supervisor.hcl", s.config+"~"))
		do(os.Rename(s.config+"~", s.config))
	}
}

// What a file includes, and a file of variables, are watched too; what does not
// belong to it is not.
func TestWatchIncludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := prepare(t, fmt.Sprintf("include = [%q]\n", dir+"/*.hcl")+fixture("a", "sleep", fmt.Sprintf("env_file = [%q]", dir+"/a.env")), "--watch")
	write("a.env", "X=1\n")
	s.launch()
	s.wait("child ready", "child", "a")
	write("b.hcl", fixture("b", "sleep", ""))
	e, log := s.waitFrom(0, "config reloaded")
	if text, _ := json.Marshal(e["added"]); string(text) != `["b"]` {
		t.Errorf("%v", e)
	}
	write("notes.txt", "nothing")
	write("a.env", "X=2\n")
	e, log = s.waitFrom(log, "config reloaded")
	if text, _ := json.Marshal(e["changed"]); string(text) != `["a"]` {
		t.Errorf("%v", e)
	}
	if err := os.Remove(filepath.Join(dir, "b.hcl")); err != nil {
		t.Fatal(err)
	}
	s.waitFrom(log, "config reloaded")
	if got := strings.Join(s.running(), " "); got != "a" {
		t.Errorf("%s run", got)
	}
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
	if n := s.count("config changed"); n != 3 {
		t.Errorf("%d changes were noticed", n)
	}
}
