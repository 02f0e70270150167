package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/limits"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/termtext"
)

// trial is a command that is run to see how it ends. It is no run: the books
// count it neither as spawned nor as reaped, and nobody looks at what it has
// open. The loop's thread owns it.
type trial struct {
	pid     int         // 0: not spawned
	started atomic.Bool // it was spawned; for others than the loop
	off     bool        // nobody wants it any more
	ended   chan error  // takes one
}

const (
	mostTries = 16                     // that were handed over and not taken yet
	mostWords = 200                    // bytes of its output that are kept
	killLimit = 100 * time.Millisecond // for the kernel to end what was killed; what it cannot end is let be
)

var errTooLate = errors.New("the command did not end in time")

// ErrProbeNotStarted is part of the error of [Loop.RunProbe] if the command was not started
// for a reason of ours: what a spawn needs was short, or the loop was late.
var ErrProbeNotStarted = errors.New("the command was not started")

// probes are the trials that are under way.
type probes struct {
	tries  chan struct{}  // full: the loop is to take some first; for any goroutine
	trials map[int]*trial // by pid
}

func newProbes() probes {
	return probes{tries: make(chan struct{}, mostTries), trials: map[int]*trial{}}
}

// RunProbe runs a command in a process group of its own and waits for its end. It
// returns nil if that is exit code 0, else how it ended, with the last that it
// printed. When ctx ends first, the group gets SIGKILL, and so does whatever is
// left of it at the command's end. Of s the fields up to Stdin are used, and the
// user and groups: a probe runs with the rights of what it looks at.
func (l *Loop) RunProbe(ctx context.Context, s spawn.Spec) error {
	select {
	case l.tries <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w in time", ErrProbeNotStarted)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		<-l.tries
		return fmt.Errorf("%w: cannot make a pipe: %w", ErrProbeNotStarted, err)
	}
	l.opt.FDs.Opened(pipe[0], "pipe", s.Name+" probe")
	_ = unix.SetNonblock(pipe[0], true) // our end alone, so that the poller takes it
	output := os.NewFile(uintptr(pipe[0]), "probe")
	words := make(chan string, 1)
	go func() { words <- lastWords(output) }()

	t := &trial{ended: make(chan error, 1)}
	l.hand([]int{s.Stdin, pipe[1], pipe[1]}, func(own []int, err error) {
		<-l.tries
		l.try(t, s, own, err)
	})
	_ = unix.Close(pipe[1])
	err := l.outcome(ctx, t)
	_ = output.SetReadDeadline(time.Now().Add(killLimit)) // what left the group may hold the other end
	said := <-words
	_ = l.opt.FDs.Close(pipe[0], output.Close)
	if err != nil && said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// outcome waits for the end of a trial.
func (l *Loop) outcome(ctx context.Context, t *trial) error {
	select {
	case err := <-t.ended:
		return err
	case <-ctx.Done():
	}
	started := t.started.Load()
	l.cmds.Put(func() {
		t.off = true
		l.killTrial(t)
	})
	select {
	case err := <-t.ended:
		if errors.Is(err, ErrProbeNotStarted) {
			return err
		}
	case <-time.After(killLimit):
	}
	if !started { // the loop was late, not the command
		return fmt.Errorf("%w in time", ErrProbeNotStarted)
	}
	return errTooLate
}

// lastWords reads to the end and returns the last of it in one line.
func lastWords(r io.Reader) string {
	var kept []byte
	buffer := make([]byte, 4096)
	for {
		n, err := r.Read(buffer)
		kept = append(kept, buffer[:n]...)
		kept = kept[max(len(kept)-mostWords, 0):]
		if err != nil {
			break
		}
	}
	return strings.TrimSpace(termtext.Spaces(string(kept)))
}

func (l *Loop) try(t *trial, s spawn.Spec, own []int, err error) {
	if t.off {
		return
	}
	if err != nil {
		t.ended <- fmt.Errorf("%w: %w", ErrProbeNotStarted, err)
		return
	}
	pid, err := spawn.ForkProbe(s, own)
	switch {
	case limits.MeansShortage(err):
		t.ended <- fmt.Errorf("%w: %w", ErrProbeNotStarted, err)
		return
	case err != nil:
		t.ended <- fmt.Errorf("the command cannot be run: %w", err)
		return
	}
	t.pid = pid
	t.started.Store(true)
	l.trials[pid] = t
}

// killTrial kills the group of a trial that is not reaped yet, whose number is
// therefore still its own.
func (l *Loop) killTrial(t *trial) {
	if t.pid != 0 && l.trials[t.pid] == t {
		_ = unix.Kill(-t.pid, unix.SIGKILL)
	}
}

// tried tells how a trial ended.
func (l *Loop) tried(t *trial, exit event.Exit) {
	delete(l.trials, t.pid)
	switch {
	case exit.OK():
		t.ended <- nil
	case exit.Signal != "":
		t.ended <- errors.New("the command ended by " + exit.Signal)
	default:
		t.ended <- fmt.Errorf("the command exited with code %d", exit.Code)
	}
}
