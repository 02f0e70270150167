package process

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/procfs"
)

// Socket is a descriptor of ours that a run gets, and its name there.
type Socket struct {
	FD   int
	Name string
}

// firstSocket is the number that the first socket has in a run: sd_listen_fds(3),
// SD_LISTEN_FDS_START.
const firstSocket = 3

// unknownPid stands for the pid of a run until the start verb, which has it,
// fills it in.
const unknownPid = "LISTEN_PID=?"

// handOn adds the sockets to the files of a run and tells it of them, as
// sd_listen_fds(3) has it. It returns what they are in the run, in whose books
// they do not count: they are in ours.
func (s *Spec) handOn(files *[]int) (inherited []procfs.FD) {
	if len(s.Sockets) == 0 {
		return nil
	}
	names := make([]string, len(s.Sockets))
	for i, k := range s.Sockets {
		*files = append(*files, k.FD)
		names[i] = k.Name
		if fd, err := procfs.OwnFD(k.FD); err == nil { // else it counts as the child's
			fd.Num = firstSocket + i
			inherited = append(inherited, fd)
		}
	}
	env := slices.DeleteFunc(slices.Clone(s.Env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == "LISTEN_PID"
	})
	s.Env = append(env, "LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"), unknownPid)
	return inherited
}

// withPid fills in our pid, which the command will have too.
func withPid(env []string) []string {
	if i := slices.Index(env, unknownPid); i >= 0 {
		env[i] = "LISTEN_PID=" + strconv.Itoa(os.Getpid())
	}
	return env
}
