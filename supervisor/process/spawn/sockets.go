package spawn

import (
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/procfs"
)

// Socket is a descriptor of the supervisor that a child gets, and the name that
// the child knows it by.
type Socket struct {
	FD   int
	Name string
}

// firstSocket is the number of the first socket in a child: SD_LISTEN_FDS_START,
// sd_listen_fds(3).
const firstSocket = 3

// listenPidUnknown is replaced by the start verb, which is the first to know the
// pid of the child.
const listenPidUnknown = "LISTEN_PID=?"

// addSockets adds the sockets of the spec to the files of the child and to its
// environment.
func (p *Prepared) addSockets() {
	sockets := p.spec.Sockets
	if len(sockets) == 0 {
		return
	}
	names := make([]string, len(sockets))
	for i, socket := range sockets {
		p.files = append(p.files, socket.FD)
		names[i] = socket.Name
		if fd, err := procfs.OwnFD(socket.FD); err == nil { // else it counts as the child's
			fd.Num = firstSocket + i
			p.Inherited = append(p.Inherited, fd)
		}
	}
	p.spec.Env = listenEnv(p.spec.Env, names)
}

// listenEnv returns the environment with the variables of sd_listen_fds(3). Those
// that the supervisor itself was started with are replaced.
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

// setListenPid fills in the pid, which stays the same over execve(2). It changes
// env.
func setListenPid(env []string, pid int) []string {
	if i := slices.Index(env, listenPidUnknown); i >= 0 {
		env[i] = "LISTEN_PID=" + strconv.Itoa(pid)
	}
	return env
}
