package hclconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
	"tp0/supervisor/program"
)

// finish checks the values of an instance against each other and resolves its user, environment,
// paths and commands. What a oneshot before the child can make is not read: the start of the child
// reads it. If lenient is set it does not read from the machine. env is the environment
// of the instance; if it is nil, finish computes it.
func (d *decoder) finish(
	c *childBlock, v *childValues, env []string, lenient bool,
) hcl.Diagnostics {
	diags := c.checkTogether(v)
	if len(v.commandArgs) > 0 { // else the instances share the arguments
		v.launch.Args = slices.Concat(v.commandArgs, v.launch.Args)
	}
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
		if err := checkDirectory(dir); err != nil && !c.late {
			return diags.Append(fault(c.at("cwd"), "Invalid value for cwd", "%v", err))
		}
	}
	if c.failed["cwd"] {
		return diags // the other paths are relative to it
	}
	if !c.late {
		diags = append(diags, d.findCommands(c, v, dir)...)
	}
	for _, s := range v.sinks() {
		if !strings.Contains(*s.sink, "/") || c.failed[s.path] {
			continue
		}
		*s.sink = absolute(dir, *s.sink)
		if err := d.checkInTime(checkLogFile, *s.sink); err != nil && !c.late {
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
	if attribute, err = d.loadAccounts(); err != nil {
		return id, attribute, err
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

// loadAccounts reads the names of users and groups once. With an error it returns the name of the
// attribute that needs them.
func (d *decoder) loadAccounts() (attribute string, err error) {
	if d.users != nil {
		return "", nil
	}
	if d.users, err = d.opt.readAccounts(passwdFile, 6); err != nil {
		return "user", err
	}
	if d.groups, err = d.opt.readAccounts(groupFile, 4); err != nil {
		return "group", err
	}
	return "", nil
}

// resolveOwner resolves the user and the group of a unix socket. Each can be empty. With an error
// it returns the name of the attribute that has the fault.
func (d *decoder) resolveOwner(o *config.SocketOwner) (attribute string, err error) {
	if o.User == "" && o.Group == "" {
		return "", nil
	}
	if attribute, err = d.loadAccounts(); err != nil {
		return attribute, err
	}
	attribute, o.UID = "group", uint32(os.Geteuid())
	if o.User != "" {
		attribute = "user"
		id, err := d.users.user(o.User)
		if err != nil {
			return attribute, err
		}
		o.UID, o.GID = *id.uid, *id.gid
	}
	if o.Group != "" {
		gid, err := d.groups.group(o.Group)
		if err != nil {
			return "group", err
		}
		o.GID = *gid
	}
	return attribute, mayGive(o)
}

// findCommands resolves the command of the child and those of its probes.
func (d *decoder) findCommands(c *childBlock, v *childValues, dir string) hcl.Diagnostics {
	if v.launch.Env == nil || c.environFailed() {
		return nil // PATH is unknown
	}
	var diags hcl.Diagnostics
	if v.launch.Command != "" && !c.failed["command"] {
		path, err := d.find(v.launch.Command, dir, program.SearchPath(v.launch.Env))
		v.launch.OnRemoteFS = err == nil && d.remote(path)
		if err != nil {
			diags = diags.Append(notFound(c.at("command"), withArgs(v.launch.Command, err)))
		}
		v.launch.Path = path
		diags = append(diags, d.warnIgnored(c.at("command"), v.launch.Command, v.launch.Env)...)
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
	return append(diags, d.findHooks(c, v, dir)...)
}

// findProbe resolves the command of a probe, if it has one.
func (d *decoder) findProbe(
	c *childBlock, v *childValues, p *config.Probe, path, dir string,
) hcl.Diagnostics {
	if len(p.Exec) == 0 {
		return nil
	}
	var err error
	if p.ExecPath, err = d.find(p.Exec[0], dir, program.SearchPath(v.launch.Env)); err != nil {
		return hcl.Diagnostics{notFound(c.at(path), err)}
	}
	return d.warnIgnored(c.at(path), p.Exec[0], v.launch.Env)
}

// findHooks resolves the commands of the hooks.
func (d *decoder) findHooks(c *childBlock, v *childValues, dir string) (diags hcl.Diagnostics) {
	for _, name := range config.HookNames {
		h := v.policy.Hooks.Named(name)
		path := hookPaths[name]
		if !h.Set() || c.failed[path] {
			continue
		}
		var err error
		if h.Path, err = d.find(h.Exec[0], dir, program.SearchPath(v.launch.Env)); err != nil {
			diags = diags.Append(notFound(c.at(path), err))
			continue
		}
		diags = append(diags, d.warnIgnored(c.at(path), h.Exec[0], v.launch.Env)...)
	}
	return diags
}

// warnIgnored warns of the entries of PATH that a look-up has ignored, once of each.
func (d *decoder) warnIgnored(place *hcl.Range, command string, environ []string) hcl.Diagnostics {
	if strings.Contains(command, "/") {
		return nil
	}
	_, ignored := program.Entries(program.SearchPath(environ), program.ByRoot())
	ignored = slices.DeleteFunc(ignored, func(entry string) bool {
		known := d.ignored[entry]
		d.ignored[entry] = true
		return known
	})
	if len(ignored) == 0 {
		return nil
	}
	w := fault(place, "Relative entry in PATH", "%s", program.Ignored(ignored))
	w.Severity = hcl.DiagWarning
	return hcl.Diagnostics{w}
}

// withArgs returns the error of a command that was not found. If the command looks like a line of a
// shell, the error says where the arguments go.
func withArgs(command string, err error) error {
	if len(strings.Fields(command)) < 2 || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	words, ok := splitWords(command)
	if !ok {
		words = []string{"sh", "-c", command}
	}
	list := quotedWords(words)
	return invalid("No shell reads the command, so %s is the name of a program. Put the arguments "+
		"in `args`, or write a list: command = [%s].", quote(command), list)
}

// splitWords splits a line at its blanks, as a shell does. ok is false if it needs a shell.
func splitWords(line string) (words []string, ok bool) {
	var word strings.Builder
	inWord, quoted := false, rune(0)
	for _, r := range line {
		switch {
		case quoted != 0 && r == quoted:
			quoted = 0
		case quoted == 0 && (r == '\'' || r == '"'):
			quoted, inWord = r, true
		case quoted == 0 && strings.ContainsRune("|&;<>$`*?\\()#~", r), quoted == '"' &&
			strings.ContainsRune("$`\\", r):
			return nil, false
		case quoted == 0 && (r == ' ' || r == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, quoted == 0
}

// quotedWords returns words as the elements of a list in HCL.
func quotedWords(words []string) string {
	escape := strings.NewReplacer("${", "$${", "%{", "%%{")
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = escape.Replace(strconv.Quote(word))
	}
	return strings.Join(quoted, ", ")
}

// notFound returns the fault of a command whose executable was not found.
func notFound(place *hcl.Range, err error) *hcl.Diagnostic {
	summary := "Command not found"
	if errors.As(err, new(*program.InterpreterError)) {
		summary = "Interpreter not found"
	}
	return fault(place, summary, "%v", err)
}

// find resolves a command to an absolute path, as execvp(3) does in dir. The error is a sentence
// for a diagnostic. The result is cached for other instances.
func (d *decoder) find(command, dir, path string) (string, error) {
	key := search{command, dir, path}
	result, ok := d.commands[key]
	if !ok {
		f := program.Finder{
			Dir: dir, Path: path, Root: program.ByRoot(), Read: d.readProgram,
			Names: d.opt.reader().Names,
		}
		result.path, result.err = f.Find(command)
		d.commands[key] = result
	}
	return result.path, result.err
}

// readProgram reads the start of a program, to check its interpreter. It does not read a program on
// a remote file system, because the read can block and the load with it.
func (d *decoder) readProgram(path string, most int) ([]byte, error) {
	if d.remote(path) {
		return nil, errRemoteProgram
	}
	return d.opt.reader().Read(path, most)
}

var errRemoteProgram = errors.New("the program is on a remote file system")

// remote returns [config.IsRemote] of a program. The result is cached for other instances.
func (d *decoder) remote(path string) bool {
	remote, ok := d.remotes[path]
	if !ok {
		remote = config.IsRemote(path)
		d.remotes[path] = remote
	}
	return remote
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

// The first check that does not return is waited for longer than the checks after it: their paths
// are often on the same file system.
const (
	checkTimeout     = time.Second
	nextCheckTimeout = 10 * time.Millisecond
)

// checkInTime checks a path on a file system that may not respond. It finds no fault then: the
// start of the child reports that. Nothing waits for the goroutine of such a check.
func (m *machineState) checkInTime(check func(path string) error, path string) error {
	result := make(chan error, 1)
	go func() { result <- check(path) }()
	wait := checkTimeout
	if m.blocked {
		wait = nextCheckTimeout
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-result:
		return err
	case <-timer.C:
		m.blocked = true
		return nil
	}
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
