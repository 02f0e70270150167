package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOneshotBeforeItsDependents(t *testing.T) {
	s := start(t, fixture("app", "sleep", `depends_on = ["migrate"]`)+
		fixture("migrate", "exit 0", "oneshot = true\n"+
			"  depends_on = [{ child = \"db\", until = \"started\" }]")+fixture("db", "sleep", ""))
	_, i := s.awaitEntryFrom(0, "child spawned", "child", "db")
	_, i = s.awaitEntryFrom(i, "child spawned", "child", "migrate")
	_, i = s.awaitEntryFrom(i, "child completed", "child", "migrate")
	s.awaitEntryFrom(i, "child spawned", "child", "app")
	s.awaitLine("[app] ready")
	s.awaitLine("[db] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 3)
}

// TestDependencyFailed checks that a child whose dependency failed is never started, and that
// the log and health give the reason.
// TestOneshotMakesTheFiles checks that a child can be made of what a oneshot before it makes: its
// command, directory, environment, log file and the command of its probe. A reload that finds the
// files keeps the child.
func TestOneshotMakesTheFiles(t *testing.T) {
	dir := t.TempDir()
	hcl := fmt.Sprintf(`child "make" {
  oneshot = true
  command = "sh"
  args    = ["-c", <<-EOT
    mkdir -p %[1]s/new/bin
    echo "PATH=%[1]s/new/bin:/usr/bin:/bin" > %[1]s/new/env
    printf '#!/bin/sh\necho in $PWD\nexec sleep 1000\n' > %[1]s/new/bin/app
    printf '#!/bin/sh\ntest $PWD = %[1]s/new\n' > %[1]s/new/bin/probe
    chmod +x %[1]s/new/bin/*
  EOT
  ]
}
child "app" {
  command    = "app"
  cwd        = "%[1]s/new"
  env_file   = "%[1]s/new/env"
  depends_on = ["make"]
  ready { exec = ["probe"] }
  logs { stdout = "%[1]s/new/log" }
}
`, dir)
	s := start(t, hcl)
	s.awaitEntry("child ready", "child", "app")
	s.reload(hcl)
	kept := s.awaitEntry("config reloaded")
	kept.expect(t, "kept", []any{"make", "app"}, "changed", []any{})
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 2)
	if log, err := os.ReadFile(dir + "/new/log"); string(log) != "[app] in "+dir+"/new\n" {
		t.Errorf("the log file has %q, %v", log, err)
	}
}

// TestOneshotMakesNoCommand checks that a command that is still missing is a failed start.
func TestOneshotMakesNoCommand(t *testing.T) {
	s := start(t, `child "make" {
  oneshot = true
  command = "true"
}
child "app" {
  command    = "/none/app"
  depends_on = ["make"]
  restart { on = "never" }
}
`)
	failed := s.awaitEntry("spawn failed", "child", "app")
	failed.expect(t, "reason",
		`cannot find the command /none/app: "/none/app" does not exist`)
	if code := s.exitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestDependencyFailed(t *testing.T) {
	s := start(t, fixture("app", "sleep", `depends_on = ["migrate"]`)+fixture("other", "sleep", "")+
		fixture("migrate", "exit 3", "oneshot = true\n  on_failure = \"ignore\"\n"+
			"  restart { on = \"never\" }"))
	s.awaitEntry("dependency failed", "child", "app", "for", "migrate", "@level", "warn")
	s.awaitLine("[other] ready")
	out, err := exec.Command(filepath.Join(bin, "supervisor"), "health", "--config",
		s.config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "app waits for migrate, which has failed") {
		t.Errorf("health: %v, %s", err, out)
	}
	s.signal(unix.SIGTERM)
	s.expectStop(1, "graceful").expect(t, "spawned", 2)
}

func TestCriticalCode(t *testing.T) {
	for program, want := range map[string]int{"exit 7": 7, "exit 0": 0} {
		s := start(t, fixture("other", "sleep", "")+fixture("main", program,
			"critical = true\n  depends_on = [\"other\"]\n  restart { on = \"never\" }"))
		s.awaitEntry("shutdown begun", "reason", "main ended, and it is critical")
		s.expectStop(want, "graceful")
	}
}

func TestCriticalSignal(t *testing.T) {
	s := start(t, fixture("main", "sleep", "critical = true\n  restart { on = \"never\" }"))
	s.awaitLine("[main] ready")
	if err := unix.Kill(s.awaitEntry("child spawned").int("pid"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.expectStop(128+int(unix.SIGKILL), "graceful")
}

func TestSidecarIsStoppedLast(t *testing.T) {
	s := start(t, fixture("shipper", "sleep", "sidecar = true")+fixture("db", "sleep",
		"")+fixture("app", "sleep", `depends_on = ["db"]`))
	for _, name := range []string{"shipper", "db", "app"} {
		s.awaitLine("[" + name + "] ready")
	}
	s.signal(unix.SIGTERM)
	_, i := s.awaitEntryFrom(0, "child reaped", "child", "app")
	_, i = s.awaitEntryFrom(i, "child reaped", "child", "db")
	s.awaitEntryFrom(i, "signal sent", "child", "shipper", "signal", "SIGTERM")
	s.expectStop(0, "graceful")
}

func TestSidecarDoesNotKeepRunAlive(t *testing.T) {
	s := start(t, fixture("shipper", "sleep", "sidecar = true")+fixture("job", "exit 0",
		`depends_on = ["shipper"]`))
	s.awaitEntry("shutdown begun", "reason", "only sidecars run and nothing else is due")
	s.expectStop(0, "graceful")
}

// TestDisabledByReload checks that a reload stops a child that it disables and starts it when
// it enables it. Dependents do not wait for a disabled child.
func TestDisabledByReload(t *testing.T) {
	of := func(cache, more string) string {
		return fixture("cache", "sleep", cache) + fixture("app", "sleep",
			`depends_on = ["cache"]`) + more
	}
	s := start(t, of("disabled = true", ""))
	s.awaitLine("[app] ready")
	s.reload(of("disabled = false", ""))
	s.awaitEntry("config reloaded", "added", "[cache]", "kept", "[app]")
	s.awaitLine("[cache] ready")
	s.reload(of("disabled = true", fixture("new", "sleep", `depends_on = ["cache"]`)))
	s.awaitEntry("config reloaded", "removed", "[cache]", "added", "[new]")
	s.awaitLine("[new] ready")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful")
}

func TestReloadSignal(t *testing.T) {
	const sh = "child \"c\" {\n  command = \"/bin/sh\"\n" +
		"  args = [\"-c\", \"trap 'echo again' HUP; trap 'exit 0' TERM; echo ready; " +
		"while :; do sleep 0.01; done\"]\n" +
		"  reload_signal = \"SIGHUP\"\n}\n"
	s := start(t, sh+fixture("other", "sleep", ""))
	s.awaitLine("[c] ready")
	s.awaitLine("[other] ready")
	s.reload(sh + fixture("other", "print 1", ""))
	e := s.awaitEntry("signal sent", "child", "c", "signal", "SIGHUP")
	if step, ok := e["step"]; ok {
		t.Errorf("the reload signal has the step %v, want none", step)
	}
	s.awaitLine("[c] again")
	s.awaitLine("[other] line 0")
	s.signal(unix.SIGTERM)
	s.expectStop(0, "graceful").expect(t, "spawned", 3)
}

// TestChangedInstanceIsStoppedByItsOldConfig checks that a reload stops a changed instance by
// the kill_signal that it was started with.
func TestChangedInstanceIsStoppedByItsOldConfig(t *testing.T) {
	s := start(t, fixture("c", "sleep", ""))
	s.awaitLine("[c] ready")
	s.reload(fixture("c", "print 1", `kill_signal = "SIGKILL"`))
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGTERM", "step", 1)
	s.awaitEntry("child reaped", "child", "c", "code", 0)
	s.awaitLine("[c] line 0")
	s.signal(unix.SIGTERM)
	s.awaitEntry("signal sent", "child", "c", "signal", "SIGKILL", "step", 1)
	s.expectStop(124, "forced")
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
	old := file("old.hcl", planConfig)
	next := file("new.hcl", strings.NewReplacer("= 2\n", "= 3\n", "9s", "8s", "secret", "other",
		"disabled = true", "disabled = false",
		`"SIGTERM"`, `"SIGINT"`).Replace(planConfig))
	bad := file("bad.hcl", "child \"a\" {}\n")
	for name, args := range map[string][]string{
		"plan.txt":      {"--config", old},
		"plan.mmd":      {"--config", old, "--mermaid"},
		"plan_from.txt": {"--config", next, "--from", old},
	} {
		out, err := exec.Command(filepath.Join(bin, "supervisor"),
			append([]string{"plan"}, args...)...).Output()
		if err != nil {
			t.Errorf("plan %v: %v", args, err)
		}
		golden(t, filepath.Join("testdata", name), string(out))
	}
	for _, args := range [][]string{{"--config", bad}, {"--config", old, "--from", bad},
		{"--config", old, "--from", old, "--mermaid"}} {
		c := exec.Command(filepath.Join(bin, "supervisor"), append([]string{"plan"}, args...)...)
		if out, _ := c.Output(); c.ProcessState.ExitCode() != 2 || len(out) > 0 {
			t.Errorf("%v: code %d, %s", args, c.ProcessState.ExitCode(), out)
		}
	}
}

// TestPlanOfReplacements checks the plan of a reload: instances in groups, overlapping, or a
// whole chain.
func TestPlanOfReplacements(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, edition := range []string{"1", "2"} {
		path := filepath.Join(dir, edition+".hcl")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(replacedConfig, "EDITION", edition)),
			0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	out, err := exec.Command(filepath.Join(bin, "supervisor"), "plan", "--from", files[0],
		"--config", files[1]).Output()
	if err != nil {
		t.Error(err)
	}
	golden(t, filepath.Join("testdata", "plan_turns.txt"), string(out))
}

const replacedConfig = `reload { rollback = true }
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
    min_ready    = "10s"
  }
}
`

const planConfig = `shutdown { deadline = "9s" }
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
  depends_on = [
    "server", { child = "shipper", until = "started" },
    "cache", { child = "migrate", until = "completed" },
  ]
}
`

// golden compares a text with a file. UPDATE=1 writes the file.
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
