package procfs

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/sockdiag"
)

// Holder is a process that has something open.
type Holder struct {
	Pid  int
	Comm string // what it calls itself: untrusted
}

// holdersLimit bounds a look at the tables of all processes.
const holdersLimit = 100 * time.Millisecond

// FindHolders says, by index, who else has open what a process left: the same
// socket or pipe, or the same file, which another may have opened for itself.
// The processes of except are passed over: those that are just about to end.
// Processes whose tables we may not read are passed over, and so is what is
// not reached in a tenth of a second, or once ctx ends. Devices are left out:
// everybody has /dev/null open; and so are the standard streams.
func FindHolders(ctx context.Context, left []FD, except []int) map[int]Holder {
	ctx, cancel := context.WithTimeout(ctx, holdersLimit)
	defer cancel()
	wanted := holdable(left)
	found := map[int]Holder{}
	if len(wanted) == 0 {
		return found
	}
	pids := numbers("/proc")
	slices.Reverse(pids) // who inherited something began later than who left it
	for _, pid := range pids {
		if ctx.Err() != nil || len(wanted) == 0 {
			break
		}
		if !slices.Contains(except, pid) {
			heldBy(ctx, pid, left, wanted, found)
		}
	}
	return found
}

// holdable are those of left that somebody can hold, as indices by the names
// that the kernel has for them. A socket that once was listed and no longer is
// has nobody any more.
func holdable(left []FD) map[string][]int {
	wanted := map[string][]int{}
	var listed map[uint64]sockdiag.Socket
	var err error
	for i, f := range left {
		switch {
		case f.IsStandard(): // they came from whoever started it, and are there still
			continue
		case f.Kind == "socket":
			if listed == nil && err == nil {
				listed, err = sockdiag.List()
			}
			if _, ok := listed[f.Inode()]; !ok && err == nil && f.Resolved() {
				continue
			}
		case f.Kind == "file" && (!strings.HasPrefix(f.link, "/dev/") || strings.HasPrefix(f.link, "/dev/shm/")), f.Kind == "pipe":
		default:
			continue
		}
		name := strings.TrimSuffix(f.link, deleted)
		wanted[name] = append(wanted[name], i)
	}
	return wanted
}

// heldBy moves from wanted to found what pid holds.
func heldBy(ctx context.Context, pid int, left []FD, wanted map[string][]int, found map[int]Holder) {
	entries := 0
	visit := func(t *table, num int, name, link string) {
		entries++
		link = strings.TrimSuffix(link, deleted)
		if len(wanted[link]) == 0 || ctx.Err() != nil {
			return
		}
		f := newFD(num, link)
		if f.Kind == "file" {
			t.info(&f, name)
		}
		var others []int
		for _, i := range wanted[link] {
			if left[i].Kind == "file" && left[i].id != f.id {
				others = append(others, i)
				continue
			}
			found[i] = Holder{Pid: pid, Comm: comm(pid)}
		}
		if wanted[link] = others; len(others) == 0 {
			delete(wanted, link)
		}
	}
	over := func(int) bool { return ctx.Err() != nil }
	_ = walk(fmt.Sprintf("/proc/%d/fd", pid), over, visit)
	if entries > 0 {
		return
	}
	for _, tid := range otherThreads(pid) {
		_ = walk(taskPath(pid, tid, "fd"), over, visit)
	}
}

func comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSuffix(string(b), "\n")
}
