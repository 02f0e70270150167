package hclconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

// finish checks the values of an instance against each other and resolves its user, environment,
// paths and commands. If lenient is set it does not read from the machine. env is the environment
// of the instance; if it is nil, finish computes it.
func (d *decoder) finish(
	c *childBlock, v *childValues, env []string, lenient bool,
) hcl.Diagnostics {
	diags := c.checkTogether(v)
	if c.hasReady() {
		ready := v.ready
		v.launch.Ready = &ready
	}
	if lenient {
		return diags
	}
	if !c.failed["user"] && !c.failed["group"] {
		id, attribute, err := d.identify(v.user, v.group)
		if err != nil {
			return diags.Append(fault(c.at(attribute), "Invalid value for "+attribute, "%v", err))
		}
		b := &v.launch.Attributes
		b.UID, b.GID, b.Groups = id.uid, id.gid, id.groups
		if v.launch.Env = env; env == nil {
			diags = append(diags, d.setEnviron(c, v, id.login)...)
		}
	}
	dir := d.wd
	if v.launch.Dir != "" && !c.failed["cwd"] {
		dir = absolute(d.wd, v.launch.Dir)
		v.launch.Dir = dir
		if err := checkDirectory(dir); err != nil {
			return diags.Append(fault(c.at("cwd"), "Invalid value for cwd", "%v", err))
		}
	}
	if c.failed["cwd"] {
		return diags // the other paths are relative to it
	}
	diags = append(diags, d.findCommands(c, v, dir)...)
	for _, s := range v.sinks() {
		if !strings.Contains(*s.sink, "/") || c.failed[s.path] {
			continue
		}
		*s.sink = absolute(dir, *s.sink)
		if err := checkLogFile(*s.sink); err != nil {
			diags = diags.Append(fault(c.at(s.path), "Invalid value for "+s.path, "%v", err))
		}
	}
	return diags
}

// identify resolves a user and a group. Each can be empty. With an error it returns the name of
// the attribute that has the fault.
func (d *decoder) identify(user, group string) (id identity, attribute string, err error) {
	if user == "" && group == "" {
		return id, "", nil
	}
	if d.users == nil {
		if d.users, err = d.opt.readAccounts(passwdFile, 6); err != nil {
			return id, "user", err
		}
		if d.groups, err = d.opt.readAccounts(groupFile, 4); err != nil {
			return id, "group", err
		}
	}
	attribute = "group"
	if user != "" {
		attribute = "user"
		if id, err = d.users.user(user); err != nil {
			return id, attribute, err
		}
	}
	if group != "" {
		if id.gid, err = d.groups.group(group); err != nil {
			return id, "group", err
		}
	}
	id.groups = d.groups.of(id.login["USER"], *id.gid)
	return id, attribute, id.allow()
}

// findCommands resolves the command of the child and those of its probes.
func (d *decoder) findCommands(c *childBlock, v *childValues, dir string) hcl.Diagnostics {
	if v.launch.Env == nil || c.environFailed() {
		return nil // PATH is unknown
	}
	var diags hcl.Diagnostics
	if v.launch.Command != "" && !c.failed["command"] {
		path, err := d.find(v.launch.Command, dir, searchPath(v.launch.Env))
		v.launch.OnRemoteFS = err == nil && d.remote(path)
		if err != nil {
			diags = diags.Append(fault(c.at("command"), "Command not found", "%v", err))
		}
		v.launch.Path = path
	}
	if r := v.launch.Ready; r != nil {
		diags = append(diags, d.findProbe(c, v, &r.Probe, "ready.exec", dir)...)
	}
	v.policy.Checks = slices.Clone(v.policy.Checks)
	for i := range v.policy.Checks {
		check := &v.policy.Checks[i]
		path := "check." + check.Name + ".exec"
		diags = append(diags, d.findProbe(c, v, &check.Probe, path, dir)...)
	}
	return diags
}

// findProbe resolves the command of a probe, if it has one.
func (d *decoder) findProbe(
	c *childBlock, v *childValues, p *config.Probe, path, dir string,
) hcl.Diagnostics {
	if len(p.Exec) == 0 {
		return nil
	}
	var err error
	if p.ExecPath, err = d.find(p.Exec[0], dir, searchPath(v.launch.Env)); err != nil {
		return hcl.Diagnostics{fault(c.at(path), "Command not found", "%v", err)}
	}
	return nil
}

func searchPath(environ []string) string {
	for _, entry := range environ {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// find resolves a command to an absolute path, as execvp(3) does in dir. The error is a sentence
// for a diagnostic.
func (d *decoder) find(command, dir, path string) (string, error) {
	key := search{command, dir, path}
	result, ok := d.commands[key]
	if !ok {
		result.path, result.err = findCommand(command, dir, path)
		d.commands[key] = result
	}
	return result.path, result.err
}

// remote returns [config.IsRemote] of a program. The result is cached for other instances.
func (d *decoder) remote(path string) bool {
	remote, ok := d.remotes[path]
	if !ok {
		remote = config.IsRemote(path)
		d.remotes[path] = remote
	}
	return remote
}

// findCommand is find without the cache.
func findCommand(command, dir, path string) (string, error) {
	if strings.Contains(command, "/") {
		file := absolute(dir, command)
		return file, checkExecutable(file)
	}
	var seen error
	for _, entry := range filepath.SplitList(path) {
		file := filepath.Join(absolute(dir, entry), command)
		err := checkExecutable(file)
		if err == nil {
			return file, nil
		}
		if seen == nil && !errors.Is(err, fs.ErrNotExist) {
			seen = err
		}
	}
	if seen != nil {
		return "", invalid("No executable %s is in PATH: %v", quote(command), seen)
	}
	const most = 512
	if len(path) > most {
		path = path[:most] + "…"
	}
	return "", invalid("No program %s is in PATH (%s).", quote(command), path)
}

// notFoundError is the error of a file that does not exist.
type notFoundError struct{ valueError }

// Is makes it equal to [fs.ErrNotExist].
func (notFoundError) Is(target error) bool { return target == fs.ErrNotExist }

func checkExecutable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return notFoundError{valueError(quote(file) + " does not exist.")}
	case err != nil:
		return invalid("%s cannot be read: %v.", quote(file), errors.Unwrap(err))
	case info.IsDir():
		return invalid("%s is a directory.", quote(file))
	case !info.Mode().IsRegular():
		return invalid("%s is not a regular file.", quote(file))
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return invalid("%s is not executable.", quote(file))
	}
	return nil
}

func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return invalid("The directory %s does not exist.", quote(dir))
	case err != nil:
		return invalid("The directory %s cannot be read: %v.", quote(dir), errors.Unwrap(err))
	case !info.IsDir():
		return invalid("%s is not a directory.", quote(dir))
	}
	return nil
}

func checkLogFile(file string) error {
	if err := checkDirectory(filepath.Dir(file)); err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return invalid("%s is a directory.", quote(file))
	}
	return nil
}
