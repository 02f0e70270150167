package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Ask sends a question to the supervisors that run the configuration at an absolute path, also if
// they were started with another path to the same file. It returns the answer if all are "ok". The
// error is the first failure that a supervisor reports, or why there was no answer before ctx
// ended.
func Ask(ctx context.Context, config string, q Question) (string, error) {
	answer, err := askSlots(ctx, Name(config), q)
	if !errors.Is(err, errNoSupervisor) {
		return answer, err
	}
	var others []string // configurations of supervisors that run another file
	for _, name := range otherSupervisors() {
		path := runs(ctx, name)
		if path == "" {
			continue
		}
		if !sameFile(path, config) {
			others = append(others, path)
			continue
		}
		if answer, e := ask(ctx, name, q); !errors.Is(e, errNoSupervisor) {
			return answer, e
		}
	}
	return "", noAnswer(config, others, err)
}

// noAnswer returns the error of a question that no supervisor answered, with the paths that were
// tried. It is not errNoSupervisor: the search is over.
func noAnswer(config string, others []string, err error) error {
	text := "no supervisor runs with this configuration here: no process answers for " + config +
		" or for another path to that file"
	slices.Sort(others)
	others = slices.Compact(others)
	if more := len(others) - maxOthers; more > 0 {
		others = append(others[:maxOthers], fmt.Sprintf("%d more", more))
	}
	if len(others) > 0 {
		text += "; the supervisors here run " + strings.Join(others, ", ")
	}
	var foreign *foreignError
	if errors.As(err, &foreign) {
		text += "; " + foreign.Error()
	}
	return errors.New(text)
}

// maxOthers is the number of other configurations that an error names.
const maxOthers = 5

// askSlots asks the supervisors of all slots. Without any, the error is errNoSupervisor.
func askSlots(ctx context.Context, name string, q Question) (answer string, err error) {
	nobody := errNoSupervisor
	for slot := range maxSlots {
		var one string
		_, err := configOf(ctx, slotName(name, slot))
		if err == nil {
			one, err = ask(ctx, slotName(name, slot), q)
		}
		switch {
		case errors.Is(err, errNoSupervisor):
			if errors.As(err, new(*foreignError)) {
				nobody = err
			}
		case err != nil:
			return "", err
		case len(one) > len(answer):
			answer = one // an answer with a note is longer
		}
	}
	if answer == "" {
		return "", nobody
	}
	return answer, nil
}

// errNoSupervisor says that no supervisor has the name of a socket.
var errNoSupervisor = errors.New("no supervisor has this name")

// foreignError says that the process that has the name of a socket is not the supervisor. Every
// process can open an abstract name.
type foreignError struct{ reason string }

func (e *foreignError) Error() string { return e.reason }

// Is makes it equal to errNoSupervisor.
func (*foreignError) Is(target error) bool { return target == errNoSupervisor }

// ask sends a question to the supervisor that has a name.
func ask(ctx context.Context, name string, q Question) (string, error) {
	c, err := dial(ctx, name)
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	peer, err := peerOf(c)
	if err != nil {
		return "", fmt.Errorf("cannot read the peer of the control socket: %w", err)
	}
	if !trusts(peer) && (os.Geteuid() != 0 || !sameProgram(int(peer.Pid))) {
		return "", &foreignError{fmt.Sprintf("the control socket belongs to another user "+
			"(pid %d, uid %d)", peer.Pid, peer.Uid)}
	}
	answer, err := converse(c, q)
	if refused := errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.EOF); refused &&
		os.Geteuid() != 0 && os.Geteuid() != int(peer.Uid) {
		err = fmt.Errorf("the supervisor (pid %d) answers only root and its own user (uid %d)",
			peer.Pid, peer.Uid)
	}
	return answer, err
}

// configOf returns the path of the configuration of the supervisor that has a name. The name proves
// the path: a supervisor of another pid namespace or root directory has another name. A process
// that answers anything else is not a supervisor.
func configOf(ctx context.Context, name string) (string, error) {
	answer, err := ask(ctx, name, askConfig)
	if err != nil {
		return "", err
	}
	path, err := strconv.Unquote(strings.TrimPrefix(answer, answerOK+": "))
	if err != nil || Name(path) != ofSlot(name) {
		return "", &foreignError{"the process that has the control socket is no supervisor of " +
			"this configuration"}
	}
	return path, nil
}

// sameProgram reports whether a process executes our own program. So root can ask the supervisor of
// a user, but not another process that has its name.
func sameProgram(pid int) bool {
	theirs, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return false
	}
	ours, err := os.Stat("/proc/self/exe")
	return err == nil && os.SameFile(theirs, ours)
}

func dial(ctx context.Context, name string) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", name)
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil, errNoSupervisor
	}
	if err != nil {
		return nil, fmt.Errorf("cannot reach the supervisor: %w", err)
	}
	return conn.(*net.UnixConn), nil
}

// converse sends a question and returns the answer without its end of line.
func converse(c *net.UnixConn, q Question) (string, error) {
	if _, err := io.WriteString(c, string(q)+"\n"); err != nil {
		return "", fmt.Errorf("cannot ask the supervisor: %w", err)
	}
	answer, err := bufio.NewReader(io.LimitReader(c, maxAnswer)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no answer from the supervisor: %w", err)
	}
	answer = strings.TrimSpace(answer)
	if rest, ok := strings.CutPrefix(answer, answerOK); !ok || rest != "" && rest[0] != ':' {
		return "", errors.New(answer)
	}
	return answer, nil
}

// otherSupervisors returns the names of all control sockets of the network namespace.
func otherSupervisors() (names []string) {
	f, err := os.Open("/proc/self/net/unix")
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 8 && fields[3] == acceptsConnections &&
			strings.HasPrefix(fields[7], namePrefix) {
			names = append(names, fields[7])
		}
	}
	return names
}

// otherTimeout is the time for the answer of one of the other supervisors: a process of any user
// can have such a name and not answer.
const otherTimeout = 200 * time.Millisecond

// acceptsConnections are the flags of a listener (__SO_ACCEPTCON) in /proc/net/unix.
const acceptsConnections = "00010000"

// runs returns the path of the configuration of the supervisor that has a name. It is empty if no
// supervisor of this pid namespace and root directory has the name.
func runs(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, otherTimeout)
	defer cancel()
	path, err := configOf(ctx, name)
	if err != nil {
		return ""
	}
	return path
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
