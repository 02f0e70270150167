package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tp0/supervisor/api"
	"tp0/supervisor/fixture/needs"
)

// ctl runs a verb about a running supervisor and returns its exit code and its outputs.
func (s *supervisor) ctl(verb string, args ...string) (code int, out, errs string) {
	s.t.Helper()
	var stdout, stderr strings.Builder
	c := exec.Command(filepath.Join(bin, "supervisor"),
		append([]string{verb, "--config", s.config}, args...)...)
	c.Env, c.Stdout, c.Stderr = s.cmd.Env, &stdout, &stderr
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// expectCtl runs a verb and compares its exit code and a part of each output.
func (s *supervisor) expectCtl(line string, code int, out, errs string) {
	s.t.Helper()
	words := strings.Fields(line)
	gotCode, gotOut, gotErrs := s.ctl(words[0], words[1:]...)
	if gotCode != code || !strings.Contains(gotOut, out) || !strings.Contains(gotErrs, errs) {
		s.t.Errorf("%s: got code %d, output %q, errors %q; want %d, %q, %q", line, gotCode, gotOut,
			gotErrs, code, out, errs)
	}
}

// instances returns the state of all instances by name.
func (s *supervisor) instances() map[string]api.Instance {
	s.t.Helper()
	code, out, errs := s.ctl("status", "--output", "json")
	var status api.Status
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != 0 {
		s.t.Fatalf("status: code %d, %v, errors %q, output %q", code, err, errs, out)
	}
	all := map[string]api.Instance{}
	for _, inst := range status.Instances {
		all[inst.Name] = inst
	}
	return all
}

// TestOperate uses each verb about a running supervisor.
func TestOperate(t *testing.T) {
	hcl := fixture("db", "sleep", "") + fixture("web", "sleep", "  count = 2\n")
	s := start(t, hcl)
	s.awaitEntry("all children ready")
	first := s.instances()
	s.expectCtl("wait --for ready", 0, "db, web1, web2 ready", "")
	s.expectCtl("stop db", 0, "db stopped", "")
	if db := s.instances()["db"]; db.State != "stopped" || db.StoppedBy == nil || db.Pid != 0 ||
		db.StoppedBy.Pid == 0 {
		t.Errorf("got %+v, want db stopped by a process", db)
	}
	s.expectCtl("wait --for ready db", 1, "", "it is stopped, by uid")
	s.write(hcl + fixture("new", "sleep", ""))
	s.expectCtl("plan", 0, "A reload would change this about the supervisor (pid", "")
	s.expectCtl("plan", 0, "+ added    new\n= kept     db, web1, web2\n", "")
	s.expectCtl("reload", 0, "+ added    new", "")
	if db := s.instances()["db"]; db.State != "stopped" {
		t.Errorf("a reload started a stopped child: %+v", db)
	}
	s.expectCtl("start db", 0, "db started", "")
	s.expectCtl("logs --lines 1 db", 0, "[db] ready\n", "")
	s.expectCtl("logs --previous --timestamps db", 0, "Z [db] ready\n", "")
	s.expectCtl("logs --since soon", 2, "", `--since is "soon": write a duration`)
	s.expectCtl("logs nobody", 5, "", "no child or instance")
	s.expectCtl("restart web2", 0, "web2 restarted", "")
	now := s.instances()
	if now["web1"].Pid != first["web1"].Pid || now["web2"].Pid == first["web2"].Pid ||
		now["web2"].Restarts != 1 {
		t.Errorf("got %+v, want another process of web2 alone", now)
	}
	if u := now["web1"].Usage; u == nil || u.MemoryBytes == 0 || u.FDs < 3 || u.Processes != 1 {
		t.Errorf("got the usage %+v", u)
	}
	s.expectCtl("signal KILL web1", 0, "web1 signalled", "")
	s.awaitEntry("child ended unexpectedly", "child", "web1")
	s.expectCtl("events --output json", 0, `"message":"operation requested"`, "")
	s.write("child \"db\" { comand = 1 }")
	s.expectCtl("reload", 1, "", `Did you mean "command"?`)
	s.write(hcl)
	s.expectCtl("status", 0, "db", "")
	s.expectCtl("stop wbe", 5, "", `no child or instance is named "wbe". Did you mean web?`)
	s.expectCtl("stop", 2, "", "stop needs the name of a child or of an instance")
	s.expectCtl("signal FOO db", 2, "", `"FOO" is not a signal`)
	s.expectCtl("wait --for born", 2, "", "born")
	s.expectCtl("status --output yaml", 2, "", "it must be text or json")
	s.expectCtl("shutdown --deadline 3s", 0, "all children have ended", "")
	e := s.expectStop(0, "graceful")
	e.expect(t, "deadline_ms", 3000.0)
	s.expectCtl("status", 4, "", "no supervisor")
}

// TestOperationsAtOnce acts on children that run, fail, end and hang with several clients at once.
// Each request has an answer, and no process and no descriptor is left.
func TestOperationsAtOnce(t *testing.T) {
	hcl := fixture("run", "sleep", "  count = 3\n") +
		fixture("fail", "exit 1", "  on_failure = \"ignore\"\n") +
		fixture("end", "exit 0", "") +
		fixture("hang", "ignore-term", "  kill_timeout = \"200ms\"\n")
	s := start(t, hcl)
	s.awaitEntry("child ready", "child", "run1")
	var clients sync.WaitGroup
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		clients.Go(func() {
			for range 8 {
				verb := []string{"start", "stop", "restart", "signal", "reload"}[r.IntN(5)]
				args := []string{"--timeout", "60s"}
				if verb == "signal" {
					args = append(args, "USR1")
				}
				if verb != "reload" {
					args = append(args, []string{"run", "run2", "fail", "end", "hang"}[r.IntN(5)])
				}
				code, out, errs := s.ctl(verb, args...)
				if code != 0 && code != 1 || out == "" && errs == "" ||
					strings.Contains(errs, "60s") {
					t.Errorf("%s %q: got code %d, %q, %q", verb, args, code, out, errs)
				}
			}
		})
	}
	clients.Wait()
	s.expectCtl("stop hang", 0, "hang stopped", "")
	s.expectCtl("shutdown", 0, "all children have ended", "")
	s.expectStop(0, "graceful")
}

// TestLogFiles checks that logs reads the log file of a child that has no lines in memory, that a
// file which cannot be read is a note, and that a reader leaves no descriptor.
func TestLogFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	const text = "[a] old\n[other] line\nno prefix\n"
	if err := os.WriteFile(path+".1", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".3.gz", []byte("not packed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, fixture("a", "sleep", fmt.Sprintf(
		"  logs {\n    stdout = %q\n    retain = \"0B\"\n  }\n", path)))
	s.awaitEntry("all children ready")
	s.expectCtl("logs --lines 1 a", 0, "[a] ready\n", "")
	s.expectCtl("logs a", 0, "[a] old\n[a] ready\n", "a.log.3.gz: it is not compressed by gzip")
	s.expectCtl("logs --since 1h a", 0, "", "its lines have no time. Set logs.timestamps")
	s.expectCtl("shutdown", 0, "all children have ended", "")
	s.expectStop(0, "graceful")
}

// TestPeers checks who may use the control socket: root, the members of its group, and nobody else.
func TestPeers(t *testing.T) {
	needs.Check(t, "root")
	dir := t.TempDir()
	socket := filepath.Join(dir, "s.sock")
	s := start(t, fmt.Sprintf("control {\n  socket = %q\n  group = \"4711\"\n}\n", socket)+
		fixture("a", "sleep", ""))
	s.awaitEntry("all children ready")
	for _, path := range []string{bin, dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		uid, gid uint32
		groups   []uint32
		code     int
		want     string
	}{
		{0, 0, nil, 0, "a stopped"},
		{65533, 65533, nil, 4, ""},
		{65533, 65533, []uint32{4711}, 0, "a stopped"},
		{65533, 4711, nil, 0, "a stopped"},
	} {
		c := exec.Command(filepath.Join(bin, "supervisor"), "stop", "--socket", socket, "a")
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
			Uid: tt.uid, Gid: tt.gid, Groups: tt.groups,
		}}
		out, err := c.CombinedOutput()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		if code := c.ProcessState.ExitCode(); code != tt.code ||
			!strings.Contains(string(out), tt.want) {
			t.Errorf("uid %d, gid %d, groups %v: got code %d, %q, want %d, %q", tt.uid, tt.gid,
				tt.groups, code, out, tt.code, tt.want)
		}
	}
	s.expectCtl("shutdown", 0, "all children have ended", "")
	s.expectStop(0, "graceful")
}
