package procfs

import (
	"bytes"
	"strconv"
	"strings"

	"tp0/supervisor/procdir"
)

// Status is the part of /proc/PID/status that identifies a process and says what it may do
// (proc_pid_status(5)).
type Status struct {
	Tgid      int // the process that the thread belongs to
	PPid      int
	Dead      bool      // a zombie or gone
	Tracer    int       // pid of its tracer, 0 if there is none
	UID, GID  uint32    // effective
	UIDs      [4]uint32 // real, effective, saved, file system
	NoNewPriv bool
	Permitted uint64 // capability sets
	Effective uint64
	Bounding  uint64
}

// ReadStatus reads the status of a process, or of a thread by its thread id.
func ReadStatus(tid int) (Status, error) {
	b, err := readFile(procdir.Of(tid) + "/status")
	if err != nil {
		return Status{}, err
	}
	return parseStatus(b), nil
}

// parseStatus leaves a field zero if its line is missing, because kernels differ. The first line
// has the name of the process, which it may set; the kernel escapes its line breaks.
func parseStatus(b []byte) (s Status) {
	number := func(v string, base int) uint64 {
		n, _ := strconv.ParseUint(v, base, 64)
		return n
	}
	for line := range bytes.Lines(b) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Tgid":
			s.Tgid = int(number(value, 10))
		case "State":
			s.Dead = strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X")
		case "PPid":
			s.PPid = int(number(value, 10))
		case "TracerPid":
			s.Tracer = int(number(value, 10))
		case "Uid", "Gid":
			id := uint32(^uint32(0))
			if all := strings.Fields(value); len(all) == 4 {
				id = uint32(number(all[1], 10))
			}
			if name == "Uid" {
				s.UID, s.UIDs = id, idsIn(value)
			} else {
				s.GID = id
			}
		case "NoNewPrivs":
			s.NoNewPriv = value == "1"
		case "CapPrm":
			s.Permitted = number(value, 16)
		case "CapEff":
			s.Effective = number(value, 16)
		case "CapBnd":
			s.Bounding = number(value, 16)
		}
	}
	return s
}

// idsIn parses the four ids of a line.
func idsIn(value string) (ids [4]uint32) {
	for i, word := range strings.Fields(value) {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil || i == len(ids) {
			break
		}
		ids[i] = uint32(n)
	}
	return ids
}
