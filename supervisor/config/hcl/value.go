package hclconfig

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"golang.org/x/sys/unix"
)

// maxDuration is where a duration is taken for a slip of the pen.
const maxDuration = 24 * time.Hour

// detail is what is wrong with a value, as sentences for a person.
type detail string

func (d detail) Error() string { return string(d) }

func wrong(format string, args ...any) error { return detail(fmt.Sprintf(format, args...)) }

// elementError is a fault of one element of a list or an object.
type elementError struct {
	index int    // in a list
	key   string // in an object
	err   error
}

func (e *elementError) Error() string { return e.err.Error() }

// The readers below turn an evaluated value, known as a whole, into ours.

func text(v cty.Value) (string, error) {
	if v.IsNull() {
		return "", wrong("A text is needed here, and null is none. To leave an attribute out, leave out its line.")
	}
	if !v.Type().IsPrimitiveType() {
		return "", wrong("A text is needed here, not %s.", v.Type().FriendlyName())
	}
	if enormous(v) {
		return "", wrong("The number is too large.")
	}
	v, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", wrong("A text is needed here: %v.", err)
	}
	s := v.AsString()
	if strings.IndexByte(s, 0) >= 0 {
		return "", wrong("A text that a program gets cannot hold a NUL byte.")
	}
	return s, nil
}

func notEmpty(v cty.Value) (string, error) {
	s, err := text(v)
	if err == nil && s == "" {
		err = wrong("This must not be empty.")
	}
	return s, err
}

func boolean(v cty.Value) (bool, error) {
	v, err := primitive(v, cty.Bool, "true or false")
	if err != nil {
		return false, err
	}
	return v.True(), nil
}

// integer reads whole numbers from 0 to most.
func integer(most int) func(cty.Value) (int, error) { return between(0, most) }

// between reads whole numbers from least, which is not positive, to most.
func between(least, most int) func(cty.Value) (int, error) {
	return func(v cty.Value) (int, error) {
		v, err := primitive(v, cty.Number, "a whole number")
		if err != nil {
			return 0, err
		}
		f := v.AsBigFloat()
		switch n, accuracy := f.Int64(); {
		case f.Sign() < 0 && least == 0:
			return 0, wrong("This must not be negative.")
		case f.Cmp(big.NewFloat(float64(least))) < 0:
			return 0, wrong("This may be %d at least.", least)
		case f.Cmp(big.NewFloat(float64(most))) > 0:
			return 0, wrong("This may be %d at most.", most)
		case accuracy != big.Exact:
			return 0, wrong("A whole number is needed here.")
		default:
			return int(n), nil
		}
	}
}

// optional is for what is nil where it is not given.
func optional[V any](read func(cty.Value) (V, error)) func(cty.Value) (*V, error) {
	return func(v cty.Value) (*V, error) {
		value, err := read(v)
		if err != nil {
			return nil, err
		}
		return &value, nil
	}
}

// umask reads an octal mask. A number in HCL is decimal, so 022 would be 22.
func umask(v cty.Value) (int, error) {
	if v.Type() == cty.Number {
		return 0, wrong(`A umask is octal, and a number here is not: write it in quotes, as "0022".`)
	}
	s, err := text(v)
	if err != nil {
		return 0, err
	}
	mask, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mask > 0o777 {
		return 0, wrong(`%s is not a umask: it is octal, from "0000" to "0777".`, quote(s))
	}
	return int(mask), nil
}

// paths reads one path or several.
func paths(v cty.Value) ([]string, error) {
	if !v.IsNull() && v.Type() == cty.String {
		s, err := notEmpty(v)
		return []string{s}, err
	}
	list, err := elements(v, 64, `["a.env", "b.env"], or a path`)
	if err != nil {
		return nil, err
	}
	var paths []string
	for i, element := range list {
		s, err := notEmpty(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		paths = append(paths, s)
	}
	return paths, nil
}

// onlyTrue reads what is there or not.
func onlyTrue(v cty.Value) (bool, error) {
	b, err := boolean(v)
	if err == nil && !b {
		err = wrong("This can only be true. For false, leave out its line.")
	}
	return b, err
}

// positive reads a number of times.
func positive(v cty.Value) (int, error) {
	n, err := integer(maxAttempts)(v)
	if err == nil && n == 0 {
		err = wrong("This must be at least 1.")
	}
	return n, err
}

func primitive(v cty.Value, want cty.Type, name string) (cty.Value, error) {
	if v.IsNull() {
		return v, wrong("This must be %s, not null.", name)
	}
	if !v.Type().IsPrimitiveType() {
		return v, wrong("This must be %s, not %s.", name, v.Type().FriendlyName())
	}
	converted, err := convert.Convert(v, want)
	if err != nil || converted.IsNull() {
		return v, wrong("This must be %s.", name)
	}
	return converted, nil
}

var bareNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// duration reads least up to 24h.
func duration(least time.Duration) func(cty.Value) (time.Duration, error) {
	return func(v cty.Value) (time.Duration, error) {
		s, err := text(v)
		if err != nil {
			return 0, wrong(`A duration such as "5s" or "1m30s" is needed here.`)
		}
		if bareNumber.MatchString(s) && s != "0" {
			return 0, wrong("The unit is missing: write %q for seconds, %q for milliseconds.", trim(s)+"s", trim(s)+"ms")
		}
		switch d, err := time.ParseDuration(s); {
		case err != nil:
			return 0, wrong(`%s is not a duration; one is written as "5s", "200ms" or "1m30s".`, quote(s))
		case d < 0:
			return 0, wrong("A duration must not be negative.")
		case d == 0 && least > 0:
			return 0, wrong("This must be longer than zero.")
		case d < least:
			return 0, wrong("This must be at least %v.", least)
		case d > maxDuration:
			return 0, wrong("This is longer than a day (%v), which is probably a mistake.", maxDuration)
		default:
			return d, nil
		}
	}
}

func oneOf[V ~string](allowed ...V) func(cty.Value) (V, error) {
	return func(v cty.Value) (V, error) {
		s, err := text(v)
		if err != nil {
			return "", wrong("One of %s is needed here.", list(allowed))
		}
		if slices.Contains(allowed, V(s)) {
			return V(s), nil
		}
		return "", wrong("%s is not one of %s.%s", quote(s), list(allowed), didYouMean(s, allowed))
	}
}

// harmless are the signals that end no process, by signal(7).
var harmless = []string{"SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"}

// usual are those that a misspelt name is compared with.
var usual = []string{"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGABRT", "SIGALRM", "SIGPWR"}

// signal reads the name of a signal that can end a process, in either case,
// with SIG before it or without, SIGRTMIN+n included.
func signal(v cty.Value) (syscall.Signal, error) {
	s, err := text(v)
	if err != nil {
		return 0, wrong(`The name of a signal is needed here, as "SIGTERM".`)
	}
	if n, err := strconv.Atoi(s); err == nil {
		if name := unix.SignalName(syscall.Signal(n)); name != "" {
			return 0, wrong("A signal is given by its name: write %q.", name)
		}
		return 0, wrong(`A signal is given by its name, as "SIGTERM".`)
	}
	name := fullName(s)
	if slices.Contains(harmless, name) {
		return 0, wrong("%s does not end a process.", name)
	}
	if sig, ok := config.SignalByName(name); ok {
		return sig, nil
	}
	return 0, wrong("%s is not a signal.%s", quote(s), didYouMean(name, usual))
}

// anySignal reads the name of a signal that a process can take as a message.
func anySignal(v cty.Value) (syscall.Signal, error) {
	s, err := text(v)
	if err != nil {
		return signal(v)
	}
	switch name := fullName(s); {
	case name == "SIGKILL" || name == "SIGSTOP":
		return 0, wrong("No process hears %s.", name)
	case slices.Contains(harmless, name):
		return unix.SignalNum(name), nil
	}
	return signal(v)
}

func fullName(signal string) string {
	name := strings.ToUpper(signal)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return name
}

// texts reads a list. An empty one is nil, so that it equals one not given.
func texts(v cty.Value) ([]string, error) {
	if v.IsNull() || !(v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType()) {
		return nil, wrong(`A list of texts is needed here, as ["a", "b"].`)
	}
	var list []string
	for _, element := range v.Elements() {
		s, err := text(element)
		if err != nil {
			return nil, &elementError{index: len(list), err: err}
		}
		list = append(list, s)
	}
	return list, nil
}

// elements are those of a list that is not empty, bounded by most.
func elements(v cty.Value, most int, what string) ([]cty.Value, error) {
	if v.IsNull() || !(v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType()) {
		return nil, wrong("A list is needed here, as %s.", what)
	}
	switch n := v.LengthInt(); {
	case n == 0:
		return nil, wrong("The list must not be empty; one is written as %s.", what)
	case n > most:
		return nil, wrong("The list may have %d elements.", most)
	}
	return v.AsValueSlice(), nil
}

// codes reads the exit codes of a process.
func codes(v cty.Value) ([]int, error) {
	list, err := elements(v, 256, "[0, 143]")
	if err != nil {
		return nil, err
	}
	var codes []int
	for i, element := range list {
		code, err := integer(255)(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return slices.Compact(codes), nil
}

// rungs reads a ladder.
func rungs(v cty.Value) ([]lifecycle.Step, error) {
	list, err := elements(v, 16, `[{ signal = "SIGTERM", wait = "3s" }]`)
	if err != nil {
		return nil, err
	}
	var ladder []lifecycle.Step
	for i, element := range list {
		r, err := rung(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		ladder = append(ladder, r)
	}
	return ladder, nil
}

func rung(v cty.Value) (r lifecycle.Step, err error) {
	if err := members(v, "signal", "wait"); err != nil {
		return r, err
	}
	if r.Signal, err = signal(v.GetAttr("signal")); err != nil {
		return r, err
	}
	if r.Signal == syscall.SIGKILL {
		return r, wrong("SIGKILL comes after the last step in any case, and nothing comes after it.")
	}
	r.Wait, err = duration(time.Millisecond)(v.GetAttr("wait"))
	return r, err
}

// members checks that a value is an object with these members and no others.
func members(v cty.Value, names ...string) error {
	if v.IsNull() || !v.Type().IsObjectType() {
		return wrong("An object with %s is needed here.", list(names))
	}
	for name := range v.Type().AttributeTypes() {
		if !slices.Contains(names, name) {
			return wrong("%s is none of %s.%s", quote(name), list(names), didYouMean(name, names))
		}
	}
	for _, name := range names {
		if !v.Type().HasAttribute(name) {
			return wrong("There is no %s here.", name)
		}
	}
	return nil
}

// assignments reads variables of an environment.
func assignments(v cty.Value) (map[string]string, error) {
	if v.IsNull() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		return nil, wrong(`An object is needed here, as { NAME = "value" }.`)
	}
	env := make(map[string]string, v.LengthInt())
	for name, element := range v.Elements() { // HCL's objects are sorted, so this is too
		switch {
		case name.AsString() == "":
			return nil, &elementError{err: wrong("The name of a variable must not be empty.")}
		case strings.ContainsAny(name.AsString(), "=\x00"):
			return nil, &elementError{key: name.AsString(), err: wrong(`The name of a variable cannot hold "=" or a NUL byte.`)}
		}
		s, err := text(element)
		if err != nil {
			return nil, &elementError{key: name.AsString(), err: err}
		}
		env[name.AsString()] = s
	}
	return env, nil
}

var hostname = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)

// address reads host:port; no host is any address of this machine.
func address(v cty.Value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", wrong(`An address is needed here, as "127.0.0.1:12345".`)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if _, e := strconv.Atoi(s); e == nil {
			return "", wrong(`An address has a host and a port: write ":%s" for any address of this machine.`, trim(s))
		}
		return "", wrong(`%s is not an address with a port, as "127.0.0.1:12345" or "[::1]:12345".`, quote(s))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
		return "", wrong("The port must be a number from 1 to 65535, not %s.", quote(port))
	}
	ip, _, _ := strings.Cut(host, "%") // the zone of a link-local address
	if len(host) > 255 || !hostname.MatchString(host) && net.ParseIP(ip) == nil {
		return "", wrong("%s is neither the name of a host nor an address.", quote(host))
	}
	return s, nil
}

// webAddress reads a URL.
func webAddress(v cty.Value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", wrong(`A URL is needed here, as "http://127.0.0.1:8080/healthz".`)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", wrong(`%s is not a URL, as "http://127.0.0.1:8080/healthz".`, quote(s))
	case u.User != nil:
		return "", wrong("A URL with a name or a password in it is not supported.")
	}
	if n, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || n < 1 || n > 65535) {
		return "", wrong("The port must be a number from 1 to 65535, not %s.", quote(u.Port()))
	}
	return s, nil
}

// commandLine reads a command with its arguments.
func commandLine(v cty.Value) ([]string, error) {
	words, err := texts(v)
	switch {
	case err != nil:
		return nil, err
	case len(words) == 0:
		return nil, wrong(`A command is needed here, as ["pg_isready", "-q"].`)
	case words[0] == "":
		return nil, &elementError{err: wrong("The name of a command must not be empty.")}
	}
	return words, nil
}

// Bounds of a regular expression. A line is matched while its child may print the
// next one: what it costs is the product of the program that the expression is
// compiled to and of the line, of which the package ready matches 4 KiB.
const (
	maxExpression = 1024 // bytes
	maxProgram    = 500  // instructions; a repetition such as x{100} has a copy of x for each
)

// maxUnrolled bounds what is compiled at all. It counts classes of characters by
// their ranges, of which \pL has several hundred.
const maxUnrolled = 100_000

// expression reads a regular expression.
func expression(v cty.Value) (string, error) {
	s, err := notEmpty(v)
	if err != nil {
		return "", err
	}
	if len(s) > maxExpression {
		return "", wrong("A regular expression may have %d bytes at most.", maxExpression)
	}
	re, err := syntax.Parse(s, syntax.Perl)
	var fault *syntax.Error
	if errors.As(err, &fault) {
		at := utf8.RuneCountInString(s[:max(strings.Index(s, fault.Expr), 0)]) + 1
		return "", wrong("This is not a regular expression: %s: %s, at character %d.", fault.Code, quote(fault.Expr), at)
	}
	if n := unrolled(re); n < maxUnrolled {
		if program, err := syntax.Compile(re.Simplify()); err == nil && len(program.Inst) <= maxProgram {
			return s, nil
		}
	}
	return "", wrong("This expression takes too long to match: it is compiled to more than %d instructions. "+
		"A repetition such as x{100} counts a hundred times; x+ counts once.", maxProgram)
}

// sink reads where a stream of a child goes.
func sink(v cty.Value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", wrong(`One of "stdout", "stderr", "none" or the path of a file is needed here.`)
	}
	named := []string{config.LogStdout, config.LogStderr, config.LogNone}
	if slices.Contains(named, s) || strings.Contains(s, "/") {
		return s, nil
	}
	return "", wrong("%s is not one of %s, and the path of a file has a slash in it, as %s.%s",
		quote(s), list(named), quote("./"+s), didYouMean(s, named))
}

// didYouMean is a sentence with the nearest of the candidates, if one is near.
func didYouMean[V ~string](given string, candidates []V) string {
	if len(given) > maxName {
		return ""
	}
	best, nearest := "", 3 // the limit that HCL has
	for _, c := range candidates {
		if d := levenshtein.Distance(given, string(c), nil); d < nearest && d < len(given) {
			best, nearest = string(c), d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s?", quote(best))
}

func list[V ~string](values []V) string {
	var b strings.Builder
	for i, v := range values {
		switch {
		case i == 0:
		case i == len(values)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(quote(string(v)))
	}
	return b.String()
}

// quote is a text of the file in a message, which nobody wants by the page.
func quote(s string) string { return strconv.Quote(trim(s)) }

func trim(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
