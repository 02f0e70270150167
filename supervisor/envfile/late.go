package envfile

import (
	"fmt"
	"maps"
	"os"
	"strings"

	"tp0/supervisor/files"
)

// Late are files that are read when a process starts.
type Late struct {
	Paths []string // absolute paths; a later file overrides an earlier one
	Fixed []string // names of variables that override the files
	// Clear says that the environment is not based on that of the supervisor, so a line with only
	// a name needs the environment of the supervisor.
	Clear bool
	// Strict refuses a file that other users can change.
	Strict bool
}

func (l Late) String() string {
	if len(l.Paths) == 0 {
		return "read with the configuration"
	}
	return strings.Join(l.Paths, ", ")
}

// Apply returns an environment with the variables of the files over it. supervisor is the pid of
// the supervisor. The error has all faults of all files.
func (l *Late) Apply(environ []string, supervisor int) ([]string, error) {
	if len(l.Paths) == 0 {
		return environ, nil
	}
	own := Map(environ)
	if l.Clear {
		content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", supervisor))
		own = Map(strings.Split(string(content), "\x00"))
	}
	over := map[string]string{}
	var faults []string
	for _, file := range l.Paths {
		src, err := (&files.Reader{}).Read(file, MaxSize)
		if err == nil && len(src) > MaxSize {
			err = fmt.Errorf("%s is larger than %d KiB", file, MaxSize>>10)
		}
		if err == nil && l.Strict {
			err = checkOwner(file)
		}
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		vars, wrong := Parse(src, own)
		maps.Copy(over, vars)
		for _, fault := range wrong[:min(len(wrong), MaxFaults)] {
			faults = append(faults, file+", "+fault)
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("invalid env_file: %s", strings.Join(faults, "; "))
	}
	for _, name := range l.Fixed {
		delete(over, name)
	}
	return Assign(environ, over), nil
}

// checkOwner returns an error if other users can change a file.
func checkOwner(file string) error {
	reasons, err := files.Doubts(file)
	if err == nil && len(reasons) > 0 {
		err = fmt.Errorf("%s can be changed by other users (--strict-config): %s", file,
			strings.Join(reasons, "; "))
	}
	return err
}
