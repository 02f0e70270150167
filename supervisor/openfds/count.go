package openfds

import (
	"context"
	"errors"

	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
)

// Counted are the numbers of open descriptors of one process.
type Counted struct {
	Pid       int
	StartTime uint64 // identifies the process, together with its pid; see [procfs.Stat]
	Command   string // untrusted
	Limit     uint64 // the soft RLIMIT_NOFILE; 0: unknown
	Kinds     map[string]int
}

// Open returns the number of open descriptors.
func (c *Counted) Open() (n int) {
	for _, k := range c.Kinds {
		n += k
	}
	return n
}

// Count counts the open descriptors of each process of a tree. Descendants that cannot be read are
// missing. It returns an error if the main process lives and cannot be read, or if ctx ends before.
func Count(ctx context.Context, pid int) ([]Counted, error) {
	type result struct {
		all []Counted
		err error
	}
	r, err := inTurn(ctx, func() (r result) {
		pids, _ := tree(ctx, pid)
		left := maxRead
		for i, p := range pids {
			var c Counted
			var err error
			limits.ReadSlots.Run(func() { c, err = count(ctx, p, left) })
			if err != nil {
				if text := whyUnreadable(p, err); i == 0 && text != hasEnded {
					r.err = errors.New(text)
				}
				continue
			}
			r.all = append(r.all, c)
			if left -= c.Open(); left <= 0 {
				break
			}
		}
		return r
	})
	if err == nil {
		err = r.err
	}
	return r.all, err
}

// count counts the open descriptors of a process with most descriptors at most.
func count(ctx context.Context, pid, most int) (c Counted, err error) {
	s, err := procfs.ReadStat(pid)
	if err != nil {
		return c, err
	}
	c = Counted{Pid: pid, StartTime: s.StartTime, Command: s.Comm}
	over := func(read int) bool { return read > most || ctx.Err() != nil }
	err = procfs.ReadAs(pid, func() (err error) {
		c.Kinds, err = procfs.CountKinds(pid, procfs.LiveThread(pid), over)
		return err
	})
	if err == nil {
		c.Limit, _ = procfs.OpenFiles(pid)
	}
	return c, err
}
