package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/control"
	"tp0/supervisor/files"
)

// Options says which supervisors are meant.
type Options struct {
	// Config is the absolute path of the configuration. Without it all supervisors are meant.
	Config string
	// Socket is the address of the one supervisor that is meant: a path, or an abstract name with
	// a leading @. It can be empty.
	Socket string
	// More are further addresses at which a supervisor can be, as control.socket of the
	// configuration.
	More []string
}

// Find returns the supervisors that are meant. It tries every place where a control socket can be,
// and then the sockets of all supervisors, for one that was started with another path to the same
// file. Without a result the error is a [*NotFoundError], or why one that was found gives no answer
// before ctx ends. The caller must close the supervisors.
func Find(ctx context.Context, o Options) ([]*Supervisor, error) {
	s := &search{ctx: ctx, config: o.Config, seen: map[string]bool{}}
	if o.Socket != "" {
		s.try(o.Socket, given)
		return s.end("no supervisor answers at " + o.Socket)
	}
	if o.Config != "" {
		name := control.Name(o.Config)
		for slot := range control.MaxSlots {
			s.try(control.SlotName(name, slot), named)
		}
		if path := os.Getenv(control.SocketVariable); path != "" {
			s.try(path, configured)
		}
		for _, path := range o.More {
			s.try(path, configured)
		}
		for _, path := range inDirectories() {
			if isSlotFile(path, name) {
				s.try(path, named)
			}
		}
		if len(s.found) > 0 || s.failure != nil {
			return s.end("")
		}
	} else if path := os.Getenv(control.SocketVariable); path != "" {
		s.try(path, given)
	}
	for _, address := range slices.Concat(control.AbstractNames(), inDirectories()) {
		s.try(address, other)
	}
	return s.end(s.notFound())
}

// inDirectories returns the paths of the control sockets in the directories for them.
func inDirectories() (paths []string) {
	for _, dir := range control.Directories(os.Geteuid(), os.Getenv) {
		paths = append(paths, control.Sockets(dir)...)
	}
	if os.Geteuid() != 0 { // the socket of root can be for a group
		paths = append(paths, control.Sockets("/run/supervisor")...)
	}
	return paths
}

// isSlotFile reports whether the name of a file is that of a slot of an abstract name.
func isSlotFile(path, name string) bool {
	base := strings.TrimSuffix(control.FileName(name), ".sock")
	file := strings.TrimSuffix(filepath.Base(path), ".sock")
	return file == base || strings.HasPrefix(file, base+"-")
}

// origin says why an address is tried, and so what proves that its process is meant.
type origin int

const (
	named      origin = iota // the address has the name of the configuration
	configured               // the configuration or the environment has it
	given                    // the user gave it: it is meant, whatever it runs
	other                    // it can run the configuration through another path
)

// search is the state of Find.
type search struct {
	ctx     context.Context
	config  string
	found   []*Supervisor
	seen    map[string]bool // by the id of a supervisor
	others  []string        // configurations of supervisors that run another file
	foreign error           // a process that is not believed
	failure error           // a supervisor that is meant and does not answer
}

// otherTimeout is the time for the answer of one of the other supervisors: a process of any user
// can have such a name and not answer.
const otherTimeout = 200 * time.Millisecond

// try adds the supervisor at an address if it is meant.
func (s *search) try(address string, k origin) {
	conn, err := control.Dial(address)
	if err != nil {
		if !errors.Is(err, control.ErrNoSupervisor) && k != other && s.failure == nil {
			s.failure = err
		}
		return
	}
	defer conn.Close()
	ctx := s.ctx
	if k == other {
		var cancel context.CancelFunc
		ctx, cancel = WithTimeout(ctx, otherTimeout)
		defer cancel()
	}
	peer, err := control.PeerOf(conn)
	if err == nil {
		err = s.believe(peer, address, k)
	}
	var id api.Identity
	if err == nil {
		if id, err = Identify(ctx, conn); err == nil {
			err = checkName(id, address, k)
		}
	}
	switch {
	case errors.As(err, new(*ForeignError)):
		s.foreign = err
		return
	case err != nil:
		if k != other && s.failure == nil {
			s.failure = err
		}
		return
	}
	s.add(newSupervisor(id, peer, address), k)
}

// add adds a supervisor that is believed.
func (s *search) add(found *Supervisor, k origin) {
	path := found.Identity.ConfigPath()
	meant := k == named || k == given || s.config == "" || path == s.config ||
		sameFile(path, s.config)
	if k == configured && !meant {
		_, err := os.Stat(s.config)
		meant = errors.Is(err, os.ErrNotExist) // nothing says that another file is meant
	}
	switch {
	case s.seen[found.Identity.ID]:
	case meant:
		s.seen[found.Identity.ID] = true
		s.found = append(s.found, found)
	default:
		s.others = append(s.others, path)
	}
}

// believe returns an error if the process that listens may be an impostor. Root believes root and
// the owner of the configuration only: any user can execute our program and take the name. The
// first process of our own pid namespace is believed too: in a container it is the supervisor, and
// root comes in with another uid. At a path that the user gave, the owner of the directory is
// believed too, and every user if only root and we can create a socket there.
func (s *search) believe(p control.Peer, address string, k origin) error {
	if p.Trusted() || p.Pid == 1 || ownerOf(s.config) == p.UID {
		return nil
	}
	if (k == given || k == configured) && address[0] != '@' && mayListen(p.UID, address) {
		return nil
	}
	return &ForeignError{fmt.Sprintf("the control socket belongs to another user "+
		"(pid %d, uid %d)", p.Pid, p.UID)}
}

// mayListen reports whether a user is meant to listen on a path: others than root and the user of
// this process cannot create a socket in the directory, or it belongs to the user.
func mayListen(uid int, path string) bool {
	dir, _, err := files.OpenParent(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	return dir.Trusted() || dir.Owner() == uid
}

// ownerOf returns the uid of the owner of a file, or -1.
func ownerOf(path string) int {
	var st unix.Stat_t
	if path == "" || unix.Stat(path, &st) != nil {
		return -1
	}
	return int(st.Uid)
}

// checkName checks that the name of an address is that of the configuration which the process
// claims to run. A supervisor of another pid namespace or root directory has another name. The
// address that a user gave, or that is configured, has no such name.
func checkName(id api.Identity, address string, k origin) error {
	name := control.Name(id.ConfigPath())
	if k == given || k == configured || control.OfSlot(address) == name ||
		address[0] != '@' && isSlotFile(address, name) {
		return nil
	}
	return &ForeignError{"the process that has the control socket is no supervisor of " +
		"this configuration"}
}

// end returns the result of the search. notFound is the text of the error without a result.
func (s *search) end(notFound string) ([]*Supervisor, error) {
	switch {
	case len(s.found) > 0:
		return s.found, nil
	case s.failure != nil:
		return nil, s.failure
	}
	if s.foreign != nil {
		notFound += "; " + s.foreign.Error()
	}
	return nil, &NotFoundError{notFound}
}

// maxOthers is the number of other configurations that an error names.
const maxOthers = 5

// notFound returns what was tried.
func (s *search) notFound() string {
	text := "no supervisor runs here"
	if s.config != "" {
		text = "no supervisor runs with this configuration here: no process answers for " +
			s.config + " or for another path to that file"
	}
	slices.Sort(s.others)
	others := slices.Compact(s.others)
	if more := len(others) - maxOthers; more > 0 {
		others = append(others[:maxOthers], fmt.Sprintf("%d more", more))
	}
	if len(others) > 0 {
		text += "; the supervisors here run " + strings.Join(others, ", ")
	}
	return text
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// Identify asks for the identity of the supervisor at the other end of a connection, which can be
// used for nothing else then. An answer that is none of a supervisor is a [*ForeignError].
func Identify(ctx context.Context, c *net.UnixConn) (id api.Identity, err error) {
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	peer, err := control.PeerOf(c)
	if err != nil {
		return id, fmt.Errorf("cannot read the peer of the control socket: %w", err)
	}
	const request = "GET /v1/supervisor HTTP/1.1\r\nHost: supervisor\r\nConnection: close\r\n\r\n"
	_, err = io.WriteString(c, request)
	limited := bufio.NewReader(io.LimitReader(c, maxIdentity))
	resp, readErr := http.ReadResponse(limited, nil) // an answer can come before a closed end
	if readErr != nil {
		if ctx.Err() == nil && isDisconnect(errors.Join(err, readErr)) {
			return id, refusedBy(peer, readErr)
		}
		if ctx.Err() != nil {
			return id, fmt.Errorf("no answer from the supervisor (pid %d): %w", peer.Pid,
				context.Cause(ctx))
		}
		return id, notSupervisor()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return id, problemIn(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(&id); err != nil || id.ID == "" {
		return id, notSupervisor()
	}
	return id, nil
}

const maxIdentity = 256 << 10 // bytes; the list of --only is an argument of execve(2)
