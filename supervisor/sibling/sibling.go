// Package sibling executes the other one of the programs supervisor and supervisorctl in place of
// this one, as git(1) does with its commands: the process keeps its pid.
package sibling

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"tp0/supervisor/entrypoint"
)

// The names of the programs.
const (
	Supervisor    = "supervisor"
	Supervisorctl = "supervisorctl"
)

// callerVariable has the version of the supervisor that executes supervisorctl.
const callerVariable = "SUPERVISORCTL_CALLER"

// Exec executes the program name with arguments. version is that of the caller. Exec returns only
// if that fails. The error is [fs.ErrNotExist] if there is no such program.
func Exec(name string, args []string, version string) error {
	path, err := find(name)
	if err != nil {
		return err
	}
	environ := os.Environ()
	if name == Supervisorctl {
		environ = append(environ, callerVariable+"="+version)
	}
	restoreIgnored()
	if entrypoint.OutputClosed() {
		syscall.CloseOnExec(1) // it is /dev/null since the start of Go's runtime
	}
	err = syscall.Exec(path, append([]string{name}, args...), environ)
	return fmt.Errorf("cannot execute %s: %w", path, err)
}

// TakeCaller returns the version of the supervisor that executed this program, and removes it from
// the environment. It is empty if nobody did.
func TakeCaller() string {
	version := os.Getenv(callerVariable)
	_ = os.Unsetenv(callerVariable)
	return version
}

// find returns the path of the program: beside this one, else in a directory of PATH. A directory
// of PATH that is not absolute is skipped, because anybody can put a program into the working
// directory.
func find(name string) (string, error) {
	var directories []string
	if own, err := os.Readlink("/proc/self/exe"); err == nil {
		directories = append(directories, filepath.Dir(own))
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			directories = append(directories, dir)
		}
	}
	result := fmt.Errorf("%s is neither beside this program nor in a directory of PATH: %w", name,
		fs.ErrNotExist)
	for _, dir := range directories {
		path := filepath.Join(dir, name)
		err := check(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			result = err
		}
	}
	return "", result
}

// magic starts every program that the kernel can execute by itself (elf(5)).
const magic = "\x7fELF"

// check checks that a file can be the sibling. The process manager Supervisor, which is written in
// Python, has a supervisorctl too: it is a script, so its file does not begin with magic.
func check(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // path can be a FIFO
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(magic))
	if n, err := f.Read(head); err != nil || string(head[:n]) != magic {
		return fmt.Errorf("%s is another program: it is not an ELF file", path)
	}
	return nil
}

// restoreIgnored ignores the signals that were ignored when this program started: Go's runtime
// catches most of them, and execve(2) resets what is caught.
func restoreIgnored() {
	ignored, _, _ := entrypoint.Signals()
	for n := 1; n <= 64; n++ {
		if ignored&(1<<(n-1)) != 0 {
			signal.Ignore(syscall.Signal(n))
		}
	}
}
