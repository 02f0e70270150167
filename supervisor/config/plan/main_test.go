package plan_test

import (
	"os"
	"path/filepath"
	"testing"

	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
)

// example is a configuration in which many attributes have a value.
const example = `
shutdown {
  deadline = "9s"
}
child "server" {
  command      = "server"
  env          = { SERVER_PORT = "12345" }
  kill_timeout = "5s"
  ready {
    tcp = "127.0.0.1:12345"
  }
}
child "client" {
  count      = 2
  command    = "client"
  depends_on = ["server"]
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

// load returns the configuration that src is.
func load(t testing.TB, src string) *config.Config {
	t.Helper()
	c, err := hclconfig.Parse([]byte(src), "supervisor.hcl",
		hclconfig.Options{Environ: []string{"PATH=" + commands}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
