package notify

import (
	"fmt"
	"os"
	"sync"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/limits"
)

// Receiver receives the notifications of children (sd_notify(3)). Each process has a [Inbox] of
// its own, so a message belongs to the process whose socket it came to, even if its sender has
// ended, has another parent by now, or has closed everything. The sockets are files that only the
// user of the child may write to. Where no directory can be created, their names are abstract, and
// each sender must be identified: it has the user of the child or is a descendant of its main
// process.
type Receiver struct {
	places []string
	ledger fdledger.Registrar
	warn   func(error)
	slot   slot

	warnOnce sync.Once // about a socket
	wg       sync.WaitGroup

	mu        sync.Mutex
	searched  bool       // for a directory
	directory *directory // nil: the names of the sockets are abstract
	open      map[*Inbox]bool
}

// NewReceiver returns a receiver without a socket. places are those of [Places]. warn is called if
// a place exists and cannot be used.
func NewReceiver(places []string, ledger fdledger.Registrar, warn func(error)) *Receiver {
	return &Receiver{
		places: places, ledger: ledger, warn: warn,
		slot: newSlot(), open: map[*Inbox]bool{},
	}
}

// Open opens the socket of a process. The caller must call Close on it once the process tree has
// ended.
func (r *Receiver) Open(p Process) (*Inbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.findDirectory(); err != nil {
		return nil, err
	}
	d := r.directory
	if d != nil && !d.shared && p.UID != os.Geteuid() {
		d = nil // the user of the child cannot reach a file in it
	}
	fd, address, err := openSocket(d, p)
	if err != nil && d != nil && !limits.MeansShortage(err) {
		r.warnOnce.Do(func() { r.warn(err) }) // the next process may have the same reason
		d = nil
		fd, address, err = openSocket(d, p)
	}
	if err != nil {
		return nil, err
	}
	s, err := newInbox(fd, address, p, d == nil, r.slot, r.ledger)
	if err != nil {
		return nil, err
	}
	r.open[s] = true
	r.wg.Go(func() {
		s.run()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, s)
	})
	return s, nil
}

// findDirectory opens the directory, once. The caller holds r.mu.
func (r *Receiver) findDirectory() error {
	if r.searched {
		return nil
	}
	d, err := openDirectory(r.places, r.ledger)
	if limits.MeansShortage(err) {
		return fmt.Errorf("cannot open the directory of the notification sockets: %w", err)
	}
	if err != nil {
		r.warn(err)
	}
	r.directory, r.searched = d, true
	return nil
}

// Close closes all sockets and removes their directory.
func (r *Receiver) Close() {
	r.mu.Lock()
	open := r.open
	r.open = map[*Inbox]bool{}
	r.mu.Unlock()
	for s := range open {
		s.Close()
	}
	r.wg.Wait()
	if r.directory != nil {
		r.directory.remove()
		r.directory = nil
	}
}
