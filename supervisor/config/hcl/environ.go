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
	maxEnvFile   = 256 << 10 // bytes; the kernel takes 2 MiB of arguments and environment by default
	maxEnvFaults = 10        // told of one file
)

// environment is what a child has before its env: the supervisor's own, the
// variables of its user, those of its files; each goes over those before it.
type environment struct {
	entries []string
	read    int // variables that came from files
	faults  []string
}

// environmentOf returns the same environment for the same values: instances
// share it. Paths are relative to dir, that of the file that has them.
func (d *decoder) environmentOf(v *childValues, dir string, login map[string]string) *environment {
	key := fmt.Sprintf("%q %q %v %q", dir, v.envFile, v.envClear, login)
	if e := d.bases[key]; e != nil {
		return e
	}
	e := &environment{entries: d.environ}
	if v.envClear {
		e.entries = []string{"PATH=" + defaultPath}
	}
	over := maps.Clone(login)
	for _, file := range v.envFile {
		path := absolute(dir, file)
		d.opt.saw(path)
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
	d.bases[key] = e
	return e
}

// giveEnviron gives a child its environment.
func (d *decoder) giveEnviron(c *childBlock, v *childValues, login map[string]string) (diags hcl.Diagnostics) {
	base := d.environmentOf(v, absolute(d.wd, filepath.Dir(c.at("env_file").Filename)), login)
	for _, f := range base.faults {
		diags = diags.Append(fault(c.at("env_file"), "Invalid value for env_file", "%s", f))
	}
	told := d.over()
	if d.steps += float64(base.read); d.over() && !told {
		return diags.Append(fault(c.at("env_file"), "Too much to evaluate", "With so many instances the variables of this file are more than a configuration should have."))
	}
	v.launch.Env = assign(base.entries, v.env)
	return diags
}

// parseEnvFile reads variables as `docker run --env-file` does. What a fault
// says has nothing of the line, which may be part of a secret.
func parseEnvFile(src []byte, own map[string]string) (vars map[string]string, faults []string) {
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
			what = "this is not text: it must be UTF-8 without NUL bytes."
		case name == "":
			what = `there is no name before the "=".`
		case strings.HasPrefix(name, "export "):
			what = `this is no shell script: leave out "export".`
		case strings.ContainsAny(name, " \t"):
			what = "the name has a blank in it; a line is NAME=value."
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
