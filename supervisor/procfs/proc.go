package procfs

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procdir"
)

// taskPath returns the path of a file in the directory of a thread.
func taskPath(pid, tid int, name string) string {
	return procdir.Of(pid) + "/task/" + strconv.Itoa(tid) + "/" + name
}

// readFile reads a file of /proc. It costs half as much as os.ReadFile, which prepares for files
// that can block.
func readFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 2048) // a status file has 1,500 bytes
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return b, nil
		}
		if b = b[:len(b)+n]; len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}

// readWord returns the content of a file without the space around it. It is empty if the file
// cannot be read.
func readWord(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// processes returns the pids of all processes.
func processes() []int {
	if procdir.Fault() != nil {
		return nil
	}
	return listNumbers("/proc")
}

// listNumbers returns the names in a directory that are numbers.
func listNumbers(dir string) (all []int) {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(d)
	var entries [4096]byte
	for {
		n, err := unix.ReadDirent(d, entries[:])
		if err != nil || n <= 0 {
			return all
		}
		_, _, names := unix.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil {
				all = append(all, n)
			}
		}
	}
}
