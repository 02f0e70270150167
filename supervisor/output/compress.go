package output

import (
	"compress/gzip"
	"errors"
	"io"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/files"
	"tp0/supervisor/limits"
)

const (
	// compressedSuffix is the end of the name of a compressed file.
	compressedSuffix = ".gz"
	// firstCompressed is the number from which on renamed files are compressed. The newest one
	// stays as it is: a log shipper can still be reading it (delaycompress of logrotate(8)).
	firstCompressed = 2
	// compressBlock is how much is compressed between two checks for the end.
	compressBlock = 64 << 10
)

var errCompressEnded = errors.New("the compression was ended")

// A compressor compresses the renamed files of a log file, in a goroutine that ends once there is
// no more to compress. A compressed file takes the place of the plain one when it is complete, so a
// full disk or a crash loses nothing.
type compressor struct {
	path   string
	owners []uint32
	ledger fdledger.Registrar
	report func(error)

	names sync.Mutex // held while the names of renamed files change

	// The fields below belong to the writer of the sink.
	quit    chan struct{} // ends the goroutine; nil: none was started
	ended   chan struct{} // closed when the goroutine has ended
	failure string        // the reason that was reported last
}

// start compresses the renamed files up to the number keep. It does nothing while it runs already:
// the next rotation starts it again.
func (c *compressor) start(keep int) {
	if c.quit != nil {
		select {
		case <-c.ended:
		default:
			return
		}
	}
	c.quit, c.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.ended)
		for {
			more, err := c.compressOldest(keep)
			if err != nil && !errors.Is(err, errCompressEnded) && err.Error() != c.failure {
				c.failure = err.Error()
				c.report(err)
			}
			if err != nil || !more {
				return
			}
			c.failure = ""
		}
	}()
}

// stop ends the goroutine and waits for it. What is not complete is removed.
func (c *compressor) stop() {
	if c.quit != nil {
		close(c.quit)
		<-c.ended
		c.quit = nil
	}
}

// compressOldest compresses the oldest renamed file that is not compressed. It reports whether
// there was one.
func (c *compressor) compressOldest(keep int) (more bool, err error) {
	d, name, err := files.OpenParent(c.path)
	if err != nil {
		return false, err
	}
	c.ledger.OpenedInternal(d.FD(), "file", d.Path())
	defer func() { _ = c.ledger.Close(d.FD(), d.Close) }()
	temporary := name + compressedSuffix + ".new"
	if _, err := d.Stat(temporary); err == nil { // left by a crash
		if err := d.Remove(temporary); err != nil {
			return false, err
		}
	}
	for n := keep; n >= firstCompressed; n-- {
		plain := numberedName(name, n)
		if _, err := d.Stat(plain); err != nil {
			continue
		}
		from, err := d.OpenRead(plain, c.owners...)
		if err != nil {
			return false, err
		}
		c.ledger.OpenedInternal(from, "file", plain)
		err = c.compressFile(d, from, name, temporary, keep)
		_ = c.ledger.Close(from, func() error { return unix.Close(from) })
		return err == nil, err
	}
	return false, nil
}

// compressFile puts a compressed file in the place of an open one. A rotation can give the file
// another number meanwhile, so its inode says which name it has.
func (c *compressor) compressFile(
	d *files.Dir, from int, name, temporary string, keep int,
) (err error) {
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return err
	}
	to, err := d.Create(temporary, st.Mode&0o777)
	if err != nil {
		return err
	}
	c.ledger.OpenedInternal(to, "file", temporary)
	_ = unix.Fchown(to, int(st.Uid), int(st.Gid)) // without the right, the file is ours
	if err = c.copy(to, from); err == nil {
		limits.FileSlots.Run(func() { err = unix.Fsync(to) })
	}
	err = errors.Join(err, c.ledger.Close(to, func() error { return unix.Close(to) }))
	if err == nil {
		err = c.replace(d, name, temporary, identityOf(&st), keep)
	}
	if err != nil {
		_ = d.Remove(temporary)
	}
	return err
}

// replace gives the compressed file its name and removes the plain one. After a crash between the
// two steps both exist; a rotation moves both, and the next compression replaces the first again.
func (c *compressor) replace(
	d *files.Dir, name, temporary string, plain identity, keep int,
) error {
	c.names.Lock()
	defer c.names.Unlock()
	for n := firstCompressed; n <= keep; n++ {
		st, err := d.Stat(numberedName(name, n))
		if err != nil || identityOf(&st) != plain {
			continue
		}
		if err := d.Rename(temporary, numberedName(name, n)+compressedSuffix); err != nil {
			return err
		}
		return d.Remove(numberedName(name, n))
	}
	return d.Remove(temporary) // a rotation has deleted the file
}

// copy compresses a file block by block, until the end of the file or until stop.
func (c *compressor) copy(to, from int) error {
	z := gzip.NewWriter(rawFile(to))
	block := make([]byte, compressBlock)
	for {
		select {
		case <-c.quit:
			return errCompressEnded
		default:
		}
		var n int
		var err error
		limits.FileSlots.Run(func() {
			if n, err = rawFile(from).Read(block); n > 0 {
				_, err = z.Write(block[:n])
			}
		})
		if err == io.EOF {
			return z.Close()
		}
		if err != nil {
			return err
		}
	}
}

// rawFile reads and writes a descriptor that the ledger has.
type rawFile int

func (f rawFile) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (f rawFile) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := unix.Write(int(f), b[done:])
		if err != nil && err != unix.EINTR {
			return done, err
		}
		done += max(n, 0)
	}
	return done, nil
}

// numberedName returns the name of a renamed file.
func numberedName(name string, n int) string { return name + "." + strconv.Itoa(n) }
