package hclconfig

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

const (
	maxEnvFile   = 256 << 10 // bytes; execve(2) takes 2 MiB of arguments and environment by default
	maxEnvFaults = 10        // reported for a file
)

// environmentOf returns the environment of a child without env. Instances with the same values
// share it. login are the variables of the user. Paths are relative to dir, the directory of the
// file that has them.
func (d *decoder) environmentOf(
	v *childValues, dir string, login map[string]string,
) *environment {
	key := fmt.Sprintf("%q %q %v %q", dir, v.envFile, v.envClear, login)
	if e := d.environments[key]; e != nil {
		return e
	}
	e := &environment{entries: d.environ}
	if v.envClear {
		e.entries = []string{"PATH=" + defaultPath}
	}
	over := maps.Clone(login)
	for _, file := range v.envFile {
		path := absolute(dir, file)
		d.opt.reportRead(path)
		src, err := d.opt.readAtMost(path, maxEnvFile)
		if err != nil {
			e.faults = append(e.faults, fmt.Sprintf("The file cannot be read: %v.", err))
			continue
		}
		vars, faults := parseEnvFile(src, d.env)
		for _, f := range faults[:min(len(faults), maxEnvFaults)] {
			e.faults = append(e.faults, fmt.Sprintf("%s, %s", quote(file), f))
		}
		if over == nil {
			over = map[string]string{}
		}
		maps.Copy(over, vars)
		e.read += len(vars)
	}
	if len(over) > 0 {
		e.entries = assign(e.entries, over)
	}
	d.environments[key] = e
	return e
}

// setEnviron computes the environment of an instance.
func (d *decoder) setEnviron(
	c *childBlock, v *childValues, login map[string]string,
) (diags hcl.Diagnostics) {
	dir := absolute(d.wd, filepath.Dir(c.at("env_file").Filename))
	base := d.environmentOf(v, dir, login)
	for _, f := range base.faults {
		diags = diags.Append(fault(c.at("env_file"), "Invalid value for env_file", "%s", f))
	}
	before := d.over()
	if d.steps += float64(base.read); d.over() && !before {
		return diags.Append(fault(c.at("env_file"), "Too many evaluation steps",
			"The variables of this file, for all instances, exceed the limit of %.0f steps.",
			float64(maxWork)))
	}
	v.launch.Env = assign(base.entries, v.env)
	return diags
}

// parseEnvFile reads variables as `docker run --env-file` does. A fault does not quote the line,
// which can be part of a secret.
func parseEnvFile(
	src []byte, own map[string]string,
) (vars map[string]string, faults []string) {
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
