package openfds

import (
	"context"

	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// describer describes descriptors, until ctx ends.
type describer struct {
	ctx     context.Context
	sockets [sockdiag.Parts]map[uint64]sockdiag.Socket // nil: the part is not listed yet
}

// Describe returns the open descriptors of a process, with its sockets in plain words. It ends with
// ctx. Unlike the other functions it does not wait for its turn.
func Describe(ctx context.Context, pid int) ([]procfs.FD, error) {
	d := describer{ctx: ctx}
	return d.describe(pid)
}

// describe reads the descriptors of a process and describes its sockets.
func (d *describer) describe(pid int) (fds []procfs.FD, err error) {
	over := func(int) bool { return d.ctx.Err() != nil }
	err = procfs.ReadAs(pid, func() (err error) {
		fds, err = procfs.ReadFDsUntil(pid, procfs.LiveThread(pid), over)
		if err == procfs.ErrTableChanged {
			err = nil // a descriptor was closed meanwhile
		}
		return err
	})
	if err == nil {
		d.resolve(pid, fds)
	}
	return fds, err
}

// resolve describes the sockets among descriptors.
func (d *describer) resolve(pid int, fds []procfs.FD) {
	for part := range d.sockets {
		if d.ctx.Err() != nil || !procfs.NeedsSocketPart(pid, fds, part) {
			continue
		}
		if d.sockets[part] == nil {
			d.sockets[part], _ = sockdiag.ListPart(part) // a socket that is missing has a number
		}
		procfs.Resolve(fds, d.sockets[part])
	}
	if foreign, err := sockdiag.ListForeign(pid); err == nil && len(foreign) > 0 {
		procfs.Resolve(fds, foreign)
	}
	procfs.ResolveUnlisted(pid, fds, func(int) bool { return d.ctx.Err() != nil })
}
