package output

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Spec is what a run needs from the relay.
type Spec struct {
	Instance string
	// Format is one of
	//
	//	text     `[instance] line`, control characters made visible (\x1b, \u009b)
	//	json     one object a line: @timestamp (of the read), @module, stream, @message
	//	raw      the bytes as they came, control characters included
	//	inherit  no relay: the child gets the descriptor itself
	//
	// A line of more than 64 KiB is passed on in pieces: every piece but the
	// last ends with … in text and has "partial": true in json. The
	// unterminated end of a stream gets a newline in text and json. In raw it
	// stays without one, and one comes before the next line only if that is
	// somebody else's.
	Format string
	// Stdout and Stderr say where each stream goes: stdout, stderr, none
	// (/dev/null) or a path, which is created (0644) if need be and appended
	// to. A FIFO that nobody reads is an error.
	Stdout, Stderr string
	// Lines, if not nil, is called with what of either stream is passed on, as it
	// came: whole lines, or the pieces of one that is too long. Two goroutines
	// call it, it must not keep what it gets, and nothing is read meanwhile.
	Lines func([]byte)
}

// A Run is the relay of one run of an instance.
type ChildOutput struct {
	hub     *Relay
	spec    Spec
	ends    [2]childEnd
	streams []*stream
	reading atomic.Int32 // streams that have not ended
	paths   []string     // of the files in use, one entry for each use
	tail    tail
	closing chan struct{} // closed by Close
	once    sync.Once
	done    chan struct{}
}

// A childEnd is a descriptor for a child.
type childEnd struct {
	fd  int
	own bool // ours to close
}

var streamNames = [2]string{"stdout", "stderr"}

// Prepare opens what a run needs, two descriptors for the supervisor and two for the child at most,
// and a file that no other run writes to. On an error everything it opened is closed again;
// otherwise [Run.Started] must be called.
//
// The read ends of the pipes and the files are entered in the books. The child's ends are not: they
// are ours from here to Started only.
func (h *Relay) Prepare(spec Spec) (*ChildOutput, error) {
	r := &ChildOutput{hub: h, spec: spec, closing: make(chan struct{}), done: make(chan struct{})}
	err := r.prepare()
	if err == nil && !h.enter(r) {
		err = errClosed
	}
	if err != nil {
		r.closeEnds()
		for _, st := range r.streams {
			st.close()
		}
		r.releaseFiles()
		return nil, fmt.Errorf("cannot prepare the output of %s: %w", spec.Instance, err)
	}
	return r, nil
}

func (h *Relay) enter(r *ChildOutput) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.runs[r] = struct{}{}
	}
	return !h.closed
}

func (h *Relay) leave(r *ChildOutput) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.runs, r)
}

func (r *ChildOutput) prepare() error {
	switch r.spec.Format {
	case formatText, formatJSON, formatRaw, formatInherit:
	default:
		return fmt.Errorf("unknown format %q", r.spec.Format)
	}
	for i, dest := range [2]string{r.spec.Stdout, r.spec.Stderr} {
		var err error
		switch {
		case dest == "":
			err = fmt.Errorf("no destination for %s", streamNames[i])
		case dest == destNone:
			r.ends[i], err = direct(os.DevNull)
		case r.spec.Format == formatInherit:
			r.ends[i], err = r.inherit(dest)
		default:
			r.ends[i], err = r.pipe(streamNames[i], dest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inherit returns what a child that writes past us gets.
func (r *ChildOutput) inherit(dest string) (childEnd, error) {
	var f *os.File
	switch dest {
	case destStdout:
		f = r.hub.opt.Stdout
	case destStderr:
		f = r.hub.opt.Stderr
	default:
		return direct(dest)
	}
	if fd := number(f); fd >= 0 {
		return childEnd{fd: fd}, nil
	}
	return childEnd{}, fmt.Errorf("%s is not open", dest)
}

// direct opens a path for the child itself, which expects that writes block.
func direct(path string) (childEnd, error) {
	fd, err := openFile(path)
	if err != nil {
		return childEnd{}, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return childEnd{}, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	return childEnd{fd, true}, nil
}

// pipe opens the pipe of one stream. Only our end is non-blocking: the flag
// belongs to each end (open file description), and children expect to block.
func (r *ChildOutput) pipe(name, dest string) (childEnd, error) {
	s, path, err := r.hub.sink(dest)
	if err != nil {
		return childEnd{}, err
	}
	if path != "" {
		r.paths = append(r.paths, path)
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return childEnd{}, os.NewSyscallError("pipe2", err)
	}
	target := r.spec.Instance + " " + name
	r.hub.opt.FDs.Opened(p[0], "pipe", target)
	err = unix.SetNonblock(p[0], true)
	st := newStream(r, p[0], name, target, s)
	r.streams = append(r.streams, st)
	if err == nil {
		// It fails where the poller did not take the descriptor, which
		// could then not be read without a thread that blocks.
		err = st.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return childEnd{}, errors.Join(fmt.Errorf("cannot poll the pipe: %w", err),
			unix.Close(p[1]))
	}
	return childEnd{p[1], true}, nil
}

// ChildFiles returns the descriptors that the child shall have as 1 and 2. They
// are close-on-exec, may be equal or our own 1 and 2, and are valid until
// [Run.Started].
func (r *ChildOutput) ChildFiles() (stdout, stderr int) { return r.ends[0].fd, r.ends[1].fd }

// Started says that the child has its descriptors, or that it could not be
// spawned (EOF follows at once then): our copies are closed and the reading
// begins. It must be called exactly once.
func (r *ChildOutput) Started() {
	r.closeEnds()
	if len(r.streams) == 0 {
		r.end()
		return
	}
	r.reading.Store(int32(len(r.streams)))
	for _, st := range r.streams {
		go st.read()
	}
}

// end follows the last stream.
func (r *ChildOutput) end() {
	r.releaseFiles()
	r.hub.leave(r)
	close(r.done)
}

func (r *ChildOutput) closeEnds() {
	for i, e := range r.ends {
		if e.own {
			_ = unix.Close(e.fd) // nothing was written through it
		}
		r.ends[i] = childEnd{fd: -1}
	}
}

func (r *ChildOutput) releaseFiles() {
	for _, path := range r.paths {
		r.hub.release(path)
	}
}

// note looks at lines that are passed on.
func (r *ChildOutput) note(block []byte) {
	r.tail.note(block)
	if r.spec.Lines != nil {
		r.spec.Lines(block)
	}
}

// Done is closed once both streams were read to EOF, or closed, and all that
// was read is handed to the sinks ([Hub.Flush] tells when it is written).
func (r *ChildOutput) Done() <-chan struct{} { return r.done }

// Tail returns the beginnings of the last lines, five of 200 bytes at most,
// that the run printed on either stream, oldest first; blank ones are left out.
// They are fit for a log: control characters escaped, valid UTF-8. It may be
// called at any time, and is complete once Done is closed.
func (r *ChildOutput) Tail() []string { return r.tail.strings() }

// Close ends the reading: what is in the pipes now is still passed on, then they
// are closed, whoever may hold the other ends. Nothing waits for a sink any
// more: what does not fit into 4 MiB of its queue is dropped and counted. So
// Done is closed shortly after, if the run was started. Close does not wait for
// that; it may be called at any time and often.
func (r *ChildOutput) Close() {
	r.once.Do(func() {
		close(r.closing)
		for _, st := range r.streams {
			// It fails if the stream has ended already.
			_ = st.file.SetReadDeadline(time.Unix(1, 0))
		}
	})
}
