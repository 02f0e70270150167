package procfs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
)

// Sockets returns the inodes of the sockets that a process has open. The error is fs.ErrPermission
// if its descriptors cannot be read, also not with [ReadAs]. A process that has ended has none.
func Sockets(pid int) (inodes []uint64, err error) {
	err = ReadAs(pid, func() error {
		inodes = nil
		fds, err := ReadProcessFDs(pid)
		for _, f := range fds {
			if f.Inode() != 0 {
				inodes = append(inodes, f.Inode())
			}
		}
		return err
	})
	if errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	return inodes, nil
}

// SocketHolder returns a process, other than those of except, that has a socket open; the pid is 0
// if none is found. complete reports whether every other process of the owner of the socket could
// be read. The search ends early after 100 ms, or once ctx ends.
func SocketHolder(
	ctx context.Context, inode uint64, owner uint32, except []int,
) (pid int, complete bool) {
	ctx, cancel := context.WithTimeout(ctx, maxHolderTime)
	defer cancel()
	complete = true
	for _, p := range processes() {
		if slices.Contains(except, p) {
			continue
		}
		if ctx.Err() != nil {
			return 0, false
		}
		inodes, err := Sockets(p)
		if slices.Contains(inodes, inode) {
			return p, true
		}
		if err != nil && !isKernelThread(p) {
			status, err := ReadStatus(p)
			complete = complete && (err != nil || !slices.Contains(status.UIDs[:], owner))
		}
	}
	return 0, complete
}

// isKernelThread reports whether a process is a thread of the kernel, which has no descriptors.
func isKernelThread(pid int) bool {
	const pfKthread = 0x00200000 // PF_KTHREAD, include/linux/sched.h
	s, err := ReadStat(pid)
	return err == nil && s.Flags&pfKthread != 0
}
