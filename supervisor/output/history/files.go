package history

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/limits"
)

// Tests change the variables.
var (
	// maxUnpacked is how many bytes of a compressed file are read: a file of 1 MB can unpack to
	// 1 GB.
	maxUnpacked = 1 << 30
	// maxScan is how many bytes a query reads to find its lines.
	maxScan = 256 << 20
)

const (
	// maxFiles is the number of files that a query has open at a time.
	maxFiles = 128
	// compressedSuffix is the end of the name of a compressed file.
	compressedSuffix = ".gz"
)

var (
	errUnpacked  = errors.New("it has more than 1 GiB unpacked: the rest is not read")
	errManyFiles = errors.New("128 log files are open: name fewer children")
	errScan      = errors.New("256 MiB were searched for lines of all instances that were asked " +
		"for: older lines are not shown")
)

// A budget is the unused part of the limits of a query.
type budget struct {
	files int // that can still be opened
	scan  int // bytes
}

// A file is an open log file. What is appended after the open does not count.
type file struct {
	fd     int
	name   string
	size   int64
	packed bool // by gzip(1)
}

// A pile is a log file and its renamed files, which have the numbers of the rotation or of
// logrotate(8).
type pile struct {
	source *Source
	fds    fdledger.Registrar
	budget *budget // of all piles
	dir    *files.Dir
	name   string
	next   int     // the number of the next file to open
	open   []*file // the newest one first
	seen   map[[2]uint64]bool
}

// openNext opens the next older file. It returns nil after the last one. A rotation meanwhile gives
// a file the next number, so a file that was opened already is passed over.
func (p *pile) openNext() (f *file, err error) {
	if p.dir == nil {
		if p.dir, p.name, err = files.OpenParent(p.source.Path); err != nil {
			p.dir = nil
			return nil, ignoreMissing(err)
		}
		p.fds.OpenedInternal(p.dir.FD(), "file", p.dir.Path())
	}
	for missing := 0; missing < 2; { // one number can be free after a crash
		plain := p.name
		if p.next > 0 {
			plain += "." + strconv.Itoa(p.next)
		}
		p.next++
		for _, name := range []string{plain, plain + compressedSuffix} {
			f, err = p.openFile(name)
			if err != nil || f != nil {
				return f, err
			}
			if p.next == 1 {
				break // the file that is written to is not compressed
			}
		}
		if _, err := p.dir.Stat(plain); err != nil {
			missing++
		}
	}
	return nil, nil
}

// openFile opens a file of the directory. It returns nil if the name does not exist, or if the file
// was opened before. It also returns nil for a FIFO, a terminal and a link: these keep no lines.
func (p *pile) openFile(name string) (*file, error) {
	st, err := p.dir.Stat(name)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, ignoreMissing(err)
	}
	if p.budget.files == 0 {
		return nil, errManyFiles
	}
	fd, err := p.dir.OpenRead(name, p.source.Owners...)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	p.fds.OpenedInternal(fd, "file", name)
	err = unix.Fstat(fd, &st)
	id := [2]uint64{st.Dev, st.Ino}
	if err != nil || p.seen[id] {
		_ = p.fds.Close(fd, func() error { return unix.Close(fd) })
		return nil, err
	}
	p.seen[id] = true
	p.budget.files--
	f := &file{fd: fd, name: name, size: st.Size}
	f.packed = p.next > 1 && len(name) > len(compressedSuffix) &&
		name[len(name)-len(compressedSuffix):] == compressedSuffix
	p.open = append(p.open, f)
	return f, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// close closes all files.
func (p *pile) close() {
	for _, f := range p.open {
		_ = p.fds.Close(f.fd, func() error { return unix.Close(f.fd) })
	}
	if p.dir != nil {
		_ = p.fds.Close(p.dir.FD(), p.dir.Close)
	}
	p.open, p.dir = nil, nil
}

// readAt reads a part of the file as it is on disk, up to its size at the open. It reads less only
// at the end.
func (f *file) readAt(ctx context.Context, b []byte, at int64) (n int, err error) {
	b = b[:max(0, min(int64(len(b)), f.size-at))]
	for n < len(b) {
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		var got int
		limits.FileSlots.Run(func() { got, err = unix.Pread(f.fd, b[n:], at+int64(n)) })
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, err
		case got == 0: // the file was truncated meanwhile
			return n, io.EOF
		default:
			n += got
		}
	}
	return n, nil
}

// A section reads a part of a file.
type section struct {
	ctx    context.Context
	file   *file
	at, to int64
}

func (s *section) Read(b []byte) (int, error) {
	n, err := s.file.readAt(s.ctx, b[:max(0, min(int64(len(b)), s.to-s.at))], s.at)
	s.at += int64(n)
	if n == 0 && err == nil && len(b) > 0 {
		err = io.EOF
	}
	return n, err
}

// unpacker reads a compressed file, up to maxUnpacked bytes. It checks its context at each read,
// because 16 KiB that section reads can unpack to 16 MiB.
type unpacker struct {
	*gzip.Reader
	ctx  context.Context
	left int
}

func (u *unpacker) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	if u.left <= 0 {
		return 0, errUnpacked
	}
	n, err := u.Reader.Read(b[:min(len(b), u.left)])
	u.left -= n
	return n, err
}

// reader returns a reader of a part of the content, which must be all of a compressed file.
func (f *file) reader(ctx context.Context, from, to int64) (io.Reader, error) {
	s := &section{ctx, f, from, to}
	if !f.packed {
		return s, nil
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(s, 16<<10))
	if err == io.EOF {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("it is not compressed by gzip: %w", err)
	}
	return &unpacker{z, ctx, maxUnpacked}, nil
}
