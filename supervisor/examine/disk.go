package examine

import (
	"bufio"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tp0/supervisor/explain"
	"tp0/supervisor/procdir"
	"tp0/supervisor/procfs"
)

// The limits of an examination of files.
const (
	maxArguments = 64
	maxMaps      = 4 << 20 // bytes of /proc/PID/maps
	maxLibraries = 16
)

// deleted is what the kernel appends to the path of a file without a name (d_path, fs/d_path.c).
const deleted = " (deleted)"

// replacedProgram returns the executable of a process if another file has its path now, or none
// has. For a script it returns the script if that changed. Empty: it has not changed, or it cannot
// be read.
func replacedProgram(s explain.Subject) (program string) {
	proc := procdir.Of(s.Pid)
	_ = procfs.ReadAs(s.Pid, func() error {
		target, err := os.Readlink(proc + "/exe")
		if err != nil {
			return err
		}
		if name, gone := strings.CutSuffix(target, deleted); gone {
			program = name
			return nil
		}
		runs, err := os.Stat(proc + "/exe")
		if err != nil {
			return err
		}
		// The path is that of the mount namespace of the process.
		onDisk, err := os.Stat(proc + "/root" + target)
		if err == nil && !os.SameFile(runs, onDisk) {
			program = target
			return nil
		}
		// The kernel refuses to change a file that is executed (ETXTBSY), but not a script.
		file, err := os.Stat(s.Path)
		if err == nil && !os.SameFile(runs, file) && changedAfter(s.Path, s) {
			program = s.Path
		}
		return nil // a path that cannot be read says nothing
	})
	return program
}

// replacedLibraries returns the libraries of a process whose file was deleted or replaced.
func replacedLibraries(pid int) (all []string) {
	var maps *os.File
	err := procfs.ReadAs(pid, func() (err error) {
		maps, err = os.Open(procdir.Of(pid) + "/maps")
		return err
	})
	if err != nil {
		return nil
	}
	defer maps.Close()
	lines := bufio.NewScanner(io.LimitReader(maps, maxMaps))
	for lines.Scan() && len(all) < maxLibraries {
		line, gone := strings.CutSuffix(lines.Text(), deleted)
		at := strings.IndexByte(line, '/') // the other fields have none (proc_pid_maps(5))
		if !gone || at < 0 {
			continue
		}
		name := path.Base(line[at:])
		if strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.") {
			all = addOnce(all, name)
		}
	}
	return all
}

// changedFiles returns the files among the arguments that changed after the start, such as a
// configuration. Files that the process writes itself are left out.
func changedFiles(s explain.Subject, writes func(file string) bool) (all []string) {
	dir := s.Dir
	if dir == "" {
		dir = supervisorDir()
	}
	for _, arg := range s.Args[:min(len(s.Args), maxArguments)] {
		if _, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			arg = value // --config=/etc/web.conf
		}
		if arg == "" || len(arg) > maxPath || strings.HasPrefix(arg, "-") {
			continue
		}
		file := arg
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		written := []string{".log", ".pid", ".lock"} // by the process, and closed
		if changedAfter(file, s) && !writes(file) && !slices.Contains(written, path.Ext(file)) {
			all = addOnce(all, file)
		}
	}
	return all
}

// maxPath is the longest path of Linux, in bytes.
const maxPath = 4096

// changedAfter reports whether a regular file changed after the start of the process. An installer
// can set back the time of the contents, but not that of the inode.
func changedAfter(file string, s explain.Subject) bool {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && time.Unix(st.Ctim.Unix()).After(s.Started)
}

// supervisorDir returns the working directory of the supervisor, that of children without cwd.
func supervisorDir() string {
	dir, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return dir
}

// addOnce adds a name that is not in a list yet.
func addOnce(all []string, name string) []string {
	if slices.Contains(all, name) {
		return all
	}
	return append(all, name)
}
