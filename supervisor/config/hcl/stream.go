package hclconfig

import (
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
)

// StandardInput is the path of a configuration on standard input.
const StandardInput = "/dev/stdin"

var descriptorPath = lazyPattern(`^(?:/dev/fd|/proc/self/fd)/([0-9]{1,9})$`)

// Stream returns the descriptor that a path names, such as /dev/stdin or the /dev/fd/63 of a
// process substitution, unless it is a regular file. The content of a stream can be read once.
func Stream(path string) (fd int, ok bool) {
	if path == StandardInput {
		fd = unix.Stdin
	} else if m := descriptorPath().FindStringSubmatch(path); m != nil {
		fd, _ = strconv.Atoi(m[1])
	} else {
		return 0, false
	}
	var st unix.Stat_t
	return fd, unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG
}

// IsDescriptor reports whether a path names a descriptor of the process that opens it. Two
// processes with such a path have two files.
func IsDescriptor(path string) bool {
	return path == StandardInput || descriptorPath().MatchString(path)
}

// directoryOf returns the directory to which the paths in a configuration file are relative. It is
// the working directory if the name is that of a descriptor.
func directoryOf(name string) string {
	if IsDescriptor(name) {
		return "."
	}
	return filepath.Dir(name)
}

// Streams are the contents of streams, by descriptor. The zero value has none.
type Streams struct {
	mu      sync.Mutex
	content map[int][]byte
}

// read returns the content of a stream. The first read waits for the writer.
func (s *Streams) read(reader *files.Reader, fd, most int) ([]byte, error) {
	if s == nil {
		return reader.ReadStream(fd, most)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if src, ok := s.content[fd]; ok {
		return src, nil
	}
	src, err := reader.ReadStream(fd, most)
	if err == nil && s.content == nil {
		s.content = map[int][]byte{}
	}
	if err == nil {
		s.content[fd] = src
	}
	return src, err
}
