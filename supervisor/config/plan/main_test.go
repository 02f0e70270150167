package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
)

// example is a configuration in which most attributes have a value other than the zero value.
const example = `
log_level  = "info"
log_format = "text"

shutdown {
  deadline = "9s"
  proof    = "exact"
  strict   = false
}

child "server" {
  command      = "server"
  args         = ["-v"]
  cwd          = "/"
  env          = { SERVER_PORT = "12345" }
  umask        = "0027"
  nice         = 5
  kill_signal  = "SIGTERM"
  kill_timeout = "5s"
  rlimits {
    nofile = 4096
  }
  listen "echo" {
    tcp = "127.0.0.1:12345"
  }
  ready {
    tcp     = "127.0.0.1:8080"
    timeout = "5s"
  }
  check "alive" {
    tcp = "127.0.0.1:8080"
  }
}

child "client" {
  count      = 2
  command    = "client"
  env        = { CLI_ID = index }
  depends_on = ["server"]
  restart {
    on        = "failure"
    attempts  = 5
    interval  = "1m"
    delay     = "200ms"
    max_delay = "30s"
  }
  on_success = "ignore"
  on_failure = "shutdown"
  logs {
    format = "text"
    stdout = "stdout"
    stderr = "stdout"
  }
}
`

// commands is a directory with the executable files server and client.
var commands string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "commands")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"server", "client"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			panic(err)
		}
	}
	commands = dir
	return m.Run()
}

// load returns the configuration of a file with the text src.
func load(t testing.TB, src string) *config.Config {
	t.Helper()
	c, err := hclconfig.Parse([]byte(src), "supervisor.hcl",
		hclconfig.Options{Environ: []string{"PATH=" + commands}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
