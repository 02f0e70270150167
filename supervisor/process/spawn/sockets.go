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

// listenPid is set by the start verb, which runs in the child and so knows its pid.
const listenPid = "LISTEN_PID"

// listenEnv returns the environment with the variables of sd_listen_fds(3), without listenPid. It
// replaces those that the supervisor itself was started with.
func listenEnv(env, names []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == listenPid
	})
	return append(env,
		"LISTEN_FDS="+strconv.Itoa(len(names)),
		"LISTEN_FDNAMES="+strings.Join(names, ":"))
}

// setPid sets variables to a pid, and returns the environment. The pid of a process stays the same
// over execve(2).
func setPid(env, names []string, pid int) []string {
	env = slices.DeleteFunc(env, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
	for _, name := range names {
		env = append(env, name+"="+strconv.Itoa(pid))
	}
	return env
}
