package hclconfig

import (
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/files"
)

// Options are the inputs of a load besides the file.
type Options struct {
	Environ []string // the environment of the supervisor, as KEY=value
	Only    []string // the children or instances to keep; an empty list keeps all
	NoFile  uint64   // the limit of open descriptors (RLIMIT_NOFILE); 0 disables the check

	// Vars are values of variables, as name=value. The last value of a name counts.
	Vars []string
	// VarFiles are files with values of variables. The last file with a name counts. Vars override
	// the files.
	VarFiles []string

	// Files reads all files. The caller can abandon a load there. If it is nil, each read has a
	// reader of its own.
	Files *files.Reader

	// Streams keeps what a load reads from pipes, for the next load. If it is nil, nothing is kept.
	Streams *Streams

	// OnRead is called with the path of each file before the file is read, also if the file does
	// not exist. OnList is called with each directory before it is listed; matches reports whether
	// a name in the directory belongs to the configuration. Both can be nil.
	OnRead func(path string)
	OnList func(dir string, matches func(name string) bool)

	// OnDoubt is called, for root only, with each file of the configuration that other users can
	// change, and the reasons. Can be nil.
	OnDoubt func(path string, reasons []string)
	// RefuseDoubts makes the read of such a file fail, also without root.
	RefuseDoubts bool

	checked map[string]error // by path: why the file is refused
	doubts  *[]doubt

	// OnWarnings is called with the warnings of a valid configuration if it has any. Can be nil.
	OnWarnings func(*Faults)
}

func (o *Options) reportRead(path string) {
	if _, once := Stream(path); o.OnRead != nil && !once {
		o.OnRead(path)
	}
}

func (o *Options) read(path string) ([]byte, error) { return o.readAtMost(path, maxFile) }

// readAtMost reads a file of at most most bytes. A load opens all files here and all directories in
// matches, so that [files.Reader.Abandon] ends all reads of the load.
func (o *Options) readAtMost(path string, most int) ([]byte, error) {
	read := func() ([]byte, error) { return o.reader().Read(path, most) }
	if fd, ok := Stream(path); ok {
		read = func() ([]byte, error) { return o.Streams.read(o.reader(), fd, most) }
	}
	src, err := read()
	if err != nil {
		return nil, err
	}
	if len(src) > most {
		return nil, fmt.Errorf("%s is larger than %s", path, sizeText(most))
	}
	if _, once := Stream(path); once {
		return src, nil
	}
	return src, o.check(path)
}

// A doubt is a file of the configuration that other users can change.
type doubt struct {
	path    string
	reasons []string
}

func (o *Options) prepare() {
	if o.checked == nil {
		o.checked, o.doubts = map[string]error{}, &[]doubt{}
	}
}

// check looks for doubts about a file once.
func (o *Options) check(path string) error {
	if !o.RefuseDoubts && os.Geteuid() != 0 || o.checked == nil {
		return nil
	}
	err, known := o.checked[path]
	if known {
		return err
	}
	reasons, err := files.Doubts(path)
	switch {
	case !o.RefuseDoubts:
		if err = nil; len(reasons) > 0 {
			*o.doubts = append(*o.doubts, doubt{path, reasons})
			if o.OnDoubt != nil {
				o.OnDoubt(path, reasons)
			}
		}
	case err == nil && len(reasons) > 0:
		err = fmt.Errorf("%s can be changed by other users (--strict-config): %s", path,
			strings.Join(reasons, "; "))
	}
	o.checked[path] = err
	return err
}

// doubtWarnings returns a warning for each file that other users can change.
func (o *Options) doubtWarnings() (diags hcl.Diagnostics) {
	for _, d := range *o.doubts {
		diags = diags.Append(&hcl.Diagnostic{
			Severity: hcl.DiagWarning, Summary: "Other users can change the configuration",
			Detail: fmt.Sprintf("The supervisor runs commands of %s as root, but %s.",
				quote(d.path), strings.Join(d.reasons, "; ")),
		})
	}
	return diags
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

// Read returns the content of a configuration file. It does not block. It returns an error if the
// path is not a regular file or the file is larger than 4 MiB.
func Read(path string) ([]byte, error) { return (&Options{}).read(path) }
