package app

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/envfile"
)

// A service manager names the process that its variables are for by its pid: that of the
// supervisor. They are meant for the command.

// pidVariables returns the variables whose value is the pid of the supervisor (sd_listen_fds(3),
// sd_watchdog_enabled(3)). The command gets its own pid there.
func pidVariables() (names []string) {
	own := strconv.Itoa(os.Getpid())
	for _, name := range []string{"LISTEN_PID", "WATCHDOG_PID"} {
		if os.Getenv(name) == own {
			names = append(names, name)
		}
	}
	return names
}

// commandEnv returns the environment of the command: without the variables that are for a
// supervisor alone, and without LISTEN_PIDFDID, which also names the process of the supervisor, if
// LISTEN_PID changes.
func commandEnv(environ []string) []string {
	environ = envfile.WithoutOwn(environ)
	if !slices.Contains(pidVariables(), "LISTEN_PID") {
		return environ
	}
	return slices.DeleteFunc(environ, func(entry string) bool {
		return strings.HasPrefix(entry, "LISTEN_PIDFDID=")
	})
}

// absolute returns the absolute path of a file, because the supervisor changes its directory. An
// empty path stays empty.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
