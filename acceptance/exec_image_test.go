package acceptance

import (
	"fmt"
	"strings"
	"testing"
)

// execContainer runs a fixture in a container with exec as its PID 1.
func execContainer(t *testing.T, image string, args ...string) *container {
	t.Helper()
	// What follows the image is the command, in place of "run".
	return runContainer(t, image+" exec "+strings.Join(args, " "), "")
}

func (c *container) exits(code string) {
	c.t.Helper()
	if got := docker(c.t, "wait", c.id); got != code {
		c.t.Errorf("exit code %s, want %s", got, code)
	}
}

func (c *container) kill(signal string) {
	c.t.Helper()
	docker(c.t, "kill", "--signal", signal, c.id)
}

// The main things again, where we are PID 1 of a container.
func TestExecAsPid1(t *testing.T) {
	image := quickImage(t)
	t.Run("signals", func(t *testing.T) {
		c := execContainer(t, image, "fixture", "signals", "cmd")
		c.prints("cmd ready")
		for signal, number := range map[string]int{"HUP": 1, "USR1": 10, "INT": 2, "WINCH": 28, "TSTP": 20, "CONT": 18, "40": 40} {
			c.kill(signal)
			c.prints(fmt.Sprint("cmd got ", number))
		}
		docker(t, "stop", c.id)
		c.prints("cmd got 15")
		c.exits("0")
	})
	t.Run("codes", func(t *testing.T) {
		for command, code := range map[string]string{"fixture exit 42": "42", "no-such": "127", "/supervisor.hcl": "126"} {
			execContainer(t, image, strings.Fields(command)...).exits(code)
		}
	})
	t.Run("signal", func(t *testing.T) {
		c := execContainer(t, image, "--rewrite", "TERM:KILL", "fixture", "sleep")
		c.prints("ready")
		c.kill("TERM")
		c.exits("124") // we killed it
	})
	t.Run("zombies", func(t *testing.T) {
		c := execContainer(t, image, "--verbose", "fixture", "zombies", "100")
		c.exits("0")
		c.prints("orphans=100 ")
	})
	t.Run("daemon", func(t *testing.T) {
		c := execContainer(t, image, "--verbose", "--strict", "fixture", "daemon", "sleep")
		c.prints("orphan reaped: ")
		c.prints("verdict graceful, 0 left, exit code 0")
		c.exits("0")
	})
	t.Run("deaf", func(t *testing.T) {
		c := execContainer(t, image, "--deadline", "1s", "fixture", "daemon", "deaf", "stay")
		c.prints("daemon ")
		docker(t, "stop", "-t", "30", c.id)
		c.exits("124")
	})
	t.Run("second TERM", func(t *testing.T) {
		c := execContainer(t, image, "--deadline", "10m", "--verbose", "fixture", "deaf")
		c.prints("ready")
		c.kill("TERM")
		c.prints("child slow to stop: child=fixture") // a second later: no repetition of the first
		c.kill("TERM")
		c.exits("124")
	})
	t.Run("session", func(t *testing.T) {
		c := execContainer(t, image, "--setsid", "--kill-scope", "tree", "--strict", "fixture", "family")
		for _, name := range []string{"near", "far", "parent"} {
			c.prints(name + " ready")
		}
		c.kill("USR2")
		for _, name := range []string{"near", "far", "parent"} {
			c.prints(name + " got 12")
		}
		docker(t, "stop", c.id)
		c.exits("0")
	})
}
