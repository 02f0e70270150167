package acceptance

import (
	"fmt"
	"strings"
	"testing"
)

// execContainer runs a fixture in a container with supervisor exec as PID 1.
func execContainer(t *testing.T, image string, args ...string) *container {
	t.Helper()
	// The words behind the image replace the default command "run".
	return runContainer(t, image+" exec "+strings.Join(args, " "), "")
}

func (c *container) expectExit(code string) {
	c.t.Helper()
	if got := docker(c.t, "wait", c.id); got != code {
		c.t.Errorf("exit code %s, want %s", got, code)
	}
}

func (c *container) signal(signal string) {
	c.t.Helper()
	docker(c.t, "kill", "--signal", signal, c.id)
}

// TestExecAsPID1 repeats the main tests of exec with the supervisor as PID 1 of a container.
func TestExecAsPID1(t *testing.T) {
	image := quickImage(t)
	t.Run("signals", func(t *testing.T) {
		c := execContainer(t, image, "fixture", "signals", "cmd")
		c.awaitLine("cmd ready")
		for signal, number := range map[string]int{"HUP": 1, "USR1": 10, "INT": 2, "WINCH": 28,
			"TSTP": 20, "CONT": 18, "40": 40} {
			c.signal(signal)
			c.awaitLine(fmt.Sprint("cmd got ", number))
		}
		docker(t, "stop", c.id)
		c.awaitLine("cmd got 15")
		c.expectExit("0")
	})
	t.Run("codes", func(t *testing.T) {
		for command, code := range map[string]string{"fixture exit 42": "42", "no-such": "127",
			"/supervisor.hcl": "126"} {
			execContainer(t, image, strings.Fields(command)...).expectExit(code)
		}
	})
	t.Run("signal", func(t *testing.T) {
		c := execContainer(t, image, "--rewrite", "TERM:KILL", "fixture", "sleep")
		c.awaitLine("ready")
		c.signal("TERM")
		c.expectExit("124") // we killed it
	})
	t.Run("zombies", func(t *testing.T) {
		c := execContainer(t, image, "--verbose", "fixture", "zombies", "100")
		c.expectExit("0")
		c.awaitLine("orphans=100 ")
	})
	t.Run("daemon", func(t *testing.T) {
		c := execContainer(t, image, "--verbose", "--strict", "fixture", "daemon", "sleep")
		c.awaitLine("orphan reaped: ")
		c.awaitLine("verdict graceful, 0 findings, exit code 0")
		c.expectExit("0")
	})
	t.Run("ignores SIGTERM", func(t *testing.T) {
		c := execContainer(t, image, "--deadline", "1s", "fixture", "daemon", "ignore-term", "stay")
		c.awaitLine("daemon ")
		docker(t, "stop", "-t", "30", c.id)
		c.expectExit("124")
	})
}

// TestExecAsPID1Escalates checks the second SIGTERM, and a signal to a tree in another session.
func TestExecAsPID1Escalates(t *testing.T) {
	image := quickImage(t)
	t.Run("second TERM", func(t *testing.T) {
		c := execContainer(t, image, "--deadline", "10m", "--verbose", "fixture", "ignore-term")
		c.awaitLine("ready")
		c.signal("TERM")
		// a second later: no repetition of the first
		c.awaitLine("child slow to stop: child=fixture")
		c.signal("TERM")
		c.expectExit("124")
	})
	t.Run("session", func(t *testing.T) {
		c := execContainer(t, image, "--setsid", "--kill-scope", "tree", "--strict", "fixture",
			"family")
		for _, name := range []string{"near", "far", "parent"} {
			c.awaitLine(name + " ready")
		}
		c.signal("USR2")
		for _, name := range []string{"near", "far", "parent"} {
			c.awaitLine(name + " got 12")
		}
		docker(t, "stop", c.id)
		c.expectExit("0")
	})
}
