// Package acceptance tests the built programs and the image by their output, their log and
// their exit code.
package acceptance

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"tp0/supervisor/fixture/needs"
)

// bin is the directory of the programs: supervisor, supervisorctl, server, client and fixture,
// built as in the Makefile and the Dockerfile, and the C fixture truth.
var bin string

func TestMain(m *testing.M) {
	// The caller may ignore signals, as nohup(1) does. A caught signal has its default disposition
	// in the programs under test.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	dir, err := os.MkdirTemp("", "acceptance-")
	if err == nil {
		bin = dir
		err = buildPrograms()
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if code == 0 {
		err = goleak.Find()
	}
	os.RemoveAll(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "acceptance:", err)
		code = 1
	}
	os.Exit(code)
}

func buildPrograms() error {
	for name, source := range map[string]string{
		"supervisor": "tp0/supervisor", "supervisorctl": "tp0/supervisor/supervisorctl",
		"server": "tp0/workers/server", "client": "tp0/workers/client",
		"fixture": "tp0/supervisor/fixture/program",
	} {
		c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
			"-ldflags=tp0/supervisor=-s -w -E=tp0/supervisor/entrypoint.entry",
			"-ldflags=tp0/supervisor/supervisorctl=-s -w -E=tp0/supervisor/entrypoint.entry",
			"-o", filepath.Join(bin, name), source)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", source, err, out)
		}
	}
	if needs.Missing("gcc") != nil {
		return nil // the tests that run truth are skipped
	}
	// A static program runs in a container without a C library.
	c := exec.Command("gcc", "-static", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-o",
		filepath.Join(bin, "truth"), "../supervisor/fixture/truth.c")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build truth.c: %w\n%s", err, out)
	}
	return nil
}
