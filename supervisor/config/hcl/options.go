package hclconfig

import (
	"fmt"

	"tp0/supervisor/files"
)

// Options are what a file is read with.
type Options struct {
	Environ []string // the supervisor's own, KEY=value
	Only    []string // children or instances to keep; empty: all
	NoFile  uint64   // descriptors that we may open (RLIMIT_NOFILE); 0: not checked

	Vars     []string // values of variables, name=value; of doubles the last one counts
	VarFiles []string // files with such values; Vars go before them, and a later one before an earlier

	// Files reads them; nil: one of its own. Whoever does not want to wait for
	// the load any more abandons it there.
	Files *files.Reader

	// OnRead is told of each file that the configuration is read from, before that is
	// read and whether it is there or not; Listed of each directory, before it is
	// listed, and which names count. Both are nil, or neither.
	OnRead func(path string)
	OnList func(dir string, counts func(name string) bool)
}

func (o *Options) saw(path string) {
	if o.OnRead != nil {
		o.OnRead(path)
	}
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

// Read returns the content of a file of a configuration. It does not block,
// and refuses what is not a regular file of 4 MiB at most.
func Read(path string) ([]byte, error) { return (&Options{}).read(path) }
