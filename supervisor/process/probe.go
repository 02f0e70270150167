package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/limits"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/termtext"
)

var errProbeTimeout = errors.New("the command did not end in time")

// ErrProbeNotStarted is in the error of [Loop.RunProbe] if the command was not started for a
// reason of the supervisor: a resource was short, or the loop was late.
var ErrProbeNotStarted = errors.New("the command was not started")

// RunProbe runs a command in a process group of its own and waits for its end. It returns nil
// for exit code 0, else an error that says how the command ended, with the end of its output.
// When ctx ends first, the group gets SIGKILL. When the command ends, processes that are left
// in the group get SIGKILL. [spawn.PrepareProbe] says which fields of s are used: a probe has the
// rights and the attributes of the child that it checks.
func (l *Loop) RunProbe(ctx context.Context, s spawn.Spec) error {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w in time", ErrProbeNotStarted)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		<-l.slots
		return fmt.Errorf("%w: cannot make a pipe: %w", ErrProbeNotStarted, err)
	}
	l.opt.FDs.OpenedInternal(pipe[0], "pipe", s.Name+" probe")
	_ = unix.SetNonblock(pipe[0], true) // on this end alone, so that Go's poller takes it
	output := os.NewFile(uintptr(pipe[0]), "probe")
	words := make(chan string, 1)
	go func() { words <- readTail(output) }()

	s.Stdout, s.Stderr = pipe[1], pipe[1]
	p, err := l.queueProbe(s)
	_ = unix.Close(pipe[1])
	if err == nil {
		err = p.explain(l.awaitProbe(ctx, p))
	}
	// A process that left the group may keep the pipe open.
	_ = output.SetReadDeadline(time.Now().Add(killWait))
	said := <-words
	_ = l.opt.FDs.Close(pipe[0], output.Close)
	if err != nil && said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// queueProbe hands a probe command over to the loop's thread. The caller has a slot, and calls
// explain at the end.
func (l *Loop) queueProbe(s spawn.Spec) (*probe, error) {
	prepared, err := spawn.PrepareProbe(s, l.opt.FDs)
	if err != nil {
		<-l.slots
		return nil, fmt.Errorf("%w: %w", ErrProbeNotStarted, err)
	}
	defer prepared.CloseChildEnd()
	p := &probe{prepared: prepared, ended: make(chan error, 1)}
	if b := prepared.Barrier; b != nil {
		p.failure = make(chan error, 1)
		go func() { p.failure <- b.Release() }() // the release can come before the fork
	}
	l.withFDs(prepared.Files(), func(own []int, err error) {
		<-l.slots
		l.startProbe(p, own, err)
	})
	return p, nil
}

// explain returns the error of the start verb, if that is why the process ended with err. It ends
// the wait for the start verb.
func (p *probe) explain(err error) error {
	if p.failure == nil {
		return err
	}
	late := time.AfterFunc(killWait, p.prepared.Barrier.Close)
	defer late.Stop()
	if failure := <-p.failure; err != nil && spawn.FromStartVerb(failure) {
		return fmt.Errorf("the command cannot be run: %w", failure)
	}
	return err
}

// awaitProbe waits for the end of a probe command.
func (l *Loop) awaitProbe(ctx context.Context, p *probe) error {
	select {
	case err := <-p.ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-p.ended: // both may have come at once
		return err
	default:
	}
	started := p.started.Load()
	l.commands.Put(func() {
		p.cancelled = true
		l.killProbe(p)
	})
	select {
	case err := <-p.ended:
		if errors.Is(err, ErrProbeNotStarted) {
			return err
		}
	case <-time.After(killWait):
	}
	if !started { // the loop was late, not the command: no verdict
		return fmt.Errorf("%w in time", ErrProbeNotStarted)
	}
	return errProbeTimeout
}

// readTail reads to EOF and returns the end of the text in one line.
func readTail(r io.Reader) string {
	var kept []byte
	buffer := make([]byte, 4096)
	for {
		n, err := r.Read(buffer)
		kept = append(kept, buffer[:n]...)
		kept = kept[max(len(kept)-maxProbeOutput, 0):]
		if err != nil {
			break
		}
	}
	return strings.TrimSpace(termtext.Spaces(string(kept)))
}

// startProbe forks a probe command.
func (l *Loop) startProbe(p *probe, own []int, err error) {
	if p.cancelled {
		return
	}
	if err != nil {
		p.ended <- fmt.Errorf("%w: %w", ErrProbeNotStarted, err)
		return
	}
	pid, err := p.prepared.Fork(own, l.opt.Inherit)
	switch {
	case limits.MeansShortage(err):
		p.ended <- fmt.Errorf("%w: %w", ErrProbeNotStarted, err)
		return
	case err != nil:
		p.ended <- fmt.Errorf("the command cannot be run: %w", err)
		return
	}
	p.pid = pid
	p.started.Store(true)
	l.running[pid] = p
}

// killProbe kills the process group of a probe command that is not reaped yet, so that the
// number of the group is valid.
func (l *Loop) killProbe(p *probe) {
	if p.pid != 0 && l.running[p.pid] == p {
		_ = unix.Kill(-p.pid, unix.SIGKILL)
	}
}

// probeEnded reports how a probe command ended.
func (l *Loop) probeEnded(p *probe, exit event.Exit) {
	delete(l.running, p.pid)
	switch {
	case exit.OK():
		p.ended <- nil
	case exit.Signal != "":
		p.ended <- errors.New("the command ended by " + exit.Signal)
	default:
		p.ended <- fmt.Errorf("the command exited with code %d", exit.Code)
	}
}
