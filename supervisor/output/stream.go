package output

import (
	"bytes"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/limits"
	"tp0/supervisor/output/lines"
)

// maxIdleLine is the largest unterminated line, in bytes, that a stream copies to a buffer of the
// line's size while it waits. For a longer line it keeps its read buffer.
const maxIdleLine = 4 << 10

// silence is how long a pipe must be empty before its goroutine ends. The beginning of a line
// before it is then taken for a prompt.
const silence = 200 * time.Millisecond

// A prompt is the beginning of a line after which a process is silent. The zero value looks for
// none.
type prompt struct {
	awaited func() bool
	observe func([]byte)
	shown   bool // the beginning of the line was observed
}

// A stream relays one pipe. A goroutine reads it, which ends after a silence. The poller starts
// another one when the pipe is readable again, and ends a stream at EOF itself. Apart from file and
// the fields after mu, the fields belong to the goroutine that holds the stream.
//
// The large buffers, in and out, exist only while there is something to read. A stream that waits
// keeps at most the beginning of a line.
type stream struct {
	file    *os.File
	fd      int
	poller  *poller
	sink    *sink
	from    origin
	form    *formatter
	ledger  fdledger.Registrar
	observe func([]byte) // is called with the unformatted lines
	onEnd   func()
	prompt  prompt
	retain  retained
	count   *relayed

	in   *readBuffer
	size int    // bytes in the buffer: the beginning of one line
	kept []byte // replaces in while the stream waits
	out  *batch // formatted lines that are not in the queue of the sink yet

	// Of the last read.
	got     int
	readErr error
	lines   lineCount
	empty   time.Time // since when there is nothing to read; zero if there was
	timed   bool      // the pipe has a deadline

	mu   sync.Mutex
	held bool // by a goroutine, or because the stream is not started or has ended
}

// newStream returns a stream that is held. It must be closed, also after an error.
func newStream(fd int, target string, p *poller, s *sink, form *formatter) (*stream, error) {
	st := &stream{
		file: os.NewFile(uintptr(fd), target), fd: fd, poller: p, sink: s, form: form, held: true,
	}
	// An error means that the poller of the runtime did not accept the descriptor. Each read of it
	// would block a thread.
	if err := st.file.SetReadDeadline(time.Time{}); err != nil {
		return st, err
	}
	return st, p.add(fd, st)
}

// close closes our end of the pipe.
func (st *stream) close() {
	st.poller.remove(st.fd)
	// The close of a read end reports no lost data.
	_ = st.ledger.Close(st.fd, st.file.Close)
}

// start waits for the pipe, or ends the stream if the output is closed already.
func (st *stream) start() {
	if !st.release() {
		go st.read()
	}
}

// release ends the hold of the stream until the pipe is readable. It returns false if the output is
// closed: the caller then holds the stream as before.
func (st *stream) release() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.from.closed() {
		return false
	}
	st.held = false
	st.poller.await(st.fd) // wake waits for st.mu
	return true
}

// hold reports whether the caller holds the stream from now on. It does not if it is held already.
func (st *stream) hold() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	held := st.held
	st.held = true
	return !held
}

// wake starts to read, unless the stream is held. [ChildOutput.Close] first closes closing and then
// calls wake: a stream is then held by its goroutine, which finds closing closed, or by wake.
func (st *stream) wake() {
	if st.hold() {
		go st.read()
	}
}

// finish ends the stream, unless it is held. Without the beginning of a line there is nothing that
// could wait for the sink, so no goroutine is needed: in a stop of many children they would delay
// the reaps.
func (st *stream) finish() {
	switch {
	case !st.hold():
	case st.size == 0 && len(st.kept) == 0 && st.atEnd():
		st.end()
	default:
		go st.read()
	}
}

// atEnd reports whether the pipe is empty and has no writer. The report of the poller is not
// enough: it can be about an earlier pipe, which had the same descriptor. Also, the kernel looks
// for bytes before it looks for writers (pipe_poll in fs/pipe.c), so a writer that writes and
// closes in between leaves bytes in a pipe that is reported as empty.
func (st *stream) atEnd() bool {
	fds := []unix.PollFd{{Fd: int32(st.fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); n != 1 || err != nil || fds[0].Revents&unix.POLLHUP == 0 {
		return false
	}
	left, err := unix.IoctlGetInt(st.fd, unix.TIOCINQ) // FIONREAD, pipe(7)
	return left == 0 && err == nil
}

// read is the goroutine of the stream. It ends after a silence, at EOF or when the ChildOutput is
// closed.
func (st *stream) read() {
	st.clearDeadline()
	conn, _ := st.file.SyscallConn() // an error means a nil file
	tryRead := st.tryRead            // one closure for all reads
	for {
		err := conn.Read(tryRead)
		if err != nil && !st.from.closed() && !st.silent() {
			st.clearDeadline()
			continue
		}
		if err != nil && st.release() {
			return
		}
		if err != nil { // the output is closed
			st.drain()
			break
		}
		if st.got <= 0 || st.readErr != nil {
			break
		}
		st.consume(st.got)
	}
	st.formatRest()
	st.end()
}

// end ends the stream when there is nothing left to relay. It does not block.
func (st *stream) end() {
	st.close()
	st.onEnd()
}

// tryRead reads once. It returns false if there is nothing to read, and then the poller of the
// runtime waits until the deadline. Before that it queues the formatted lines and gives the buffers
// back.
func (st *stream) tryRead(fd uintptr) bool {
	st.acquire()
	st.got, st.readErr = readOnce(int(fd), st.in[st.size:])
	if st.readErr != unix.EAGAIN {
		st.empty, st.prompt.shown = time.Time{}, false
		return true
	}
	st.enqueue()
	st.giveBack()
	if st.empty.IsZero() {
		st.empty = time.Now()
	}
	if !st.timed { // a deadline stays when bytes come, because each change of it costs a wake-up
		st.timed = true
		st.setDeadline(st.empty.Add(silence))
	}
	return false
}

// setDeadline sets the deadline of the pipe, unless Close has set it: Close first closes closing.
func (st *stream) setDeadline(at time.Time) {
	// An error means that the pipe is closed, and then the read fails too.
	_ = st.file.SetReadDeadline(at)
	if st.from.closed() {
		_ = st.file.SetReadDeadline(time.Unix(1, 0))
	}
}

func (st *stream) clearDeadline() {
	st.timed = false
	st.setDeadline(time.Time{})
}

// silent reports whether the deadline is the end of a silence, and then observes the beginning of a
// line before it.
func (st *stream) silent() bool {
	if st.empty.IsZero() || time.Since(st.empty) < silence {
		return false
	}
	begun := st.size > 0 || len(st.kept) > 0
	if p := &st.prompt; begun && p.awaited != nil && !p.shown && p.awaited() {
		p.shown = true
		st.acquire()
		p.observe(st.in[:st.size])
		st.giveBack()
	}
	return true
}

// moreWaits reports whether another large read can follow at once.
func (st *stream) moreWaits() bool {
	n, err := unix.IoctlGetInt(st.fd, unix.TIOCINQ) // FIONREAD, pipe(7)
	return err == nil && n >= readSize/2
}

// readOnce does not wait for a writer. The number of concurrent calls is limited all the same: when
// a thread is preempted in a system call, the runtime starts another one.
func readOnce(fd int, p []byte) (n int, err error) {
	for {
		limits.ReadSlots.Run(func() { n, err = unix.Read(fd, p) })
		if err != unix.EINTR {
			return n, err
		}
	}
}

// drain reads the bytes that are in the pipe at the time of the close, and no later ones. So it
// ends even if a process writes without pause.
func (st *stream) drain() {
	left, err := unix.IoctlGetInt(st.fd, unix.TIOCINQ) // FIONREAD, pipe(7)
	if err != nil {
		return
	}
	for left > 0 {
		st.acquire()
		n, _ := readOnce(st.fd, st.in[st.size:])
		if n <= 0 {
			return
		}
		st.consume(n)
		left -= n
	}
}

// acquire takes a read buffer and restores the kept line.
func (st *stream) acquire() {
	if st.in == nil {
		st.in = readBuffers.Get().(*readBuffer)
		st.size = copy(st.in[:], st.kept)
		st.kept = st.kept[:0]
	}
}

// giveBack returns the read buffer to the pool, unless it has more than maxIdleLine bytes of a
// line.
func (st *stream) giveBack() {
	if st.size > maxIdleLine {
		return
	}
	st.kept = append(st.kept, st.in[:st.size]...)
	readBuffers.Put(st.in)
	st.in, st.size = nil, 0
}

// consume formats the complete lines in the buffer after a read of n bytes, and moves the rest to
// the front.
func (st *stream) consume(n int) {
	data := st.in[:st.size+n]
	now := time.Now()
	st.lines = lineCount{}
	var rest []byte
	if st.form.kind == formatRaw {
		rest = st.appendRaw(data)
	} else {
		rest = st.appendLines(data, now)
	}
	complete := len(data) - len(rest)
	if complete == 0 {
		st.size = copy(st.in[:], rest)
		return
	}
	st.count.add(st.lines.n, complete)
	st.observe(data[:complete])
	switch {
	case complete < readSize/2:
		st.retain.keep(data[:complete], nil, st.lines, now)
	case st.retain.affords(complete, now):
		// The store can keep the whole buffer, which costs less than a copy.
		next := readBuffers.Get().(*readBuffer)
		st.size = copy(next[:], rest)
		if !st.retain.keep(data[:complete], st.in[:], st.lines, now) {
			readBuffers.Put(st.in)
		}
		st.in = next
		return
	case st.moreWaits():
		st.retain.skip(st.lines)
	default: // these can be the last lines for some time
		st.retain.keepTail(data[:complete], st.lines, now)
	}
	st.size = copy(st.in[:], rest)
}

func (st *stream) appendLines(data []byte, now time.Time) (rest []byte) {
	st.form.stamp(now)
	for {
		line, rest, end, ok := lines.Cut(data)
		if !ok {
			return rest
		}
		st.append(line, end)
		data = rest
	}
}

// appendRaw appends all complete lines at once.
func (st *stream) appendRaw(data []byte) (rest []byte) {
	n := bytes.LastIndexByte(data, '\n')
	if n >= 0 {
		st.append(data[:n], newline)
		data = data[n+1:]
	}
	if len(data) > maxLine {
		st.append(data, more)
		data = nil
	}
	return data
}

// append formats a line into the current batch.
func (st *stream) append(line []byte, end ending) {
	if st.out != nil && cap(st.out.b)-len(st.out.b) < st.form.formattedSize(line) {
		st.enqueue()
	}
	if st.out == nil {
		st.out = newBatch()
	}
	st.out.b = st.form.append(st.out.b, line, end)
	n := st.form.newlines(line, end)
	st.out.lines += n
	st.lines.n += max(n, 1)
	st.lines.end = end
}

// enqueue passes the current batch to the sink. It blocks while the queue of the sink is full.
func (st *stream) enqueue() {
	if st.out != nil {
		st.sink.put(st.out, &st.from)
		st.out = nil
	}
}

// formatRest formats the unterminated last line and queues the current batch.
func (st *stream) formatRest() {
	st.acquire()
	if st.size > 0 {
		now := time.Now()
		st.form.stamp(now)
		st.lines = lineCount{}
		st.append(st.in[:st.size], eof)
		st.count.add(st.lines.n, st.size)
		st.observe(st.in[:st.size])
		st.retain.keep(st.in[:st.size], nil, st.lines, now)
	}
	st.enqueue()
	readBuffers.Put(st.in)
	st.in = nil
}
