package output

import (
	"bytes"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/limits"
)

// readSize is room for a line that is not yet too long, and for some more to
// be read behind it.
const readSize = lineCap + 4<<10

// keepSize is up to where the unterminated line of a stream that waits is kept
// in a buffer of its own size.
const keepSize = 4 << 10

type readBuffer [readSize]byte

var readBuffers = sync.Pool{New: func() any { return new(readBuffer) }}

// A stream reads one pipe. Its fields belong to the goroutine in read; file
// alone is used by others, to set a deadline.
//
// The large buffers, in and out, are there only while there is something to
// read: a stream that waits has its goroutine, and the beginning of a line at
// most.
type stream struct {
	file *os.File
	conn syscall.RawConn
	fd   int
	run  *ChildOutput
	sink *sink
	from origin
	form *formatter

	in   *readBuffer
	size int    // of what is in there: it begins with a line, and has no whole one
	kept []byte // instead of in while waiting
	out  *batch // formatted, not yet handed over

	got    int // of the last read
	failed error
}

func newStream(r *ChildOutput, fd int, name, target string, s *sink) *stream {
	st := &stream{
		file: os.NewFile(uintptr(fd), target), fd: fd, run: r, sink: s,
		from: origin{closing: r.closing},
		form: newFormatter(r.spec.Format, r.spec.Instance, name),
	}
	st.conn, _ = st.file.SyscallConn() // it fails for nil only
	return st
}

// close closes our end of the pipe.
func (st *stream) close() {
	// A pipe that is only read has nothing to tell at its close.
	_ = st.run.hub.opt.FDs.Close(st.fd, st.file.Close)
}

// read is the stream's goroutine: it ends at EOF or when the run is closed.
func (st *stream) read() {
	tryRead := st.tryRead // one closure, not one a read
	for {
		err := st.conn.Read(tryRead)
		if err != nil { // the deadline, which Close has set
			st.drain()
			break
		}
		if st.got <= 0 || st.failed != nil {
			break
		}
		st.advance(st.got)
	}
	st.finish()
	st.close()
	if st.run.reading.Add(-1) == 0 {
		st.run.end()
	}
}

// tryRead reads once. It returns false if there is nothing to read, and the
// poller is to wait: so before that everything is handed over and the buffers
// are let go.
func (st *stream) tryRead(fd uintptr) bool {
	st.acquire()
	st.got, st.failed = readOnce(int(fd), st.in[st.size:])
	if st.failed != unix.EAGAIN {
		return true
	}
	st.handOver()
	st.park()
	return false
}

// readOnce never waits for a writer. Yet a thread can lose its processor in the
// call, and the runtime then uses another thread, so the reads are bounded.
func readOnce(fd int, p []byte) (n int, err error) {
	for {
		limits.ReadSlots.Run(func() { n, err = unix.Read(fd, p) })
		if err != unix.EINTR {
			return n, err
		}
	}
}

// drain reads what is in the pipe as the run is closed, and no more, so that it
// ends however fast somebody goes on writing.
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
		st.advance(n)
		left -= n
	}
}

func (st *stream) acquire() {
	if st.in == nil {
		st.in = readBuffers.Get().(*readBuffer)
		st.size = copy(st.in[:], st.kept)
		st.kept = st.kept[:0]
	}
}

// park gives the read buffer back, unless much of a line is in it.
func (st *stream) park() {
	if st.size > keepSize {
		return
	}
	st.kept = append(st.kept, st.in[:st.size]...)
	readBuffers.Put(st.in)
	st.in, st.size = nil, 0
}

// advance passes on the whole lines of what is in the buffer, n bytes of it
// new, and moves the rest to the front.
func (st *stream) advance(n int) {
	data := st.in[:st.size+n]
	var rest []byte
	if st.form.kind == formatRaw {
		rest = st.passRaw(data)
	} else {
		rest = st.passLines(data)
	}
	if passed := len(data) - len(rest); passed > 0 {
		st.run.note(data[:passed])
	}
	st.size = copy(st.in[:], rest)
}

func (st *stream) passLines(data []byte) (rest []byte) {
	st.form.stamp(time.Now())
	for {
		line, rest, end, ok := cut(data)
		if !ok {
			return rest
		}
		st.pass(line, end)
		data = rest
	}
}

// passRaw passes on lines without a look at each.
func (st *stream) passRaw(data []byte) (rest []byte) {
	n := bytes.LastIndexByte(data, '\n')
	if n >= 0 {
		st.pass(data[:n], newline)
		data = data[n+1:]
	}
	if len(data) > lineCap {
		st.pass(data, more)
		data = nil
	}
	return data
}

// pass formats a line into the batch in hand.
func (st *stream) pass(line []byte, end ending) {
	if st.out != nil && cap(st.out.b)-len(st.out.b) < st.form.room(line) {
		st.handOver()
	}
	if st.out == nil {
		st.out = newBatch()
	}
	st.out.b = st.form.append(st.out.b, line, end)
}

func (st *stream) handOver() {
	if st.out != nil {
		st.sink.put(st.out, &st.from)
		st.out = nil
	}
}

// finish passes on the unterminated line at the end, and what is in hand.
func (st *stream) finish() {
	st.acquire()
	if st.size > 0 {
		st.form.stamp(time.Now())
		st.pass(st.in[:st.size], eof)
		st.run.note(st.in[:st.size])
	}
	st.handOver()
	readBuffers.Put(st.in)
	st.in = nil
}
