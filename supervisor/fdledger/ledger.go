// Package fdledger records the descriptors that the supervisor has open, determines which
// descriptors a child closed and which it leaked, and judges the stop by both.
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

// ownFD is an entry and what its events need.
type ownFD struct {
	Entry
	internal bool // see [Registrar]
}

// Ledger has an entry for every open descriptor of the supervisor, apart from those that are
// closed by the function that opened them. Any goroutine may call its methods.
type Ledger struct {
	sink event.Sink

	mu             sync.Mutex
	open           map[int]ownFD
	opened, closed int
	baseline       map[int]procfs.FD
	faults         []string
}

// New returns an empty ledger, which emits an event for each descriptor that is opened or
// closed.
func New(sink event.Sink) *Ledger {
	return &Ledger{sink: sink, open: map[int]ownFD{}, baseline: map[int]procfs.FD{}}
}

// Baseline records the descriptors that are open now: they do not count. Call it once, before
// the first entry and after Go's runtime has opened its poller, which [Ledger.Check] would
// report otherwise.
func (l *Ledger) Baseline() error {
	fds, err := procfs.OwnFDs()
	if err != nil {
		return fmt.Errorf("cannot read our own descriptors: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range fds {
		l.baseline[f.Num] = f
	}
	return nil
}

// Opened implements [Registrar]. A number that has an entry already is a fault, which
// [Ledger.Check] returns.
func (l *Ledger) Opened(fd int, kind, target string) {
	l.add(ownFD{Entry{fd, kind, target}, false})
}

// OpenedInternal implements [Registrar].
func (l *Ledger) OpenedInternal(fd int, kind, target string) {
	l.add(ownFD{Entry{fd, kind, target}, true})
}

func (l *Ledger) add(f ownFD) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.open[f.FD]; ok {
		l.faults = append(l.faults, fmt.Sprintf(
			"descriptor %d opened as %q, but the ledger has it as %q", f.FD, f.Target, e.Target,
		))
	}
	l.open[f.FD] = f
	l.opened++
	l.sink.Emit(event.FDOpened{
		FD: f.FD, Kind: f.Kind, Target: f.Target, Internal: f.internal,
	})
}

// Close implements [Registrar]. close must not take longer than close(2).
func (l *Ledger) Close(fd int, close func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := close()
	e, ok := l.open[fd]
	if !ok {
		l.faults = append(
			l.faults, fmt.Sprintf("descriptor %d closed, but the ledger does not have it", fd),
		)
		return err
	}
	delete(l.open, fd)
	l.closed++
	l.sink.Emit(
		event.FDClosed{
			Owner: "supervisor", FD: fd, Kind: e.Kind, Target: e.Target, By: event.BySupervisor,
			Internal: e.internal,
		},
	)
	return err
}

// Entries returns the open descriptors in the order of their numbers.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Entry, 0, len(l.open))
	for _, e := range l.open {
		all = append(all, e.Entry)
	}
	slices.SortFunc(all, func(a, b Entry) int { return a.FD - b.FD })
	return all
}

// Counts returns the numbers of descriptors that were opened and closed.
func (l *Ledger) Counts() (opened, closed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened, l.closed
}

// Check compares the entries with the descriptor table of the process. Each entry must be open,
// and every other open descriptor must be of the baseline or of Go's runtime. It returns a
// sentence for each difference. Call it when no goroutine opens or closes descriptors any more.
func (l *Ledger) Check() ([]string, error) {
	fds, err := procfs.OwnFDs()
	if err != nil {
		return nil, fmt.Errorf("cannot read our own descriptors: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	diff := slices.Clone(l.faults)
	seen := map[int]bool{}
	own := ownedByRuntime(fds, nil, Go)
	for _, f := range fds {
		seen[f.Num] = true
		before, old := l.baseline[f.Num]
		_, entered := l.open[f.Num]
		// A standard stream can have another target: a terminal that hung up.
		if entered || old && (f.IsStandard() || f.Same(before)) || own[f.Num] != "" {
			continue
		}
		diff = append(diff, fmt.Sprintf(
			"descriptor %d (%s %s) is open, but not in the ledger", f.Num, f.Kind, f.Target,
		))
	}
	for fd, e := range l.open {
		if !seen[fd] {
			diff = append(diff, fmt.Sprintf(
				"descriptor %d (%s %s) is in the ledger, but not open", fd, e.Kind, e.Target,
			))
		}
	}
	return diff, nil
}
