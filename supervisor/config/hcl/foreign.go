package hclconfig

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

// foreignInChild are names of other programs for what a child block has, in the form of plainName.
// They are those of systemd, Docker Compose, supervisord, process-compose, Nomad and Kubernetes.
var foreignInChild = sync.OnceValue(func() map[string]string {
	return namesOf([][2]string{
		{"environment environments envs envvars environ", "Use `env = { NAME = \"value\" }`."},
		{"environmentfile envfiles", "Use `env_file`."},
		{"workingdir workingdirectory workdir directory dir chdir pwd", "Use `cwd`."},
		{"stopsignal shutdownsignal", "Use `kill_signal`."},
		{"stopgraceperiod stopwaitsecs timeoutstopsec stoptimeout killdelay timeoutseconds " +
			"terminationgraceperiodseconds gracefultimeout", "Use `kill_timeout = \"10s\"`."},
		{"killmode stopasgroup killasgroup", "Use `kill_scope`."},
		{"autorestart restartpolicy respawn availability", "Use `restart { on = \"failure\" }`."},
		{"startretries maxrestarts startlimitburst retries", "Use `restart { attempts = 5 }`."},
		{"restartsec restartdelay backoffseconds backoff", "Use `restart { delay = \"200ms\" }`."},
		{"autostart enabled enable", "Every child is started, except with `disabled = true`."},
		{"priority requires wants after bindsto needs dependencies", "Use `depends_on`."},
		{"exitcodes successexitstatus successexitcodes", "Use `success_codes`."},
		{"stdoutlogfile standardoutput loglocation logfile stdout",
			"Use `logs { stdout = \"/var/log/x.log\" }`."},
		{"stderrlogfile standarderror stderr", "Use `logs { stderr = \"/var/log/x.log\" }`."},
		{"redirectstderr", "Use `logs { stderr = \"stdout\" }`, the default."},
		{"numprocs replicas scale instances numproc processes", "Use `count`."},
		{"execstart exec cmd program entrypoint executable run script binary",
			"Use `command = \"server\"`, with the arguments in `args`."},
		{"arguments argv params parameters", "Use `args`."},
		{"execstartpre prestart",
			"Use `hooks { pre_start = [\"./prepare\"] }`, or a oneshot with `depends_on`."},
		{"init initcontainer", "Use a child with `oneshot = true`, and `depends_on`."},
		{"execreload reload", "Use `reload_signal`."},
		{"execstop prestop shutdown stopcommand",
			"Use `stop { exec = [\"./stop\"] }`, `kill_signal` or `kill_sequence`."},
		{"execstoppost poststop finish", "Use `hooks { post_stop = [\"./cleanup\"] }`."},
		{"type", "Use `oneshot = true`, or `ready { notify = true }`."},
		{"image build dockerfile", "A child is a program, not an image. Use `command`."},
		{"nicelevel niceness", "Use `nice`."},
		{"oomscoreadjust", "Use `oom_score_adj`."},
		{"limitnofile ulimits ulimit limits nofile", "Use `rlimits { nofile = 4096 }`."},
		{"watchdogsec watchdog",
			"Use `ready { notify = true, watchdog = \"10s\" }` on several lines."},
		{"healthcheck health livenessprobe liveness probe",
			"Use `check \"alive\" { http = \"http://…\" }`, or tcp or exec."},
		{"readinessprobe readiness startupprobe startsecs readylogline",
			"Use a `ready` block, with tcp, http, exec, log or notify."},
		{"ports expose port",
			"A child opens its ports itself. For a socket that stays open use `listen`."},
		{"volumes networks network",
			"A child runs in the container of the supervisor. Remove this."},
		{"driver config task", "Write `command` and `args` in the child block itself."},
		{"leader main essential", "Use `critical = true`."},
		{"uid username runas", "Use `user`."},
		{"gid groupname", "Use `group`."},
		{"isdaemon daemon daemonize",
			"Start the program in the foreground; see also `descendants`."},
		{"processname", "The name is the label of the block, as in child \"server\" { … }."},
		{"shell", "The supervisor starts no shell. Use `command = [\"sh\", \"-c\", \"…\"]`."},
		{"resources", "Use an `rlimits` block."},
		{"template", "Use `env` or `env_file`."},
	})
})

const useChild = "Use `child \"server\" { … }` for each program."

// foreignInFile are names of other programs for what a file has.
var foreignInFile = sync.OnceValue(func() map[string]string {
	return namesOf([][2]string{
		{"service services program programs process processes task tasks job group unit " +
			"worker app apps command container containers children", useChild},
		{"loglevel", "Use `log_level`."},
		{"logformat", "Use `log_format`."},
		{"deadline stoptimeout graceperiod timeout killtimeout",
			"Use `shutdown { deadline = \"9s\" }`."},
		{"pidfile", "Use the flag --pid-file."},
		{"nodaemon daemon foreground", "The supervisor always runs in the foreground."},
		{"environment env", "Use `env` in each child block."},
		{"var vars variables", "Use `variable \"name\" { default = … }`."},
		{"local", "Use `locals { … }`."},
		{"includes import files", "Use `include = [\"conf.d/*.hcl\"]`."},
		{"supervisord supervisor", "Write the attributes of the supervisor outside of blocks."},
		{"version", "A configuration has no version."},
	})
})

// namesOf returns a table with one entry for each name. A group has names and their hint.
func namesOf(groups [][2]string) map[string]string {
	table := map[string]string{}
	for _, group := range groups {
		for name := range strings.FieldsSeq(group[0]) {
			table[name] = group[1]
		}
	}
	return table
}

// plainName returns a name in lower case, without underscores and dashes.
func plainName(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

var unexpectedName = lazyPattern(`^(?:An argument named|Blocks of type) "([^"]+)"`)

// hintAtForeign replaces the proposals of HCL for names of other programs.
func hintAtForeign(diags hcl.Diagnostics, table func() map[string]string) {
	for _, d := range diags {
		m := unexpectedName().FindStringSubmatch(d.Detail)
		if m == nil || table == nil {
			continue
		}
		if hint := table()[plainName(m[1])]; hint != "" {
			d.Detail = m[0] + " are not expected here. " + hint
			if strings.HasPrefix(m[0], "An argument") {
				d.Detail = m[0] + " is not expected here. " + hint
			}
		}
	}
}

var (
	sectionLine  = lazyPattern(`^\[([A-Za-z][\w:. -]*)\]\s*$`)
	keyLine      = lazyPattern(`^([A-Za-z][\w.-]*):(\s+\S.*)?$`)
	procfileLine = lazyPattern(`^[A-Za-z][\w-]*:\s*[^\s|>&*\[{"'].*$`)
)

// foreignFormat returns the fault of a file that has another format than HCL, or nil. The file has
// a syntax error.
func foreignFormat(name string, src []byte) *hcl.Diagnostic {
	number, first, procfile := 0, "", true
	for line := range bytes.Lines(src[:min(len(src), 64<<10)]) {
		text := strings.TrimRight(string(line), " \t\r\n")
		if first == "" {
			number++
		}
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		if first == "" {
			first = text
		}
		procfile = procfile && procfileLine().MatchString(text)
	}
	what := ""
	section := sectionLine().FindStringSubmatch(first)
	key := keyLine().FindStringSubmatch(first)
	switch {
	case section != nil:
		what = iniFormat(section[1])
	case key != nil && (procfile || strings.HasPrefix(filepath.Base(name), "Procfile")):
		what = "a Procfile"
	case first == "---" || key != nil:
		what = yamlFormat(src)
	case strings.HasPrefix(first, "{"):
		return fault(fileRange(name), "Not an HCL file", "The file looks like JSON. The name of a "+
			"configuration in JSON must end in .json.")
	default:
		return nil
	}
	place := fileRange(name)
	place.Start.Line, place.End.Line = number, number
	place.Start.Byte = bytes.Index(src, []byte(first))
	place.End.Byte = place.Start.Byte + len(first)
	return fault(place, "Not an HCL file", "The file looks like %s. A configuration is HCL, with "+
		"a block such as child \"web\" { command = \"server\" } for each program. `supervisor "+
		"init --print` shows an example.", what)
}

func iniFormat(section string) string {
	switch kind, _, _ := strings.Cut(strings.ToLower(section), ":"); kind {
	case "program", "supervisord", "unix_http_server", "supervisorctl", "group", "eventlistener":
		return "a file of supervisord (INI)"
	case "unit", "service", "install", "socket", "timer":
		return "a unit of systemd (INI)"
	}
	return "an INI or TOML file"
}

func yamlFormat(src []byte) string {
	for line := range bytes.Lines(src) {
		switch key, _, _ := strings.Cut(string(line), ":"); key {
		case "services":
			return "a Compose file (YAML)"
		case "processes":
			return "a file of process-compose (YAML)"
		case "apiVersion":
			return "a Kubernetes manifest (YAML)"
		}
	}
	return "YAML"
}

var upperName = lazyPattern(`^[A-Z_][A-Z0-9_]*$`)

const needsQuotes = " A string needs quotes."

// unknownNameHint returns what to write in place of a name that HCL does not know.
func unknownNameHint(name string, variables, locals bool) string {
	switch {
	case variables:
		return fmt.Sprintf(" Did you mean var.%s?", name)
	case locals:
		return fmt.Sprintf(" Did you mean local.%s?", name)
	case name == "env":
		return ` env is a function: write env("HOME").`
	case name == "count" || name == "each":
		return " The number of an instance is index."
	case upperName().MatchString(name):
		return fmt.Sprintf(" For an environment variable of the supervisor write env(%q). For a "+
			"shell write $${%s}, or $%s without braces.", name, name, name)
	}
	return fmt.Sprintf("%s In a string, $${%s} stands for the text ${%s}.", needsQuotes, name, name)
}

// hintAtTemplates adds to the faults of templates how their characters are written in a string.
func hintAtTemplates(diags hcl.Diagnostics) {
	for _, d := range diags {
		switch d.Summary {
		case "Invalid template control keyword":
			name, _, _ := strings.Cut(strings.TrimPrefix(d.Detail, `"`), `"`)
			d.Detail += fmt.Sprintf(" To write %%{ in a string, double the percent sign: %%%%{%s}.",
				name)
		case "Extra characters after interpolation expression":
			d.Detail = "To write ${ in a string, for a shell, double the dollar sign: " +
				"$${NAME:-8080}. For an environment variable with a default write " +
				`${env("NAME", "8080")}.`
		}
	}
}
