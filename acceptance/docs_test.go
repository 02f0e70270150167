package acceptance

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tp0/supervisor/fixture/needs"
)

// notRun lists the commands of the pages that TestDocsCommands does not run, by their first
// words, with the reason. Their syntax, verbs, flags and make targets are checked all the same.
var notRun = map[string]string{
	"make":      "builds, installs or starts containers; TestMain builds the programs",
	"docker":    "needs an image; the tests of the image and of compose run such commands",
	"go test":   "runs tests, some of them for minutes",
	"go run":    "starts three Docker engines",
	"sha256sum": "needs the files of a release",
	"jq":        "is no program that the tests need",
}

// exitCodes lists the commands that exit with another code than 0, by their first words.
var exitCodes = map[string]int{
	"supervisor exec -v --term-after": 143, // the program has no handler for SIGTERM
}

// untilStopped lists the commands that run until they are stopped. The test sends SIGTERM
// once their log says that all children are ready.
var untilStopped = []string{"supervisor run"}

// duringRun lists the commands that ask a running supervisor. The test starts one first.
var duringRun = []string{"supervisor health", "supervisor status", "supervisor events"}

// docsPort is the port of the examples. The test puts a free one in its place.
const docsPort = "8000"

// shellBlock is a fenced block of shell commands in a page.
var shellBlock = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")

// inlineCommand is a command of the supervisor or of make within a sentence.
var inlineCommand = regexp.MustCompile("`((?:supervisor|make) [a-z-][^`\n]*)`")

// TestDocsCommands runs every command in the shell blocks of the pages, in a copy of what a
// reader has. A command of notRun is checked and not run. Commands within sentences are
// checked too.
func TestDocsCommands(t *testing.T) {
	needs.Check(t, "python")
	help := newHelp(t)
	used := map[string]bool{}
	for _, page := range docsPages(t) {
		t.Run(filepath.ToSlash(page), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", page))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range inlineCommand.FindAllStringSubmatch(string(text), -1) {
				help.check(t, m[1])
			}
			reader := newReader(t)
			if strings.Contains(string(text), "supervisor report stop") {
				reader.makeReports()
			}
			for _, m := range shellBlock.FindAllStringSubmatch(string(text), -1) {
				for _, command := range commandLines(m[1]) {
					help.check(t, command)
					reader.try(command, used)
				}
			}
		})
	}
	for prefix := range notRun {
		if !used[prefix] {
			t.Errorf("notRun lists %q, which is in no page", prefix)
		}
	}
}

// docsPages returns the paths of all pages, relative to the repository.
func docsPages(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := fs.Glob(os.DirFS(".."), pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 20 {
		t.Fatalf("pages: got %q, want README.md and all of docs", pages)
	}
	return pages
}

// pageLink is a link to a file of the repository, with an optional section of it.
var pageLink = regexp.MustCompile(`\]\(([^):#]*)(#[^)]*)?\)`)

// TestDocsLinks checks that each link of a page leads to a file, and to a section if that file
// is a page.
func TestDocsLinks(t *testing.T) {
	for _, page := range docsPages(t) {
		text, err := os.ReadFile(filepath.Join("..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pageLink.FindAllStringSubmatch(string(text), -1) {
			target := filepath.Join("..", page)
			if m[1] != "" {
				target = filepath.Join("..", filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %q leads to no file", page, m[1])
			} else if m[2] != "" && !slices.Contains(sections(t, target), m[2]) {
				t.Errorf("%s: %s has no section %q", page, target, m[2])
			}
		}
	}
}

// sections returns the anchors of the headings of a page, as GitHub makes them.
func sections(t *testing.T, page string) (anchors []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		words := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, "#"+strings.ReplaceAll(words, " ", "-"))
	}
	return anchors
}

// TestDocsFiles checks that each Go file that CONTRIBUTING.md names exists.
func TestDocsFiles(t *testing.T) {
	page, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("`(?:\\.\\./)*([a-z_/]+\\.go)`").FindAllSubmatch(page, -1)
	if len(files) < 10 {
		t.Fatalf("files of CONTRIBUTING.md: got %d, want 10 at least", len(files))
	}
	for _, m := range files {
		found := false
		for _, dir := range []string{"..", "../supervisor", "../supervisor/process"} {
			_, err := os.Stat(filepath.Join(dir, string(m[1])))
			found = found || err == nil
		}
		if !found {
			t.Errorf("CONTRIBUTING.md names %s, which does not exist", m[1])
		}
	}
}

// TestDocsTests checks that each test which docs/security.md names exists.
func TestDocsTests(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	err = filepath.WalkDir("..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		sources.Write(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllSubmatch(page, -1)
	if len(names) < 30 {
		t.Errorf("the page names %d tests, want 30 at least", len(names))
	}
	for _, m := range names {
		if !strings.Contains(sources.String(), fmt.Sprintf("\nfunc %s(", m[1])) {
			t.Errorf("the page names %s, which does not exist", m[1])
		}
	}
}

// TestDocsLogEvents checks that docs/reference/log-events.md has a row for each message of
// package event, and no other row but those of warnings.
func TestDocsLogEvents(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/log-events.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../supervisor/event/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	row := regexp.MustCompile("(?m)^\\| `([a-z ]+ [a-z ]+)` \\|")
	for _, m := range row.FindAllSubmatch(page, -1) {
		got = append(got, string(m[1]))
	}
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		constant := regexp.MustCompile(`(?m)^\s*Msg\w+\s*= "(.*)"$`)
		for _, m := range constant.FindAllSubmatch(source, -1) {
			want = append(want, string(m[1]))
		}
	}
	for _, message := range want {
		if !slices.Contains(got, message) {
			t.Errorf("the page has no row for %q", message)
		}
	}
	for _, message := range got {
		if !slices.Contains(want, message) && !isWarning(t, message) {
			t.Errorf("no event has the message %q of the page", message)
		}
	}
	if len(want) < 30 {
		t.Errorf("only %d messages are checked", len(want))
	}
}

// isWarning reports whether the source has a warning (event.Warning) with a message.
func isWarning(t *testing.T, message string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir("../supervisor", func(path string, _ os.DirEntry, err error) error {
		if err != nil || found || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path)
		found = strings.Contains(string(source), fmt.Sprintf("What: %q", message))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// commandLines returns the commands of a block: without comments, and with continued lines
// joined.
func commandLines(block string) (commands []string) {
	comment := regexp.MustCompile(`(^|\s+)#.*$`)
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		line = strings.TrimSpace(comment.ReplaceAllString(strings.TrimSuffix(line, "\n"), ""))
		if line != "" {
			commands = append(commands, line)
		}
	}
	return commands
}

// startsWith reports whether the words of a command start with those of prefix. Variables
// before the command do not count.
func startsWith(command, prefix string) bool {
	words, want := commandWords(command), strings.Fields(prefix)
	return len(words) >= len(want) && slices.Equal(words[:len(want)], want)
}

// commandWords returns the words of a command without the variables before it.
func commandWords(command string) []string {
	words := strings.Fields(command)
	for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
		words = words[1:]
	}
	if len(words) > 0 {
		words[0] = strings.TrimPrefix(words[0], "bin/")
	}
	return words
}

// reader has the directory of a person who follows a page. Its commands see the files that
// the commands before them made.
type reader struct {
	t    *testing.T
	dir  string
	port string
	env  []string
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir(), port: freePort(t)}
	for _, name := range []string{"supervisor.hcl", "compose.yaml", "Makefile"} {
		b, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(bin, filepath.Join(r.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SERVER_PORT="+freePort(t))
	return r
}

// makeReports makes the reports that a page reads.
func (r *reader) makeReports() {
	r.t.Helper()
	for _, name := range []string{"stop.html", "stop.json"} {
		cmd := r.shell("-c", "supervisor exec --report "+name+" -- true")
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Fatalf("%v\n%s", err, out)
		}
	}
}

// try runs a command, or checks its syntax if it is in notRun.
func (r *reader) try(command string, used map[string]bool) {
	r.t.Helper()
	for prefix := range notRun {
		if startsWith(command, prefix) {
			used[prefix] = true
			if out, err := r.shell("-n", "-c", command).CombinedOutput(); err != nil {
				r.t.Errorf("syntax of %q: %v\n%s", command, err, out)
			}
			return
		}
	}
	matches := func(prefix string) bool { return startsWith(command, prefix) }
	switch {
	case slices.ContainsFunc(untilStopped, matches):
		r.runUntilReady(command, "")
	case slices.ContainsFunc(duringRun, matches):
		r.runUntilReady("supervisor run", command)
	default:
		r.run(command)
	}
}

// run runs a command and compares its exit code with the one of exitCodes, or with 0.
func (r *reader) run(command string) {
	r.t.Helper()
	want := 0
	for prefix, code := range exitCodes {
		if startsWith(command, prefix) {
			want = code
		}
	}
	cmd := r.shell("-euo", "pipefail", "-c", command)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		r.t.Errorf("%q: exit code %d, want %d (%v); correct the page, or add to notRun\n%s",
			command, got, want, err, out)
	}
}

// shell returns bash with the command as its last argument. It is killed after 20 s.
func (r *reader) shell(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	r.t.Cleanup(cancel)
	last := len(args) - 1
	args[last] = strings.ReplaceAll(args[last], docsPort, r.port)
	cmd := exec.CommandContext(ctx, "bash", args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// runUntilReady runs a command until all its children are ready, runs during, and stops the
// command with SIGTERM. Both must exit with 0.
func (r *reader) runUntilReady(command, during string) {
	r.t.Helper()
	cmd := r.shell("-euc", "exec "+command)
	log := newLines()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		log.read(pipe)
	}()
	ready := func(line string) bool { return strings.Contains(line, "all children ready") }
	if _, _, err := log.find(0, ready); err != nil {
		r.t.Errorf("%q: the children are not ready: %v", command, err)
	} else if during != "" {
		if out, err := r.shell("-euc", during).CombinedOutput(); err != nil {
			r.t.Errorf("%q: %v\n%s", during, err, out)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Error(err)
	}
	<-read
	if err := cmd.Wait(); err != nil {
		r.t.Errorf("%q: %v\n%s", command, err, log.text())
	}
}

// help knows the verbs and flags of the supervisor, and the targets of make.
type help struct {
	verbs   map[string]string // the help text of each verb
	targets string            // the output of make help
}

// verbLine is the line of a verb in the help of the supervisor.
var verbLine = regexp.MustCompile(`^  ([a-z]+) +\S`)

func newHelp(t *testing.T) *help {
	t.Helper()
	h := &help{verbs: map[string]string{"completion": "", "help": ""}}
	for line := range strings.Lines(output(t, filepath.Join(bin, "supervisor"), "--help")) {
		m := verbLine.FindStringSubmatch(line)
		if m == nil || m[1] == "supervisor" {
			continue
		}
		if _, ok := h.verbs[m[1]]; !ok {
			h.verbs[m[1]] = output(t, filepath.Join(bin, "supervisor"), m[1], "--help")
		}
	}
	if len(h.verbs) < 8 {
		t.Fatalf("verbs: %v", h.verbs)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	h.targets = string(makefile)
	return h
}

// output returns what a program prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// check fails t where the command names a verb, a flag or a make target that does not exist.
func (h *help) check(t *testing.T, command string) {
	t.Helper()
	words := commandWords(command)
	if len(words) > 0 && words[0] == "sudo" {
		words = words[1:]
	}
	if len(words) < 2 {
		return
	}
	switch words[0] {
	case "make":
		for _, target := range words[1:] {
			if strings.Contains(target, "=") {
				continue
			}
			rule := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`)
			if !rule.MatchString(h.targets) {
				t.Errorf("%q: the Makefile has no target %q", command, target)
			}
		}
	case "supervisor":
		h.checkVerb(t, command, words[1:])
	}
}

func (h *help) checkVerb(t *testing.T, command string, words []string) {
	t.Helper()
	if strings.HasPrefix(words[0], "-") {
		return
	}
	text, ok := h.verbs[words[0]]
	if !ok {
		t.Errorf("%q: the supervisor has no verb %q", command, words[0])
		return
	}
	for _, word := range words[1:] {
		if word == "--" || word == "||" || word == "|" {
			return // what follows belongs to another program
		}
		flag, _, _ := strings.Cut(strings.Trim(word, "[],;"), "=")
		known := regexp.MustCompile(`(^|[\s,])` + regexp.QuoteMeta(flag) + `[\s,=]`)
		if strings.HasPrefix(flag, "-") && len(flag) > 1 && !known.MatchString(text) {
			t.Errorf("%q: %s has no flag %q", command, words[0], flag)
		}
	}
}
