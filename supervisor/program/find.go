package program

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/files"
)

// Find resolves a command to an absolute path.
func (f *Finder) Find(command string) (string, error) {
	if strings.Contains(command, "/") {
		file := f.absolute(command)
		return file, f.check(file)
	}
	file, err := f.search(command)
	if err == nil {
		err = f.checkInterpreter(file)
	}
	return file, err
}

// check checks that a file, and its interpreter if it is a script, can be executed.
func (f *Finder) check(file string) error {
	if err := checkExecutable(file); err != nil {
		return err
	}
	return f.checkInterpreter(file)
}

// Explain returns what an error of execve(2) of a file hides: that the interpreter is missing, or
// that the file is neither a program nor a script. It returns "" if the error hides nothing.
func Explain(err error, file, dir string, environ []string) string {
	f := Finder{Dir: dir, Path: SearchPath(environ), Read: (&files.Reader{}).Read}
	var missing *InterpreterError
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Sprintf("%s is neither a program for this machine nor a script with a line "+
			"such as #!/bin/sh.", quote(file))
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES):
		if checkExecutable(file) == nil && errors.As(f.checkInterpreter(file), &missing) {
			return missing.Error()
		}
	}
	return ""
}
