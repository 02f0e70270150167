package spawn

import (
	"fmt"
	"reflect"
	"slices"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// Prepared is a process that can be forked.
type Prepared struct {
	// Barrier stops the child between fork and exec. If it is nil, the child executes its command
	// at once, and Fork returns after that.
	Barrier *Barrier
	// Inherited are the sockets of the spec, with their numbers in the child. The supervisor's
	// ledger has them, so they are not descriptors of the child's own.
	Inherited []procfs.FD

	spec     Spec
	files    []int // descriptors of the supervisor; the index is the number in the child
	childEnd int   // the child's end of the barrier; valid if Barrier is not nil
}

// Prepare opens what the child of a spec needs. Any goroutine except the loop's may call it. It
// fails if no socket can be created, and then leaves nothing open. The caller must call
// CloseChildEnd once the files are handed over, and end the barrier with Release or Close.
func Prepare(s Spec, ledger fdledger.Registrar) (*Prepared, error) {
	p := &Prepared{spec: s, files: []int{s.Stdin, s.Stdout, s.Stderr}}
	p.addSockets()
	if !s.needsStartVerb() {
		return p, nil
	}
	return p, p.addBarrier(ledger)
}

// PrepareProbe is Prepare for the command of a probe. Of the spec, which must be resolved
// ([Spec.Resolve]), it uses the fields up to Stderr and the attributes. The command has a process
// group of its own, and gets SIGKILL when the loop's thread ends.
//
// Go's fork can set the user and the groups. Other attributes need the start verb, which costs some
// milliseconds of CPU time for each probe.
func PrepareProbe(s Spec, ledger fdledger.Registrar) (*Prepared, error) {
	p := &Prepared{
		spec: Spec{
			Name: s.Name, Path: s.Path, Argv: s.Argv, Env: s.Env, Dir: s.Dir,
			Attributes: s.Attributes, probe: true,
		},
		files: []int{s.Stdin, s.Stdout, s.Stderr},
	}
	a := &s.Attributes
	if reflect.DeepEqual(*a, Attributes{UID: a.UID, GID: a.GID, Groups: a.Groups}) {
		return p, nil
	}
	return p, p.addBarrier(ledger)
}

// addBarrier adds the barrier of the start verb.
func (p *Prepared) addBarrier(ledger fdledger.Registrar) (err error) {
	if p.Barrier, p.childEnd, err = newBarrier(p.spec.Name, ledger); err != nil {
		return err
	}
	p.files = append(p.files, p.childEnd)
	return nil
}

// addSockets adds the sockets of the spec to the files and to the environment of the child.
func (p *Prepared) addSockets() {
	sockets := p.spec.Sockets
	if len(sockets) == 0 {
		return
	}
	names := make([]string, len(sockets))
	for i, socket := range sockets {
		p.files = append(p.files, socket.FD)
		names[i] = socket.Name
		// On an error the socket counts as a descriptor of the child's own.
		if fd, err := procfs.OwnFD(socket.FD); err == nil {
			fd.Num = firstSocket + i
			p.Inherited = append(p.Inherited, fd)
		}
	}
	p.spec.Env = listenEnv(p.spec.Env, names)
	p.spec.PidVariables = append(slices.Clip(p.spec.PidVariables), listenPid)
}

// Files returns the supervisor's descriptors that Fork needs duplicates of, in this order. The
// supervisor may close its own descriptors once they are handed over.
func (p *Prepared) Files() []int { return p.files }

// CloseChildEnd closes the supervisor's copy of the child's end of the barrier. The barrier detects
// the exec or the death of the child when the last copy is closed.
func (p *Prepared) CloseChildEnd() {
	if p.Barrier != nil {
		_ = unix.Close(p.childEnd)
	}
}

// NotCloseOnExec returns the supervisor's descriptors that every child inherits, without the
// standard streams. The supervisor inherited these without close-on-exec; it opens its own
// descriptors with the flag. On the loop's thread the result is about the table of that thread.
func NotCloseOnExec() ([]procfs.FD, error) {
	own, err := procfs.OwnFDs()
	if err != nil {
		return nil, fmt.Errorf("cannot list our own descriptors: %w", err)
	}
	inherited := []procfs.FD{}
	for _, f := range own {
		flags, err := unix.FcntlInt(uintptr(f.Num), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && !f.IsStandard() {
			inherited = append(inherited, f)
		}
	}
	return inherited, nil
}
