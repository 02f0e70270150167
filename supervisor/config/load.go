package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Load reads the file at path and returns its configuration, which is valid.
// What is wrong with the content comes back as [*Faults], all at once; a file
// that cannot be read, is larger than 4 MiB or is not a regular file is an
// error of another type. It does not block, on a FIFO either.
func Load(path string, opt Options) (*Config, error) {
	opt.saw(path)
	src, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	return Parse(src, path, opt)
}

func read(path string) ([]byte, error) { return readAtMost(path, maxFile) }

func readAtMost(path string, most int) (src []byte, err error) {
	// Opening a FIFO waits for its writer without O_NONBLOCK.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	src, err = io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(src) > most {
		return nil, fmt.Errorf("%s is larger than %s", path, sizeText(most))
	}
	return src, nil
}

func sizeText(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
