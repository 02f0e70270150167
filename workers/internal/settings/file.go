package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// most is how many bytes of a configuration file are read.
const most = 1 << 20

// Open opens a configuration file. Where there is none it returns nil and no error. Anything but a
// regular file is an error: a pipe would have to be waited for, and a directory is what Docker
// makes of a mount whose source is missing.
func Open(name string) (*os.File, error) {
	// O_NONBLOCK, as the open of a pipe waits for its other end.
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

// Content is what stands in file, which may be nil. More than a MiB is an error.
func Content(file *os.File) ([]byte, error) {
	if file == nil {
		return nil, nil
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	if len(content) > most {
		return nil, fmt.Errorf("cannot read %s: it has more than %d bytes", file.Name(), most)
	}
	return content, nil
}

// Load reads table from env and from the configuration file called name, with decode to make values
// of its content. The file is nil if there is none; else it is still open, and the caller's to
// close. A file that cannot be read or decoded is the only fault reported, as nothing is known of
// its values.
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
		return file, []error{fmt.Errorf("cannot make anything of %s: %w", name, err)}
	}
	return file, Read(table, env, name, values)
}
