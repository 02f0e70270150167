package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOneshotBeforeItsDependents(t *testing.T) {
	s := start(t, fixture("app", "sleep", `depends_on = ["migrate"]`)+
		fixture("migrate", "exit 0", "oneshot = true\n  depends_on = [{ child = \"db\", until = \"started\" }]")+fixture("db", "sleep", ""))
	_, i := s.waitFrom(0, "child spawned", "child", "db")
	_, i = s.waitFrom(i, "child spawned", "child", "migrate")
	_, i = s.waitFrom(i, "child completed", "child", "migrate")
	s.waitFrom(i, "child spawned", "child", "app")
	s.prints("[app] ready")
	s.prints("[db] ready")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 3 {
		t.Errorf("%v", e)
	}
}

// What waits for one that failed is never started, and both the log and health
// say why.
func TestWaitsInVain(t *testing.T) {
	s := start(t, fixture("app", "sleep", `depends_on = ["migrate"]`)+fixture("other", "sleep", "")+
		fixture("migrate", "exit 3", "oneshot = true\n  on_failure = \"ignore\"\n  restart { on = \"never\" }"))
	s.wait("dependency failed", "child", "app", "for", "migrate", "@level", "warn")
	s.prints("[other] ready")
	out, err := exec.Command(filepath.Join(bin, "supervisor"), "health", "--config", s.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "app waits for migrate, which has failed") {
		t.Errorf("health: %v, %s", err, out)
	}
	s.signal(unix.SIGTERM)
	if e := s.ends(1, "graceful"); e.int("spawned") != 2 {
		t.Errorf("%v", e)
	}
}

func TestCriticalCode(t *testing.T) {
	for program, want := range map[string]int{"exit 7": 7, "exit 0": 0} {
		s := start(t, fixture("other", "sleep", "")+fixture("main", program, "critical = true\n  depends_on = [\"other\"]\n  restart { on = \"never\" }"))
		s.wait("shutdown begun", "reason", "critical child ended: main")
		s.ends(want, "graceful")
	}
}

func TestCriticalSignal(t *testing.T) {
	s := start(t, fixture("main", "sleep", "critical = true\n  restart { on = \"never\" }"))
	s.prints("[main] ready")
	if err := unix.Kill(s.wait("child spawned").int("pid"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.ends(128+int(unix.SIGKILL), "graceful")
}

func TestSidecarGoesLast(t *testing.T) {
	s := start(t, fixture("shipper", "sleep", "sidecar = true")+fixture("db", "sleep", "")+fixture("app", "sleep", `depends_on = ["db"]`))
	for _, name := range []string{"shipper", "db", "app"} {
		s.prints("[" + name + "] ready")
	}
	s.signal(unix.SIGTERM)
	_, i := s.waitFrom(0, "child reaped", "child", "app")
	_, i = s.waitFrom(i, "child reaped", "child", "db")
	s.waitFrom(i, "signal sent", "child", "shipper", "signal", "SIGTERM")
	s.ends(0, "graceful")
}

func TestSidecarKeepsNothingAlive(t *testing.T) {
	s := start(t, fixture("shipper", "sleep", "sidecar = true")+fixture("job", "exit 0", `depends_on = ["shipper"]`))
	s.wait("shutdown begun", "reason", "only sidecars run and nothing else is due")
	s.ends(0, "graceful")
}

// Disabled by a reload a child is stopped, enabled again it is started, and
// nobody waits for it meanwhile.
func TestDisabledByReload(t *testing.T) {
	of := func(cache, more string) string {
		return fixture("cache", "sleep", cache) + fixture("app", "sleep", `depends_on = ["cache"]`) + more
	}
	s := start(t, of("disabled = true", ""))
	s.prints("[app] ready")
	s.reload(of("disabled = false", ""))
	s.wait("config reloaded", "added", "[cache]", "kept", "[app]")
	s.prints("[cache] ready")
	s.reload(of("disabled = true", fixture("new", "sleep", `depends_on = ["cache"]`)))
	s.wait("config reloaded", "removed", "[cache]", "added", "[new]")
	s.prints("[new] ready")
	s.signal(unix.SIGTERM)
	s.ends(0, "graceful")
}

func TestReloadSignal(t *testing.T) {
	const sh = "child \"c\" {\n  command = \"/bin/sh\"\n  args = [\"-c\", \"trap 'echo again' HUP; trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done\"]\n" +
		"  reload_signal = \"SIGHUP\"\n}\n"
	s := start(t, sh+fixture("other", "sleep", ""))
	s.prints("[c] ready")
	s.prints("[other] ready")
	s.reload(sh + fixture("other", "print 1", ""))
	e := s.wait("signal sent", "child", "c", "signal", "SIGHUP")
	if rung, ok := e["step"]; ok {
		t.Errorf("it has the rung %v", rung)
	}
	s.prints("[c] again")
	s.prints("[other] line 0")
	s.signal(unix.SIGTERM)
	if e := s.ends(0, "graceful"); e.int("spawned") != 3 {
		t.Errorf("%v", e)
	}
}

// A run that a reload changes is stopped by the signal that it was started
// with.
func TestChangedRunIsStoppedAsItWasStarted(t *testing.T) {
	s := start(t, fixture("c", "sleep", ""))
	s.prints("[c] ready")
	s.reload(fixture("c", "print 1", `kill_signal = "SIGKILL"`))
	s.wait("signal sent", "child", "c", "signal", "SIGTERM", "step", 1)
	s.wait("child reaped", "child", "c", "code", 0)
	s.prints("[c] line 0")
	s.signal(unix.SIGTERM)
	s.wait("signal sent", "child", "c", "signal", "SIGKILL", "step", 1)
	s.ends(124, "forced")
}

func TestPlan(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := file("old.hcl", planned)
	next := file("new.hcl", strings.NewReplacer("= 2\n", "= 3\n", "9s", "8s", "secret", "other", "disabled = true", "disabled = false",
		`"SIGTERM"`, `"SIGINT"`).Replace(planned))
	bad := file("bad.hcl", "child \"a\" {}\n")
	for name, args := range map[string][]string{
		"plan.txt":      {"--config", old},
		"plan.mmd":      {"--config", old, "--mermaid"},
		"plan_from.txt": {"--config", next, "--from", old},
	} {
		out, err := exec.Command(filepath.Join(bin, "supervisor"), append([]string{"plan"}, args...)...).Output()
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		golden(t, filepath.Join("testdata", name), string(out))
	}
	for _, args := range [][]string{{"--config", bad}, {"--config", old, "--from", bad}, {"--config", old, "--from", old, "--mermaid"}} {
		c := exec.Command(filepath.Join(bin, "supervisor"), append([]string{"plan"}, args...)...)
		if out, _ := c.Output(); c.ProcessState.ExitCode() != 2 || len(out) > 0 {
			t.Errorf("%v: code %d, %s", args, c.ProcessState.ExitCode(), out)
		}
	}
}

// What a reload replaces it replaces in turns, beside the old one, or as a whole.
func TestPlanOfReplacements(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, edition := range []string{"1", "2"} {
		path := filepath.Join(dir, edition+".hcl")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(replaced, "EDITION", edition)), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	out, err := exec.Command(filepath.Join(bin, "supervisor"), "plan", "--from", files[0], "--config", files[1]).Output()
	if err != nil {
		t.Error(err)
	}
	golden(t, filepath.Join("testdata", "plan_turns.txt"), string(out))
}

const replaced = `reload { rollback = true }
child "db" {
  command = "/bin/sh"
  args    = ["EDITION"]
}
child "web" {
  command    = "/bin/sh"
  args       = ["EDITION"]
  count      = 2
  depends_on = ["db"]
  restart { strategy = "overlap" }
}
child "api" {
  command = "/bin/sh"
  args    = ["EDITION"]
  count   = 3
  restart {
    strategy     = "overlap"
    max_parallel = 2
  }
}
`

const planned = `shutdown { deadline = "9s" }
child "migrate" {
  command = "/bin/sh"
  oneshot = true
}
child "server" {
  command       = "/bin/sh"
  count         = 2
  critical      = true
  kill_timeout  = "5s"
  depends_on    = ["migrate"]
  env           = { TOKEN = "secret" }
  reload_signal = "SIGHUP"
}
child "shipper" {
  command      = "/bin/sh"
  sidecar      = true
  kill_timeout = "1s"
  kill_signal  = "SIGTERM"
}
child "cache" {
  command  = "/bin/sh"
  disabled = true
}
child "a-client-with-a-name-that-is-long" {
  command    = "/bin/sh"
  reload_signal = "SIGHUP"
  depends_on = ["server", { child = "shipper", until = "started" }, "cache", { child = "migrate", until = "completed" }]
}
`

// golden holds a text against a file; UPDATE=1 writes the file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got\n%s\nwant\n%s", path, got, want)
	}
}
