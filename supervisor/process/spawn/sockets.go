package spawn

import (
	"slices"
	"strconv"
	"strings"
)

// Socket is a descriptor of the supervisor that a child gets, with its name in LISTEN_FDNAMES.
type Socket struct {
	FD   int
	Name string
}

// firstSocket is the number of the first socket in a child: SD_LISTEN_FDS_START, sd_listen_fds(3).
const firstSocket = 3

// listenPidUnknown is replaced by the start verb, which runs in the child and so knows its pid.
const listenPidUnknown = "LISTEN_PID=?"

// listenEnv returns the environment with the variables of sd_listen_fds(3). It replaces those that
// the supervisor itself was started with.
func listenEnv(env, names []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == "LISTEN_PID"
	})
	return append(env,
		"LISTEN_FDS="+strconv.Itoa(len(names)),
		"LISTEN_FDNAMES="+strings.Join(names, ":"),
		listenPidUnknown)
}

// setListenPid sets LISTEN_PID in env and returns env. The pid stays the same over execve(2).
func setListenPid(env []string, pid int) []string {
	if i := slices.Index(env, listenPidUnknown); i >= 0 {
		env[i] = "LISTEN_PID=" + strconv.Itoa(pid)
	}
	return env
}
