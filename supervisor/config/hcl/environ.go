package hclconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/envfile"
	"tp0/supervisor/program"
)

// environmentOf returns the environment of a child without env. paths is env_file, and clear is
// env_clear. Instances with the same values share it. login are the variables of the user. Paths
// are relative to dir, the directory of the file that has them.
func (d *decoder) environmentOf(
	paths []string, clear bool, dir string, login map[string]string,
) *environment {
	key := fmt.Sprintf("%q %q %v %q", dir, paths, clear, login)
	if e := d.environments[key]; e != nil {
		return e
	}
	e := &environment{entries: d.environ}
	if clear {
		e.entries = []string{"PATH=" + program.DefaultPath}
	}
	over := maps.Clone(login)
	for _, file := range paths {
		path := absolute(dir, file)
		d.opt.reportRead(path)
		src, err := d.opt.readAtMost(path, envfile.MaxSize)
		if err != nil {
			e.faults = append(e.faults, fmt.Sprintf("The file cannot be read: %v.", err))
			continue
		}
		vars, faults := envfile.Parse(src, d.env)
		for _, f := range faults[:min(len(faults), envfile.MaxFaults)] {
			e.faults = append(e.faults, fmt.Sprintf("%s, %s", quote(file), f))
		}
		if over == nil {
			over = map[string]string{}
		}
		maps.Copy(over, vars)
		e.read += len(vars)
	}
	if len(over) > 0 {
		e.entries = envfile.Assign(e.entries, over)
	}
	d.environments[key] = e
	return e
}

// setEnviron computes the environment of an instance.
func (d *decoder) setEnviron(
	c *childBlock, v *childValues, login map[string]string,
) (diags hcl.Diagnostics) {
	dir := absolute(d.wd, directoryOf(c.at("env_file").Filename))
	paths := v.envFile
	if c.late {
		v.launch.LateEnv, paths = lateEnv(v, dir), nil
		v.launch.LateEnv.Strict = d.opt.RefuseDoubts && len(v.envFile) > 0
		diags = d.checkLateEnv(c, v.launch.LateEnv.Paths)
	}
	base := d.environmentOf(paths, v.envClear, dir, login)
	for _, f := range base.faults {
		diags = diags.Append(fault(c.at("env_file"), "Invalid value for env_file", "%s", f))
	}
	before := d.over()
	if d.steps += float64(base.read); d.over() && !before {
		return diags.Append(fault(c.at("env_file"), "Too many evaluation steps",
			"The variables of this file, for all instances, exceed the limit of %.0f steps.",
			float64(maxWork)))
	}
	v.launch.Env = envfile.Assign(base.entries, v.env)
	return diags
}

// checkLateEnv looks for doubts about files that are read when the child starts, as the read of a
// file does. A file that does not exist yet is checked again then, with --strict-config only.
func (d *decoder) checkLateEnv(c *childBlock, paths []string) (diags hcl.Diagnostics) {
	for _, path := range paths {
		if err := d.opt.check(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			diags = diags.Append(fault(c.at("env_file"), "Invalid value for env_file", "%v.", err))
		}
	}
	return diags
}

// lateEnv returns the files of env_file as files that are read when the child starts.
func lateEnv(v *childValues, dir string) (late envfile.Late) {
	for _, file := range v.envFile {
		late.Paths = append(late.Paths, absolute(dir, file))
	}
	if len(late.Paths) > 0 {
		late.Fixed, late.Clear = slices.Sorted(maps.Keys(v.env)), v.envClear
	}
	return late
}
