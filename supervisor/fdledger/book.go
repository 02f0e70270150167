// Package fdledger keeps the books: which descriptors the supervisor itself has
// open, which ones a child closed or left at its end, and what verdict follows.
package fdledger

import (
	"fmt"
	"slices"
	"sync"

	"tp0/supervisor/event"
	"tp0/supervisor/procfs"
)

// Entry is one open descriptor of the supervisor.
type Entry struct {
	FD           int
	Kind, Target string
}

// Ledger has every descriptor of the supervisor that outlives the call that
// opened it, from the moment it is opened until it is closed. All its methods
// may be called by any goroutine.
type Ledger struct {
	sink event.Sink

	mu             sync.Mutex
	open           map[int]Entry
	opened, closed int
	baseline       map[int]procfs.FD
	faults         []string
}

// New makes an empty book, whose entries become events for sink.
func New(sink event.Sink) *Ledger {
	return &Ledger{sink: sink, open: map[int]Entry{}, baseline: map[int]procfs.FD{}}
}

// Baseline takes stock: what is open now does not count. Call it once, before the
// first entry, and once the runtime has its poller, or that is found to be left.
func (b *Ledger) Baseline() error {
	fds, err := procfs.OwnFDs()
	if err != nil {
		return fmt.Errorf("cannot take stock of our own descriptors: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range fds {
		b.baseline[f.Num] = f
	}
	return nil
}

// Opened enters a descriptor. A number that is entered already is a fault of
// the books, which [Book.Check] returns.
func (b *Ledger) Opened(fd int, kind, target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.open[fd]; ok {
		b.faults = append(b.faults, fmt.Sprintf("descriptor %d opened as %q, but the books have it as %q", fd, target, e.Target))
	}
	b.open[fd] = Entry{fd, kind, target}
	b.opened++
	b.sink.Emit(event.FDOpened{FD: fd, Kind: kind, Target: target})
}

// Close closes a descriptor and strikes it out, both under one lock: between
// the two the kernel may give the number to somebody else, whose entry would
// be struck out in place of this one. close must be close(2) or as quick.
func (b *Ledger) Close(fd int, close func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := close()
	e, ok := b.open[fd]
	if !ok {
		b.faults = append(b.faults, fmt.Sprintf("descriptor %d closed, but the books do not have it", fd))
		return err
	}
	delete(b.open, fd)
	b.closed++
	b.sink.Emit(event.FDClosed{Owner: "supervisor", FD: fd, Kind: e.Kind, Target: e.Target, By: event.BySupervisor})
	return err
}

// Entries lists what is open now, by number.
func (b *Ledger) Entries() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Entry, 0, len(b.open))
	for _, e := range b.open {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Entry) int { return a.FD - b.FD })
	return all
}

// Counts says how many descriptors were entered and struck out.
func (b *Ledger) Counts() (opened, closed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened, b.closed
}

// Check holds the books against the kernel's: each entry must be open, and
// whatever else is open must have been there at the start or belong to the Go
// runtime. It returns the differences in words. Call it when nobody opens or
// closes anything any more.
func (b *Ledger) Check() ([]string, error) {
	fds, err := procfs.OwnFDs()
	if err != nil {
		return nil, fmt.Errorf("cannot take stock of our own descriptors: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	diff := slices.Clone(b.faults)
	seen := map[int]bool{}
	own := runtimeOf(fds, Go)
	for _, f := range fds {
		seen[f.Num] = true
		before, old := b.baseline[f.Num]
		_, entered := b.open[f.Num]
		if entered || old && (f.IsStandard() || f.Same(before)) || own[f.Num] != "" { // a terminal that hung up has another name
			continue
		}
		diff = append(diff, fmt.Sprintf("descriptor %d (%s %s) is open, but not in the books", f.Num, f.Kind, f.Target))
	}
	for fd, e := range b.open {
		if !seen[fd] {
			diff = append(diff, fmt.Sprintf("descriptor %d (%s %s) is in the books, but not open", fd, e.Kind, e.Target))
		}
	}
	return diff, nil
}
