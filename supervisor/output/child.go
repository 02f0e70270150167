package output

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/output/retain"
)

// A ChildOutput relays the output of one process of a child.
type ChildOutput struct {
	sinks   *sinkSet
	poller  *poller
	spec    Spec
	ends    [2]childEnd
	streams []*stream
	reading atomic.Int32 // streams that have not ended
	paths   []string     // the acquired files; a path is listed once for each stream
	tail    tail

	lines      *retain.Store
	instance   *retain.Instance // nil: the process has no stream
	timestamps atomic.Bool

	closing   chan struct{} // closed by Close
	closeOnce sync.Once     // closes closing
	onEnd     func()
	done      chan struct{}
}

// A childEnd is a descriptor for the process.
type childEnd struct {
	fd  int
	own bool // we have to close it
}

var streamNames = [2]string{"stdout", "stderr"}

func newChildOutput(
	sinks *sinkSet, poller *poller, lines *retain.Store, spec Spec,
) *ChildOutput {
	return &ChildOutput{
		sinks: sinks, poller: poller, lines: lines, spec: spec,
		closing: make(chan struct{}), done: make(chan struct{}),
	}
}

func (c *ChildOutput) prepare() error {
	switch c.spec.Format {
	case formatText, formatJSON, formatRaw, formatInherit:
	default:
		return fmt.Errorf("unknown format %q", c.spec.Format)
	}
	for i, dest := range [2]string{c.spec.Stdout, c.spec.Stderr} {
		var err error
		switch {
		case dest == "":
			err = fmt.Errorf("no destination for %s", streamNames[i])
		case dest == destNone:
			c.ends[i], err = openDirect(openNull())
		case c.spec.Format == formatInherit:
			c.ends[i], err = c.inherit(dest)
		default:
			c.ends[i], err = c.openPipe(retain.Stream(i), dest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inherit returns the descriptor for a process that writes to the destination itself.
func (c *ChildOutput) inherit(dest string) (childEnd, error) {
	var f *os.File
	switch dest {
	case destStdout:
		f = c.sinks.opt.Stdout
	case destStderr:
		f = c.sinks.opt.Stderr
	default:
		fd, _, err := c.sinks.openings.openFor(dest, c.spec.UID, true)
		return openDirect(fd, err)
	}
	if fd := number(f); fd >= 0 {
		letReopenInherited(fd, c.spec.UID)
		return childEnd{fd: fd}, nil
	}
	return childEnd{}, fmt.Errorf("%s is not open", dest)
}

// openNull opens /dev/null to write.
func openNull() (int, error) {
	fd, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open", err)
}

// openDirect passes on a descriptor that was opened for the process. Programs expect blocking
// writes.
func openDirect(fd int, err error) (childEnd, error) {
	if err != nil {
		return childEnd{}, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return childEnd{}, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	return childEnd{fd, true}, nil
}

// openPipe opens the pipe of one stream. Only our end is non-blocking: the flag belongs to each
// end (open file description), and programs expect blocking writes.
func (c *ChildOutput) openPipe(of retain.Stream, dest string) (childEnd, error) {
	s, path, err := c.sinks.acquire(dest, c.spec.UID)
	if err != nil {
		return childEnd{}, err
	}
	if path != "" {
		c.paths = append(c.paths, path)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return childEnd{}, os.NewSyscallError("pipe2", err)
	}
	letReopen(p[1], c.spec.UID)
	target := c.spec.Instance + " " + of.String()
	if hook := c.spec.Hook; hook != "" {
		target = c.spec.Instance + " " + hook + " " + of.String()
		c.sinks.opt.FDs.OpenedInternal(p[0], "pipe", target)
	} else {
		c.sinks.opt.FDs.Opened(p[0], "pipe", target)
	}
	nonblockErr := unix.SetNonblock(p[0], true)
	st, err := newStream(p[0], target, c.poller, s, newFormatter(
		c.spec.Format, &c.spec, of.String(), c.sinks.styleOf(&c.spec, s.to),
		c.timestamps.Load))
	st.retain.stream = of
	st.from.closing, st.ledger = c.closing, c.sinks.opt.FDs
	st.observe, st.onEnd = c.recordLines, c.streamEnded
	if c.spec.Lines != nil && c.spec.Awaited != nil {
		st.prompt = prompt{awaited: c.spec.Awaited, observe: c.spec.Lines}
	}
	c.streams = append(c.streams, st)
	if err = cmp.Or(nonblockErr, err); err != nil {
		return childEnd{}, errors.Join(
			fmt.Errorf("cannot poll the pipe: %w", err), unix.Close(p[1]))
	}
	return childEnd{p[1], true}, nil
}

// ChildFiles returns the descriptors for 1 and 2 of the process. They are close-on-exec, can be
// equal or be our own 1 and 2, and are valid until [ChildOutput.Started].
func (c *ChildOutput) ChildFiles() (stdout, stderr int) { return c.ends[0].fd, c.ends[1].fd }

// Started closes our copies of the process's descriptors and starts to read. Call it exactly
// once: after the process was spawned, or after the spawn failed (the streams are then at EOF).
func (c *ChildOutput) Started() {
	c.closeEnds()
	if len(c.streams) == 0 {
		c.end()
		return
	}
	var number uint32
	if c.spec.Hook == "" {
		c.instance, number = c.lines.Open(c.spec.Instance, c.spec.Child)
	} else {
		c.instance, number = c.lines.OpenHook(
			c.spec.Instance, c.spec.Child, c.spec.NextProcess)
	}
	for _, st := range c.streams {
		st.retain = retained{
			store: c.lines, instance: c.instance, process: number, stream: st.retain.stream,
			hook: retain.HookNamed(c.spec.Hook), budget: keepBurst,
		}
	}
	c.reading.Store(int32(len(c.streams)))
	for _, st := range c.streams {
		st.start()
	}
}

func (c *ChildOutput) streamEnded() {
	if c.reading.Add(-1) == 0 {
		c.end()
	}
}

func (c *ChildOutput) end() {
	if c.instance != nil {
		c.lines.Release(c.instance)
	}
	c.releaseFiles()
	c.onEnd()
	close(c.done)
}

// discard closes everything that prepare opened.
func (c *ChildOutput) discard() {
	c.closeEnds()
	for _, st := range c.streams {
		st.close()
	}
	c.releaseFiles()
}

func (c *ChildOutput) closeEnds() {
	for i, e := range c.ends {
		if e.own {
			_ = unix.Close(e.fd) // nothing was written to it
		}
		c.ends[i] = childEnd{fd: -1}
	}
}

func (c *ChildOutput) releaseFiles() {
	for _, path := range c.paths {
		c.sinks.release(path)
	}
}

// recordLines records lines before they are relayed.
func (c *ChildOutput) recordLines(block []byte) {
	c.tail.add(block)
	if c.spec.Lines != nil {
		c.spec.Lines(block)
	}
}

// Done is closed once both streams have ended, at EOF or by Close, and all lines are in the
// queues of their sinks. [Relay.Flush] waits until they are written.
func (c *ChildOutput) Done() <-chan struct{} { return c.done }

// Tail returns the beginnings of the last lines of both streams, at most five of 200 bytes,
// oldest first and without blank lines. Control characters are escaped, and the text is valid
// UTF-8. Tail may be called at any time and is complete once Done is closed.
func (c *ChildOutput) Tail() []string { return c.tail.list() }

// Close ends the streams, even if a process still has the other ends open: bytes that are in the
// pipes are relayed, then the pipes are closed. The streams no longer wait for a sink: lines that
// do not fit into 4 MiB of its queue are dropped and counted. So Done is closed shortly after
// Close, if Started was called. Close does not wait for Done, and may be called repeatedly.
func (c *ChildOutput) Close() {
	c.closeOnce.Do(func() {
		close(c.closing)
		for _, st := range c.streams {
			// An error means that the stream has ended already.
			_ = st.file.SetReadDeadline(time.Unix(1, 0))
			st.wake()
		}
	})
}
