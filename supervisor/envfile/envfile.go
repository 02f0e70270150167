// Package envfile reads files with environment variables, as `docker run --env-file` does.
package envfile

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxSize is the largest size of a file in bytes. By default execve(2) takes 2 MiB of arguments and
// environment.
const MaxSize = 256 << 10

// MaxFaults is the number of faults of a file that are reported.
const MaxFaults = 10

// Parse returns the variables of a file. A line with only a name takes the value from own. A fault
// does not quote the line, which can be part of a secret.
func Parse(src []byte, own map[string]string) (vars map[string]string, faults []string) {
	vars = map[string]string{}
	n := 0
	for raw := range bytes.Lines(bytes.TrimPrefix(src, []byte("\ufeff"))) {
		n++
		line := strings.TrimLeft(strings.TrimRight(string(raw), "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		what := ""
		switch {
		case !utf8.ValidString(line) || strings.IndexByte(line, 0) >= 0:
			what = "the line must be UTF-8 without NUL bytes."
		case name == "":
			what = `the line has no name before the "=".`
		case strings.HasPrefix(name, "export "):
			what = `the file is not a shell script. Remove "export".`
		case strings.ContainsAny(name, " \t"):
			what = "the name contains a blank. A line must be NAME=value."
		case ok:
			vars[name] = value
		default:
			if value, ok := own[name]; ok {
				vars[name] = value
			}
		}
		if what != "" {
			faults = append(faults, fmt.Sprintf("line %d: %s", n, what))
		}
	}
	return vars, faults
}

// Map returns the variables of an environment. The last entry of a name counts, as in os/exec.
func Map(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			vars[name] = value
		}
	}
	return vars
}

// Assign returns a sorted environment with variables that override it. The result is sorted.
func Assign(environ []string, over map[string]string) []string {
	result := make([]string, 0, len(environ)+len(over))
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if _, ok := over[name]; !ok {
			result = append(result, entry)
		}
	}
	for name, value := range over {
		result = append(result, name+"="+value)
	}
	slices.SortFunc(result, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return cmp.Compare(nameA, nameB)
	})
	return result
}
