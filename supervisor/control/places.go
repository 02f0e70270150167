package control

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// SocketVariable is the environment variable with the path of the control socket. Children do not
// get it.
const SocketVariable = "SUPERVISOR_SOCKET"

// Directories returns the directories for control sockets without a configured path, the first
// that is usable counts. Clients look in all of them.
func Directories(uid int, getenv func(string) string) (dirs []string) {
	if uid == 0 {
		return []string{"/run/supervisor"}
	}
	// systemd.exec(5): RUNTIME_DIRECTORY can have several paths, separated by colons.
	first, _, _ := strings.Cut(getenv("RUNTIME_DIRECTORY"), ":")
	if filepath.IsAbs(first) {
		dirs = append(dirs, first)
	}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "supervisor"))
	}
	return dirs
}

// FileName returns the name of the file for the control socket with an abstract name.
func FileName(name string) string { return strings.TrimPrefix(name, namePrefix) + fileSuffix }

const fileSuffix = ".sock"

// maxListed is the number of control sockets that a search finds in a directory.
const maxListed = 1000

// Sockets returns the paths of the control sockets in a directory.
func Sockets(dir string) (paths []string) {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxListed)
	for _, name := range names {
		if strings.HasSuffix(name, fileSuffix) {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

// AbstractNames returns the names of all abstract control sockets of the network namespace.
func AbstractNames() (names []string) {
	f, err := os.Open("/proc/self/net/unix")
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 8 && fields[3] == acceptsConnections &&
			strings.HasPrefix(fields[7], namePrefix) {
			names = append(names, fields[7])
		}
	}
	return names
}

// acceptsConnections are the flags of a listener (__SO_ACCEPTCON) in /proc/net/unix.
const acceptsConnections = "00010000"
