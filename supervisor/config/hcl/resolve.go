package hclconfig

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sys/unix"
)

// defaultPath is where commands are looked for if the child has no PATH.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// search is what the place of a command depends on.
type search struct{ command, dir, path string }

type lookup struct {
	path string
	err  error
}

// finish turns values into what a run is made of, and checks them against each
// other and, unless lenient, against the machine. The environment is env, or
// made from the values where that is nil.
func (d *decoder) finish(c *childBlock, v *childValues, env []string, lenient bool) hcl.Diagnostics {
	diags := c.checkTogether(v)
	if c.probed() {
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
			diags = append(diags, d.giveEnviron(c, v, id.login)...)
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
		return diags // what else there is, is relative to it
	}
	if v.launch.Command != "" && !c.failed["command"] && v.launch.Env != nil && !c.environFailed() {
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
		diags = append(diags, d.findProbe(c, v, &check.Probe, "check."+check.Name+".exec", dir)...)
	}
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

// findProbe resolves the command of a probe, if it has one.
func (d *decoder) findProbe(c *childBlock, v *childValues, p *config.Probe, path, dir string) hcl.Diagnostics {
	if len(p.Exec) == 0 || v.launch.Env == nil || c.environFailed() {
		return nil
	}
	var err error
	if p.ExecPath, err = d.find(p.Exec[0], dir, searchPath(v.launch.Env)); err != nil {
		return hcl.Diagnostics{fault(c.at(path), "Command not found", "%v", err)}
	}
	return nil
}

// hostPort is the address that a URL leads to, which is valid or empty.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// checkTogether finds values that are right by themselves and not together.
func (c *childBlock) checkTogether(v *childValues) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if r := v.policy.Restart; r.Delay > r.MaxDelay && !c.failed["restart.delay"] && !c.failed["restart.max_delay"] {
		place := c.at("restart.delay")
		if _, ok := c.setting("restart.delay"); !ok {
			place = c.at("restart.max_delay")
		}
		diags = diags.Append(fault(place, "Delays contradict each other", "The delay (%v) grows up to max_delay, which is less (%v).", r.Delay, r.MaxDelay))
	}
	if s, ok := c.setting("ready.watchdog"); ok && !v.ready.Notify && !c.failed["ready.notify"] {
		diags = diags.Append(fault(&s.place, "Nobody to watch", "A watchdog waits for WATCHDOG=1, which a child sends that notifies: it needs notify = true."))
	}
	if s, ok := c.setting("ready.log"); ok && v.unread() {
		diags = diags.Append(fault(&s.place, "Nothing to match", "The logs block sends what the child prints past the supervisor, which sees no line."))
	}
	if s, ok := c.setting("ready.tcp"); ok && v.listensOn(v.ready.TCP) {
		diags = diags.Append(fault(&s.place, "Nothing to go by", "The supervisor itself listens on this address, as a listen block says, so that a connect says nothing of the child. On an address of a `listen` block use notify, log or exec."))
	}
	if s, ok := c.setting("ready.http"); ok && v.listensOn(hostPort(v.ready.HTTP)) && (v.strategy == config.Overlap || len(c.numbers) > 1) {
		diags = diags.Append(fault(&s.place, "Anybody answers", "Each run has the socket of this address, which a listen block opens: another instance, or the run that is to be replaced, answers for a new one. Use notify, log or exec."))
	}
	if v.policy.Oneshot && v.policy.Restart.On == "always" && !c.failed["restart.on"] {
		diags = diags.Append(fault(c.at("restart.on"), "A oneshot that never ends", "A oneshot completes with its first success, and this one would be restarted after it."))
	}
	if v.policy.Descendants == config.LeaveDescendants && v.policy.KillScope != lifecycle.ScopeProcess && !c.failed["descendants"] && !c.failed["kill_scope"] {
		diags = diags.Append(fault(c.at("descendants"), "Descendants are left and signalled",
			"descendants = \"leave\" lets them run on, and kill_scope = %s sends them the signals of each stop. Add kill_scope = \"process\", or remove descendants.", quote(string(v.policy.KillScope))))
	}
	_, given := c.setting("on_failure")
	v.policy.DefaultOnFailure = !given
	v.policy.OverlapUpdate = v.strategy == config.Overlap
	if v.policy.OverlapUpdate && v.policy.Oneshot && !c.failed["restart.strategy"] {
		diags = diags.Append(fault(c.at("restart.strategy"), "A oneshot that overlaps", "A oneshot is there to end, and the new run would wait for nothing. Leave out the strategy."))
	}
	if _, ok := c.setting("kill_sequence"); ok {
		for _, path := range []string{"kill_signal", "kill_timeout", "diagnose_signal"} {
			if _, ok := c.setting(path); ok {
				diags = diags.Append(fault(c.at(path), "Two ways to stop it", "There is a kill_sequence in line %d, which has all signals and how long each may take. Leave out %s, or the ladder.", c.at("kill_sequence").Start.Line, path))
			}
		}
	}
	if v.policy.KillSequence != nil {
		v.policy.KillSignal, v.policy.KillTimeout = v.policy.KillSequence[0].Signal, 0
		for _, r := range v.policy.KillSequence {
			v.policy.KillTimeout += r.Wait
		}
	}
	if v.launch.Logs.Format == config.LogInherit && !c.failed["logs.format"] {
		for _, s := range v.sinks() {
			if strings.Contains(*s.sink, "/") {
				diags = diags.Append(fault(c.at(s.path), "Invalid value for "+s.path, "With the format inherit a child writes to the supervisor's own stdout or stderr; a file needs another format."))
			}
		}
	}
	return diags
}

// unread reports whether the supervisor reads nothing of what the child prints.
func (v *childValues) unread() bool {
	l := v.launch.Logs
	return l.Format == config.LogInherit || l.Stdout == config.LogNone && l.Stderr == config.LogNone
}

type sinkOf struct {
	path string
	sink *string
}

func (v *childValues) sinks() []sinkOf {
	return []sinkOf{{"logs.stdout", &v.launch.Logs.Stdout}, {"logs.stderr", &v.launch.Logs.Stderr}}
}

func searchPath(environ []string) string {
	for _, entry := range environ {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			return path
		}
	}
	return defaultPath
}

// environmentPaths are the attributes that make an environment.
var environmentPaths = []string{"env", "env_file", "env_clear", "user"}

func (c *childBlock) environFailed() bool {
	return slices.ContainsFunc(environmentPaths, func(path string) bool { return c.failed[path] })
}

// find resolves a command as execvp(3) would in dir, to an absolute path. Its
// error is a sentence for a person.
func (d *decoder) find(command, dir, path string) (string, error) {
	key := search{command, dir, path}
	result, ok := d.found[key]
	if !ok {
		result.path, result.err = find(command, dir, path)
		d.found[key] = result
	}
	return result.path, result.err
}

// remote is [IsRemote] of a program, which many instances may have.
func (d *decoder) remote(path string) bool {
	far, ok := d.far[path]
	if !ok {
		far = config.IsRemote(path)
		d.far[path] = far
	}
	return far
}

func find(command, dir, path string) (string, error) {
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
		return "", wrong("%s has no program in PATH; %v", quote(command), seen)
	}
	const most = 512
	if len(path) > most {
		path = path[:most] + "…"
	}
	return "", wrong("There is no program %s in PATH (%s).", quote(command), path)
}

// notThere is a [detail] about a file that does not exist.
type notThere struct{ detail }

func (notThere) Is(target error) bool { return target == fs.ErrNotExist }

func checkExecutable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		return notThere{detail(quote(file) + " is not there.")}
	case err != nil:
		return wrong("%s cannot be looked at: %v.", quote(file), errors.Unwrap(err))
	case info.IsDir():
		return wrong("%s is a directory.", quote(file))
	case !info.Mode().IsRegular():
		return wrong("%s is not a regular file.", quote(file))
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS); err != nil {
		return wrong("%s is not executable.", quote(file))
	}
	return nil
}

func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wrong("The directory %s is not there.", quote(dir))
	case err != nil:
		return wrong("The directory %s cannot be looked at: %v.", quote(dir), errors.Unwrap(err))
	case !info.IsDir():
		return wrong("%s is not a directory.", quote(dir))
	}
	return nil
}

func checkLogFile(file string) error {
	if err := checkDirectory(filepath.Dir(file)); err != nil {
		return err
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return wrong("%s is a directory.", quote(file))
	}
	return nil
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
