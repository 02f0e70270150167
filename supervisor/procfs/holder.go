package procfs

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tp0/supervisor/procdir"
	"tp0/supervisor/sockdiag"
)

// Holder is a process that has a file open.
type Holder struct {
	Pid  int
	Comm string // the name that it has set; untrusted
}

// maxHolderTime bounds the scan of the fd tables of all processes.
const maxHolderTime = 100 * time.Millisecond

// FindHolders returns, by index in leaked, another process that has open what a process leaked: the
// same socket or pipe, or the same file, which the other process may have opened itself. It skips
// the processes of except, which are about to end, and processes whose tables the supervisor may
// not read. It skips standard streams and devices, since every process may have /dev/null open. It
// ends early after 100 ms, or once ctx ends.
func FindHolders(ctx context.Context, leaked []FD, except []int) map[int]Holder {
	ctx, cancel := context.WithTimeout(ctx, maxHolderTime)
	defer cancel()
	wanted := holdable(leaked)
	found := map[int]Holder{}
	if len(wanted) == 0 {
		return found
	}
	pids := processes()
	slices.Reverse(pids) // a process is younger than the process that it inherited from
	for _, pid := range pids {
		if ctx.Err() != nil || len(wanted) == 0 {
			break
		}
		if !slices.Contains(except, pid) {
			findHeldBy(ctx, pid, leaked, wanted, found)
		}
	}
	return found
}

// holdable returns the indices of the descriptors that another process can hold, by the name of the
// file without the suffix of a deleted file. A socket that was listed and is not listed any more
// has no holder.
func holdable(leaked []FD) map[string][]int {
	wanted := map[string][]int{}
	var listed map[uint64]sockdiag.Socket
	var err error
	for i, f := range leaked {
		switch {
		case f.IsStandard(): // the parent has them too
			continue
		case f.Kind == "socket":
			if listed == nil && err == nil {
				listed, err = sockdiag.List()
			}
			if _, ok := listed[f.Inode()]; !ok && err == nil && f.Resolved() {
				continue
			}
		case f.Kind == "pipe":
		case f.Kind == "file" && !strings.HasPrefix(f.link, "/dev/"):
		case f.Kind == "file" && strings.HasPrefix(f.link, "/dev/shm/"):
		default:
			continue
		}
		name := strings.TrimSuffix(f.link, deletedSuffix)
		wanted[name] = append(wanted[name], i)
	}
	return wanted
}

// findHeldBy moves what a process has open from wanted to found.
func findHeldBy(
	ctx context.Context, pid int, leaked []FD, wanted map[string][]int, found map[int]Holder,
) {
	entries := 0
	visit := func(d *fdDir, num int, name, link string) {
		entries++
		link = strings.TrimSuffix(link, deletedSuffix)
		if len(wanted[link]) == 0 || ctx.Err() != nil {
			return
		}
		f := newFD(num, link)
		if f.Kind == "file" {
			d.addInfo(&f, name)
		}
		var rest []int
		for _, i := range wanted[link] {
			if leaked[i].Kind == "file" && leaked[i].id != f.id {
				rest = append(rest, i)
				continue
			}
			found[i] = Holder{Pid: pid, Comm: comm(pid)}
		}
		if wanted[link] = rest; len(rest) == 0 {
			delete(wanted, link)
		}
	}
	over := func(int) bool { return ctx.Err() != nil }
	_ = walkFDs(procdir.Of(pid)+"/fd", over, visit)
	if entries > 0 {
		return
	}
	for _, tid := range threadsAfterMain(pid) {
		_ = walkFDs(taskPath(pid, tid, "fd"), over, visit)
	}
}

// SocketOwner returns the process with the lowest pid that has one of some sockets open. It
// returns 0 if there is none whose table the supervisor may read, or ctx has ended before.
func SocketOwner(ctx context.Context, inodes []uint64) int {
	wanted := map[string]bool{}
	for _, inode := range inodes {
		wanted["socket:["+strconv.FormatUint(inode, 10)+"]"] = true
	}
	over := func(int) bool { return ctx.Err() != nil }
	for _, pid := range processes() {
		if ctx.Err() != nil {
			return 0
		}
		found := false
		visit := func(_ *fdDir, _ int, _, link string) { found = found || wanted[link] }
		dir := taskPath(pid, LiveThread(pid), "fd")
		if _ = walkFDs(dir, over, visit); found {
			return pid
		}
	}
	return 0
}

func comm(pid int) string {
	b, _ := os.ReadFile(procdir.Of(pid) + "/comm")
	return strings.TrimSuffix(string(b), "\n")
}
