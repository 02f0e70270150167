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

// randomEdition returns a valid file and its instances.
func randomEdition(r *rand.Rand, edition int) (hcl string, instances []string) {
	for _, name := range []string{"a", "b", "c"} {
		switch n := r.IntN(4); {
		case n == 0:
			hcl += fixture(name, "sleep", "")
			instances = append(instances, name)
		case n == 1 || name == "a":
			more := fmt.Sprintf("count = 2\nenv = { EDITION = \"%d\" }\n", edition)
			hcl += fixture(name, "sleep", more)
			instances = append(instances, name+"1", name+"2")
		}
	}
	return withHeader(fmt.Sprintf("# %d\n%s", edition, hcl)), instances
}

// TestWatch edits the file in place, by rename, and behind a link as in a ConfigMap, with
// valid and invalid content. The instances of the last valid file must run. A removed file
// ends nothing.
func TestWatch(t *testing.T) {
	t.Parallel()
	edits := repetitions(t, "SUPERVISOR_EDITS", 40)
	dir := t.TempDir()
	config := filepath.Join(dir, "supervisor.hcl")
	save := func(text string) {
		t.Helper()
		writeFile(t, dir, "supervisor.hcl~", text)
		if err := os.Rename(config+"~", config); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	edition := 0
	next := func() (string, []string) {
		edition++
		return randomEdition(r, edition)
	}
	hcl, want := next()
	s := prepare(t, hcl, "--watch")
	s.cmd.Args[slices.Index(s.cmd.Args, s.config)], s.config = config, config
	save(hcl)
	s.launch()
	for _, name := range want {
		s.awaitEntry("child ready", "child", name)
	}
	log := 0
	for i := range edits {
		answer, broken := "config reloaded", r.IntN(4)
		text, then := next()
		switch broken {
		case 0:
			text, then, answer = text+"child {", want, "config rejected"
		case 1: // the file is missing for a while
			_ = os.Remove(config)
			_, log = s.awaitEntryFrom(log, "config rejected")
			if got := s.runningInstances(); !slices.Equal(got, want) {
				t.Fatalf("edit %d: got %v without a file, want the instances %v", i, got, want)
			}
		}
		switch r.IntN(3) {
		case 0:
			save(text)
		case 1: // in place: a part of the file can be read
			writeFile(t, dir, "supervisor.hcl", text)
		default:
			s.writeConfigMap(dir, i, text)
		}
		_, log = s.awaitEntryFrom(log, answer)
		if want = then; !slices.Equal(s.runningInstances(), want) {
			t.Fatalf("edit %d: got the instances %v, want %v", i, s.runningInstances(), want)
		}
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	if n := s.count("fd closed", "owner", "supervisor", "kind", "inotify"); n != 1 {
		t.Errorf("the inotify descriptor was closed %d times, want 1", n)
	}
}

// writeConfigMap writes the file as the kubelet does.
func (s *supervisor) writeConfigMap(dir string, edition int, text string) {
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

// TestWatchIncludes checks that included files and env files are watched, and other files are
// not.
func TestWatchIncludes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := prepare(t, fmt.Sprintf("include = [%q]\n", dir+"/*.hcl")+fixture("a", "sleep",
		fmt.Sprintf("env_file = [%q]", dir+"/a.env")), "--watch")
	write("a.env", "X=1\n")
	s.launch()
	s.awaitEntry("child ready", "child", "a")
	write("b.hcl", fixture("b", "sleep", ""))
	e, log := s.awaitEntryFrom(0, "config reloaded")
	if text, _ := json.Marshal(e["added"]); string(text) != `["b"]` {
		t.Errorf("got %v, want added=[b]", e)
	}
	write("notes.txt", "nothing")
	write("a.env", "X=2\n")
	e, log = s.awaitEntryFrom(log, "config reloaded")
	if text, _ := json.Marshal(e["changed"]); string(text) != `["a"]` {
		t.Errorf("got %v, want changed=[a]", e)
	}
	if err := os.Remove(filepath.Join(dir, "b.hcl")); err != nil {
		t.Fatal(err)
	}
	s.awaitEntryFrom(log, "config reloaded")
	if got := strings.Join(s.runningInstances(), " "); got != "a" {
		t.Errorf("got the running instances %s", got)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
	if n := s.count("config changed"); n != 3 {
		t.Errorf("%d changes were logged, want 3", n)
	}
}
