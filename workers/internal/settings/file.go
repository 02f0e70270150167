package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile is the largest configuration file in bytes.
const maxFile = 1 << 20

// Open opens a configuration file. It returns nil without an error if the file does not exist. A
// file that is not regular is an error: a pipe would block, and Docker creates a directory for a
// mount whose source is missing.
func Open(name string) (*os.File, error) {
	// O_NONBLOCK, because the open of a FIFO waits for its other end.
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the configuration: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("cannot read %s: it is not a regular file", name)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Content returns the content of file, which may be nil. A content above 1 MiB is an error.
func Content(file *os.File) ([]byte, error) {
	if file == nil {
		return nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("cannot read %s: it has more than %d bytes", file.Name(), maxFile)
	}
	return content, nil
}

// Load reads the settings of table from env and from the file called name, whose content decode
// parses. It returns the open file, which the caller closes, or nil if there is none. If the file
// cannot be read or decoded, that is the only fault returned.
func Load(
	table []Setting, env func(string) (string, bool), name string,
	decode func([]byte) (map[string]string, error),
) (file *os.File, faults []error) {
	file, err := Open(name)
	if err != nil {
		return nil, []error{err}
	}
	content, err := Content(file)
	if err != nil {
		return file, []error{err}
	}
	values, err := decode(content)
	if err != nil {
		return file, []error{fmt.Errorf("cannot decode %s: %w", name, err)}
	}
	return file, Read(table, env, name, values)
}
