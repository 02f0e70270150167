package config

import (
	"fmt"

	"tp0/supervisor/files"
)

// Load reads the file at path and returns its configuration, which is valid.
// What is wrong with the content comes back as [*Faults], all at once; a file
// that cannot be read, is larger than 4 MiB or is not a regular file is an
// error of another type. It does not block, on a FIFO either.
func Load(path string, opt Options) (*Config, error) {
	opt.saw(path)
	src, err := opt.read(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	return Parse(src, path, opt)
}

func (o *Options) read(path string) ([]byte, error) { return o.readAtMost(path, maxFile) }

// readAtMost is the only place where a load opens a file, and matches the only
// one where it opens a directory: whoever does not want to wait for the load any
// more abandons them all, see [files.Reader].
func (o *Options) readAtMost(path string, most int) ([]byte, error) {
	src, err := o.reader().Read(path, most)
	if err != nil {
		return nil, err
	}
	if len(src) > most {
		return nil, fmt.Errorf("%s is larger than %s", path, sizeText(most))
	}
	return src, nil
}

func (o *Options) reader() *files.Reader {
	if o.Files == nil {
		return &files.Reader{}
	}
	return o.Files
}

func sizeText(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}
