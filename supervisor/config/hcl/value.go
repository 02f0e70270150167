package hclconfig

import (
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/lifecycle"
)

const (
	maxDuration = 24 * time.Hour // a longer duration is probably a mistake
	maxAttempts = 1_000_000      // of restarts or of failures
)

// valueError says what is wrong with a value, in complete sentences.
type valueError string

func (e valueError) Error() string { return string(e) }

func invalid(format string, args ...any) error { return valueError(fmt.Sprintf(format, args...)) }

// typeError is the error of a value that has the wrong type.
type typeError struct {
	required string // with its article, such as "a string"
	given    string // likewise
	hint     string // a sentence, or empty
}

func (e *typeError) Error() string { return e.describe("The value") }

// describe returns a sentence about the subject, such as "`args`".
func (e *typeError) describe(subject string) string {
	text := fmt.Sprintf("%s must be %s, not %s.", subject, e.required, e.given)
	if e.given == "null" {
		text += " To omit an attribute, remove its line."
	}
	if e.hint != "" {
		text += " " + e.hint
	}
	return text
}

func wrongType(required string, given cty.Value) error {
	return &typeError{required: required, given: typeName(given)}
}

// requires replaces what a type error requires by a more precise text. Other errors stay.
func requires(err error, what string) error {
	if e, ok := err.(*typeError); ok {
		return &typeError{what, e.given, e.hint}
	}
	return err
}

// typeName returns the name of the type of a value in HCL, with its article.
func typeName(v cty.Value) string {
	switch t := v.Type(); {
	case v.IsNull():
		return "null"
	case isList(v):
		return "a list"
	case t.IsObjectType() || t.IsMapType():
		return "an object"
	case t.IsPrimitiveType():
		return "a " + t.FriendlyName()
	default:
		return t.FriendlyName()
	}
}

func isList(v cty.Value) bool {
	t := v.Type()
	return !v.IsNull() && (t.IsTupleType() || t.IsListType() || t.IsSetType())
}

// elementError is the error of one element of a list or of an object.
type elementError struct {
	index int    // in a list
	key   string // in an object
	err   error
}

func (e *elementError) Error() string { return e.err.Error() }

// Unwrap returns the error of the element.
func (e *elementError) Unwrap() error { return e.err }

// elementErrors are the errors of several elements.
type elementErrors []error

func (e elementErrors) Error() string { return e[0].Error() }

// orNil returns the errors as one error, or nil if there are none.
func (e elementErrors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// kind is a kind of value that an attribute can have. read converts an evaluated value that has
// no unknown parts.
type kind[V any] struct {
	typ     string // as the configuration page names it
	allowed string // the allowed values, in Markdown
	read    func(cty.Value) (V, error)
}

// optional is the kind of an attribute whose value is nil if the file does not have it.
func optional[V any](k kind[V]) kind[*V] {
	return kind[*V]{k.typ, k.allowed, func(v cty.Value) (*V, error) {
		value, err := k.read(v)
		if err != nil {
			return nil, err
		}
		return &value, nil
	}}
}

var (
	stringKind   = kind[string]{"string", "any", readString}
	notEmptyKind = kind[string]{"string", "not empty", readNotEmpty}
	accountKind  = kind[string]{"string", "not empty", readAccount}
	boolKind     = kind[bool]{"bool", "`true`, `false`", readBool}
	trueKind     = kind[bool]{"bool", "`true`", readTrue}
	umaskKind    = kind[int]{"string", "`\"0000\"` to `\"0777\"`, octal", readUmask}
	stringsKind  = kind[[]string]{"list of strings", "any", readStrings}
	pathsKind    = kind[[]string]{"string, or list of strings", "1 to 64 paths", readPaths}
	codesKind    = kind[[]int]{"list of numbers", "1 to 256 codes from 0 to 255", readCodes}
	sinkKind     = kind[string]{
		"string", "`\"stdout\"`, `\"stderr\"`, `\"none\"`, or a path with a slash", readSink,
	}
	signalKind = kind[syscall.Signal]{
		"string", "the name of a signal that can end a process", readSignal,
	}
	anySignalKind = kind[syscall.Signal]{
		"string", "the name of any signal except `SIGKILL` and `SIGSTOP`", readAnySignal,
	}
	commandLineKind = kind[[]string]{
		"list of strings", "the command, then its arguments", readCommandLine,
	}
	stepsKind = kind[[]lifecycle.Step]{
		"list of objects", "1 to 16 objects with `signal` and `wait`", readSteps,
	}
	variablesKind = kind[map[string]string]{
		"object of strings", "names without `=`", readVariables,
	}
	addressKind = kind[string]{"string", "`host:port`, with a port from 1 to 65535", readAddress}
	urlKind     = kind[string]{"string", "an `http` or `https` URL without a user", readURL}
)

func positiveKind() kind[int] {
	return kind[int]{"number", fmt.Sprintf("1 to %d", maxAttempts), readPositive}
}

func regexpKind() kind[string] {
	return kind[string]{
		"string", fmt.Sprintf("a regular expression of 1 to %d bytes", maxExpression), readRegexp,
	}
}

var listenAddressKind = kind[string]{
	"string", "`host:port`; the host is an IP address or `localhost`", readListenAddress,
}

func readString(v cty.Value) (string, error) {
	if v.IsNull() || !v.Type().IsPrimitiveType() {
		return "", wrongType("a string", v)
	}
	if enormous(v) {
		return "", invalid("The number is too large.")
	}
	v, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", invalid("A string is required: %v.", err)
	}
	s := v.AsString()
	if strings.IndexByte(s, 0) >= 0 {
		return "", invalid("The string must not contain a NUL byte.")
	}
	return s, nil
}

// readForm reads a string of a certain form, which required describes. A bool has no such form.
func readForm(v cty.Value, required string) (string, error) {
	s, err := readString(v)
	if err == nil && v.Type() == cty.Bool {
		err = wrongType(required, v)
	}
	return s, requires(err, required)
}

// readText reads a string that is neither a number nor a bool. An environment variable or an
// argument can be one, see [readString].
func readText(v cty.Value) (string, error) {
	s, err := readString(v)
	if err == nil && v.Type() != cty.String {
		e := &typeError{required: "a string", given: typeName(v)}
		e.hint = fmt.Sprintf("A string needs quotes: %s.", quote(s))
		err = e
	}
	return s, err
}

func readNotEmpty(v cty.Value) (string, error) {
	s, err := readText(v)
	if err == nil && s == "" {
		err = invalid("The string must not be empty.")
	}
	return s, err
}

// readAccount reads the name or the number of a user or of a group.
func readAccount(v cty.Value) (string, error) {
	if !v.IsNull() && v.Type() == cty.Number {
		return readString(v)
	}
	return readNotEmpty(v)
}

// readProgram reads the value of command: a program, or a list of a program and arguments.
func readProgram(v cty.Value) ([]string, error) {
	if isList(v) {
		return readCommandLine(v)
	}
	s, err := readNotEmpty(v)
	return []string{s}, err
}

func readBool(v cty.Value) (bool, error) {
	v, err := convertPrimitive(v, cty.Bool, "a bool (true or false)")
	if err != nil {
		return false, err
	}
	return v.True(), nil
}

// readTrue reads an attribute that is either true or not in the file.
func readTrue(v cty.Value) (bool, error) {
	b, err := readBool(v)
	if err == nil && !b {
		err = invalid("Only true is allowed. For false, remove the line.")
	}
	return b, err
}

// convertPrimitive converts a value to the type want. name is the name of the type, with its
// article.
func convertPrimitive(v cty.Value, want cty.Type, name string) (cty.Value, error) {
	if v.IsNull() || !v.Type().IsPrimitiveType() {
		return v, wrongType(name, v)
	}
	converted, err := convert.Convert(v, want)
	if err != nil || converted.IsNull() {
		return v, wrongType(name, v)
	}
	return converted, nil
}

// integer is the kind of integers from least to most. least must not be positive.
func integer(least, most int) kind[int] {
	return kind[int]{"number", fmt.Sprintf("%d to %d", least, most), readInteger(least, most)}
}

func readInteger(least, most int) func(cty.Value) (int, error) {
	return func(v cty.Value) (int, error) {
		v, err := convertPrimitive(v, cty.Number, "a number")
		if err != nil {
			return 0, err
		}
		f := v.AsBigFloat()
		switch n, accuracy := f.Int64(); {
		case f.Cmp(big.NewFloat(float64(least))) < 0:
			return 0, invalid("The number must be at least %d.", least)
		case f.Cmp(big.NewFloat(float64(most))) > 0:
			return 0, invalid("The number must be at most %d.", most)
		case accuracy != big.Exact:
			return 0, invalid("The number must be an integer.")
		default:
			return int(n), nil
		}
	}
}

// readPositive reads a number of attempts or failures.
func readPositive(v cty.Value) (int, error) {
	n, err := readInteger(0, maxAttempts)(v)
	if err == nil && n == 0 {
		err = invalid("The number must be at least 1.")
	}
	return n, err
}

// readUmask reads an octal mask. A number in HCL is decimal: 022 is 22.
func readUmask(v cty.Value) (int, error) {
	if v.Type() == cty.Number {
		return 0, &typeError{"a string", "a number",
			`A number in HCL is decimal, and a umask is octal. An example is "0022".`}
	}
	s, err := readText(v)
	if err != nil {
		return 0, err
	}
	mask, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mask > 0o777 {
		return 0, invalid(`%s is not a umask. A umask is octal, from "0000" to "0777".`, quote(s))
	}
	return int(mask), nil
}

var bareNumber = lazyPattern(`^[0-9]+(\.[0-9]+)?$`)

// duration is the kind of durations from least to 24 hours.
func duration(least time.Duration) kind[time.Duration] {
	allowed := fmt.Sprintf("`\"%v\"` to `\"24h\"`", least)
	return kind[time.Duration]{"duration", allowed, readDuration(least, maxDuration)}
}

// durationBetween is the kind of durations from least to most, which is in hours.
func durationBetween(least, most time.Duration) kind[time.Duration] {
	allowed := fmt.Sprintf("`\"%v\"` to `\"%dh\"`", least, int(most.Hours()))
	return kind[time.Duration]{"duration", allowed, readDuration(least, most)}
}

func readDuration(least, most time.Duration) func(cty.Value) (time.Duration, error) {
	return func(v cty.Value) (time.Duration, error) {
		s, err := readForm(v, `a string with a duration, such as "5s" or "1m30s"`)
		if err != nil {
			return 0, err
		}
		if bareNumber().MatchString(s) && s != "0" {
			return 0, invalid("The duration has no unit. Write %q for seconds, %q for "+
				"milliseconds.",
				shorten(s)+"s", shorten(s)+"ms")
		}
		switch d, err := time.ParseDuration(s); {
		case err != nil:
			return 0, invalid(`%s is not a duration. Examples are "200ms", "5s" and "1m30s".`,
				quote(s))
		case d < 0:
			return 0, invalid("The duration must not be negative.")
		case d < least:
			return 0, invalid("The duration must be at least %v.", least)
		case d > most:
			return 0, invalid("The duration must be at most %v.", most)
		default:
			return d, nil
		}
	}
}

// oneOf is the kind of an attribute that has one of the allowed strings.
func oneOf[V ~string](allowed ...V) kind[V] {
	var names []string
	for _, a := range allowed {
		names = append(names, fmt.Sprintf("`%q`", a))
	}
	return kind[V]{"string", strings.Join(names, ", "), func(v cty.Value) (V, error) {
		s, err := readForm(v, "one of "+quotedList(allowed))
		if err != nil {
			return "", err
		}
		if slices.Contains(allowed, V(s)) {
			return V(s), nil
		}
		return "", invalid("%s is not one of %s.%s", quote(s), quotedList(allowed),
			didYouMean(s, allowed))
	}}
}

// harmless are the signals whose default action does not end a process, see signal(7).
var harmless = []string{"SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU",
	"SIGURG", "SIGWINCH"}

// usual are the signals that are proposed for a misspelt name.
var usual = []string{"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2",
	"SIGABRT", "SIGALRM", "SIGPWR"}

// readSignal reads the name of a signal that can end a process. The name can be in upper or in
// lower case, with or without SIG. SIGRTMIN+n is a name too.
func readSignal(v cty.Value) (syscall.Signal, error) {
	s, err := readForm(v, `the name of a signal, such as "SIGTERM"`)
	if err != nil {
		return 0, err
	}
	if n, err := strconv.Atoi(s); err == nil {
		if name := unix.SignalName(syscall.Signal(n)); name != "" {
			return 0, invalid("The name of the signal is required, not its number. Write %q.", name)
		}
		return 0, invalid(`The name of a signal is required. An example is "SIGTERM".`)
	}
	name := fullName(s)
	if slices.Contains(harmless, name) {
		return 0, invalid("%s does not end a process.", name)
	}
	if sig, ok := config.SignalByName(name); ok {
		return sig, nil
	}
	return 0, invalid("%s is not a signal.%s", quote(s), didYouMean(name, usual))
}

// readAnySignal reads the name of a signal that a process can handle.
func readAnySignal(v cty.Value) (syscall.Signal, error) {
	s, err := readString(v)
	if err != nil {
		return readSignal(v)
	}
	switch name := fullName(s); {
	case name == "SIGKILL" || name == "SIGSTOP":
		return 0, invalid("A process cannot handle %s.", name)
	case slices.Contains(harmless, name):
		return unix.SignalNum(name), nil
	}
	return readSignal(v)
}

func fullName(signal string) string {
	name := strings.ToUpper(signal)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	return name
}

// readStrings reads a list. An empty list is nil, as if the file did not have the attribute.
func readStrings(v cty.Value) ([]string, error) {
	if !isList(v) {
		return nil, wrongType(`a list of strings, such as ["a", "b"]`, v)
	}
	var list []string
	var errs elementErrors
	for _, element := range v.Elements() {
		s, err := readString(element)
		if err != nil {
			errs = append(errs, &elementError{index: len(list), err: err})
		}
		list = append(list, s)
	}
	return list, errs.orNil()
}

// readPaths reads a path or a list of paths.
func readPaths(v cty.Value) ([]string, error) {
	if !v.IsNull() && v.Type() == cty.String {
		s, err := readNotEmpty(v)
		return []string{s}, err
	}
	list, err := elements(v, 64, "a string or a list of strings", `["a.env", "b.env"]`)
	if err != nil {
		return nil, err
	}
	var paths []string
	for i, element := range list {
		s, err := readNotEmpty(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		paths = append(paths, s)
	}
	return paths, nil
}

// readCommandLine reads a command with its arguments.
func readCommandLine(v cty.Value) ([]string, error) {
	words, err := readStrings(v)
	switch {
	case err != nil:
		return nil, err
	case len(words) == 0:
		return nil, invalid(`The list must not be empty. An example is ["pg_isready", "-q"].`)
	case words[0] == "":
		return nil, &elementError{err: invalid("The name of the command must not be empty.")}
	}
	if _, err := readText(v.AsValueSlice()[0]); err != nil {
		return nil, &elementError{err: err}
	}
	return words, nil
}

// elements returns the elements of a list that has 1 to most of them. The example is HCL.
func elements(v cty.Value, most int, required, example string) ([]cty.Value, error) {
	if !isList(v) {
		return nil, wrongType(required+", such as "+example, v)
	}
	switch n := v.LengthInt(); {
	case n == 0:
		return nil, invalid("The list must not be empty. An example is %s.", example)
	case n > most:
		return nil, invalid("The list has %d elements. It must have at most %d.", n, most)
	}
	return v.AsValueSlice(), nil
}

// readCodes reads exit codes.
func readCodes(v cty.Value) ([]int, error) {
	list, err := elements(v, 256, "a list of numbers", "[0, 143]")
	if err != nil {
		return nil, err
	}
	var codes []int
	for i, element := range list {
		code, err := readInteger(0, 255)(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return slices.Compact(codes), nil
}

// readSteps reads the steps of a stop sequence.
func readSteps(v cty.Value) ([]lifecycle.Step, error) {
	list, err := elements(v, 16, "a list of objects", `[{ signal = "SIGTERM", wait = "3s" }]`)
	if err != nil {
		return nil, err
	}
	var steps []lifecycle.Step
	for i, element := range list {
		step, err := readStep(element)
		if err != nil {
			return nil, &elementError{index: i, err: err}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func readStep(v cty.Value) (step lifecycle.Step, err error) {
	if err := checkMembers(v, "signal", "wait"); err != nil {
		return step, err
	}
	if step.Signal, err = readSignal(v.GetAttr("signal")); err != nil {
		return step, err
	}
	if step.Signal == syscall.SIGKILL {
		return step, invalid("SIGKILL always follows the last step. Remove this step.")
	}
	step.Wait, err = readDuration(time.Millisecond, maxDuration)(v.GetAttr("wait"))
	return step, err
}

// checkMembers checks that a value is an object with these members and no others.
func checkMembers(v cty.Value, names ...string) error {
	if v.IsNull() || !v.Type().IsObjectType() {
		return wrongType("an object with "+quotedList(names), v)
	}
	for name := range v.Type().AttributeTypes() {
		if !slices.Contains(names, name) {
			return invalid("%s is not one of %s.%s", quote(name), quotedList(names),
				didYouMean(name, names))
		}
	}
	for _, name := range names {
		if !v.Type().HasAttribute(name) {
			return invalid("The object has no %s, which is required.", quote(name))
		}
	}
	return nil
}

// readVariables reads environment variables.
func readVariables(v cty.Value) (map[string]string, error) {
	if v.IsNull() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		return nil, wrongType(`an object, such as { NAME = "value" }`, v)
	}
	env := make(map[string]string, v.LengthInt())
	var errs elementErrors
	for key, element := range v.Elements() { // sorted by name
		name := key.AsString()
		s, err := readString(element)
		switch {
		case name == "":
			err = invalid("The name of a variable must not be empty.")
		case strings.ContainsAny(name, "=\x00"):
			err = invalid(`The name of a variable must not contain "=" or a NUL byte.`)
		}
		if err != nil {
			errs = append(errs, &elementError{key: name, err: err})
		}
		env[name] = s
	}
	return env, errs.orNil()
}

var hostname = lazyPattern(`^[A-Za-z0-9._-]*$`)

// readAddress reads host:port. Without a host it means any address of this machine.
func readAddress(v cty.Value) (string, error) {
	s, err := readForm(v, `an address, such as "127.0.0.1:12345"`)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if _, e := strconv.Atoi(s); e == nil {
			return "", invalid(`The address has no host. Write ":%s" for any address of this `+
				`machine.`,
				shorten(s))
		}
		return "", invalid(`%s is not host:port. Examples are "127.0.0.1:12345" and "[::1]:12345".`,
			quote(s))
	}
	if !validPort(port) || port[0] == '0' || port[0] == '+' {
		return "", invalid("The port must be a number from 1 to 65535, not %s.", quote(port))
	}
	ip, _, _ := strings.Cut(host, "%") // the zone of a link-local address
	if len(host) > 255 || !hostname().MatchString(host) && net.ParseIP(ip) == nil {
		return "", invalid("%s is neither a host name nor an IP address.", quote(host))
	}
	return s, nil
}

// readListenAddress reads the address of a TCP socket and returns its only canonical form. A host
// name is refused, because the result of its resolution can change.
func readListenAddress(v cty.Value) (string, error) {
	s, err := readAddress(v)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", err
	}
	switch host {
	case "":
		host = "::"
	case "localhost": // RFC 6761, 6.3
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", invalid("The host must be an IP address of this machine, but %s is a name.",
			quote(host))
	}
	return net.JoinHostPort(ip.Unmap().String(), port), nil
}

func validPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

// readURL reads the URL of a web server.
func readURL(v cty.Value) (string, error) {
	s, err := readForm(v, `a URL, such as "http://127.0.0.1:8080/healthz"`)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", invalid(`%s is not a URL. An example is "http://127.0.0.1:8080/healthz".`,
			quote(s))
	case u.User != nil:
		return "", invalid("The URL must not contain a user or a password.")
	case u.Port() != "" && !validPort(u.Port()):
		return "", invalid("The port must be a number from 1 to 65535, not %s.", quote(u.Port()))
	}
	return s, nil
}

// Limits of a regular expression. The supervisor matches each line of a child's output while the
// child may print the next one. The time for a line grows with the size of the compiled
// expression times the length of the line, of which 4 KiB are matched.
const (
	maxExpression = 1024 // bytes
	maxProgram    = 500  // instructions; x{100} has those of x a hundred times
	// maxUnrolled limits the size of an expression before it is compiled. The size includes the
	// ranges of character classes; \pL has several hundred.
	maxUnrolled = 100_000
)

// readRegexp reads a regular expression.
func readRegexp(v cty.Value) (string, error) {
	s, err := readNotEmpty(v)
	if err != nil {
		return "", err
	}
	if len(s) > maxExpression {
		return "", invalid("The regular expression must have at most %d bytes.", maxExpression)
	}
	re, err := syntax.Parse(s, syntax.Perl)
	var e *syntax.Error
	if errors.As(err, &e) {
		at := utf8.RuneCountInString(s[:max(strings.Index(s, e.Expr), 0)]) + 1
		return "", invalid("The string is not a regular expression: %s: %s, at character %d.",
			e.Code, quote(e.Expr), at)
	}
	if n := unrolled(re); n < maxUnrolled {
		program, err := syntax.Compile(re.Simplify())
		if err == nil && len(program.Inst) <= maxProgram {
			return s, nil
		}
	}
	return "", invalid("The expression takes too long to match: it compiles to more than %d "+
		"instructions. A repetition such as x{100} counts a hundred times; x+ counts once.",
		maxProgram)
}

// unrolled returns the number of nodes of an expression, with its repetitions written out.
func unrolled(re *syntax.Regexp) float64 {
	n := float64(1 + len(re.Rune)/2)
	for _, sub := range re.Sub {
		n += unrolled(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= float64(max(re.Min, re.Max, 1))
	}
	return n
}

// readSink reads where a stream of a child goes.
func readSink(v cty.Value) (string, error) {
	s, err := readForm(v, `"stdout", "stderr", "none" or the path of a file`)
	if err != nil {
		return "", err
	}
	named := []string{config.LogStdout, config.LogStderr, config.LogNone}
	if slices.Contains(named, s) || strings.Contains(s, "/") {
		return s, nil
	}
	return "", invalid("%s is not one of %s. The path of a file must contain a slash: %s.%s",
		quote(s), quotedList(named), quote("./"+s), didYouMean(s, named))
}
