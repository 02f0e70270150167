package findings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern names descriptors that are never findings: "KIND" or "KIND:TARGET".
//
// KIND is the kind of a descriptor as the log has it (file, pipe, socket, epoll, …), or the
// protocol of a socket (unix, tcp, udp, …). TARGET is the path of a file, the name of a unix
// socket, or the local address of another socket. In TARGET, "**" stands for any text, "*"
// for any text without a slash, and "?" for one character that is not a slash.
type Pattern struct {
	text   string
	kind   string
	target *regexp.Regexp // nil: every target
}

// fdKinds are the kinds of descriptors, protocols the first words of a socket's target.
var (
	fdKinds = []string{
		"epoll", "eventfd", "fanotify", "file", "inotify", "io_uring", "memfd", "perf_event",
		"pidfd", "pipe", "secretmem", "signalfd", "socket", "timerfd", "userfaultfd",
	}
	protocols = []string{"tcp", "udp", "unix", "netlink", "packet", "raw"}
)

// ParsePattern returns the pattern that text describes. The error says what is allowed.
func ParsePattern(text string) (Pattern, error) {
	if !utf8.ValidString(text) {
		return Pattern{}, fmt.Errorf("%q is not valid UTF-8: use ? for each byte that is not", text)
	}
	kind, target, hasTarget := strings.Cut(text, ":")
	if !slices.Contains(fdKinds, kind) && !slices.Contains(protocols, kind) {
		return Pattern{}, fmt.Errorf(
			"%q is not a kind of descriptor: use one of %s, alone or with a target, for example "+
				`"epoll", "file:/var/log/**" or "unix:/run/app.sock"`,
			kind, strings.Join(slices.Concat(fdKinds, protocols), ", "))
	}
	p := Pattern{text: text, kind: kind}
	if !hasTarget {
		return p, nil
	}
	if target == "" {
		return Pattern{}, fmt.Errorf(
			"%q has no target after the colon: write %q to allow every %s", text, kind, kind)
	}
	p.target = compile(target)
	return p, nil
}

// compile turns a glob into a regular expression for a whole target.
func compile(glob string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(glob)
	// The last pair keeps a quoted backslash from becoming a part of the wildcard behind it.
	wildcards := strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`, `\\`, `\\`)
	return regexp.MustCompile(`(?s)\A` + wildcards.Replace(quoted) + `\z`)
}

// String returns the text of the pattern.
func (p Pattern) String() string { return p.text }

// Matches reports whether the pattern names fd.
func (p Pattern) Matches(fd FD) bool {
	protocol, address := socketName(fd)
	if p.kind != fd.Kind && (protocol == "" || p.kind != protocol) {
		return false
	}
	if p.target == nil {
		return true
	}
	if protocol != "" {
		return p.target.MatchString(address)
	}
	return p.target.MatchString(fd.Target)
}

// PatternFor returns a pattern that names fd, as an example for the user.
func PatternFor(fd FD) string {
	if protocol, address := socketName(fd); protocol != "" {
		if address == "" || fd.Connection && protocol != "unix" {
			return protocol // its local port is another one each time
		}
		return protocol + ":" + escape(address)
	}
	if fd.Kind == "file" {
		return "file:" + escape(fd.Target)
	}
	return fd.Kind
}

// escape replaces what a glob would take for a wildcard.
func escape(s string) string { return strings.ReplaceAll(s, "*", "?") }

// socketName returns the protocol and the local address of a socket, from its target in
// plain words: "tcp 127.0.0.1:80 -> 127.0.0.1:4711", "unix /run/app.sock listen".
func socketName(fd FD) (protocol, address string) {
	if fd.Kind != "socket" {
		return "", ""
	}
	protocol, rest, _ := strings.Cut(fd.Target, " ")
	if !slices.Contains(protocols, protocol) {
		return "", ""
	}
	if protocol == "unix" { // a path may contain spaces
		rest = strings.TrimSuffix(rest, " listen")
	} else {
		rest, _, _ = strings.Cut(rest, " ")
	}
	if strings.HasPrefix(rest, "(") { // "(not connected)", "(unnamed)"
		rest = ""
	}
	return protocol, rest
}
