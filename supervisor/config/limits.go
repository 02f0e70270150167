package config

import (
	"maps"
	"math/big"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/sys/unix"
)

// resources are the names of rlimits, after those of getrlimit(2).
var resources = []struct {
	name   string
	number int
	doc    string
}{
	{"as", unix.RLIMIT_AS, "Its address space, in bytes."},
	{"core", unix.RLIMIT_CORE, "A core file, in bytes."},
	{"cpu", unix.RLIMIT_CPU, "CPU time, in seconds; at the soft limit it gets SIGXCPU, at the hard one SIGKILL."},
	{"data", unix.RLIMIT_DATA, "Its data segment, in bytes."},
	{"fsize", unix.RLIMIT_FSIZE, "A file that it writes, in bytes."},
	{"memlock", unix.RLIMIT_MEMLOCK, "Memory that it locks, in bytes."},
	{"msgqueue", unix.RLIMIT_MSGQUEUE, "POSIX message queues of its user, in bytes."},
	{"nice", unix.RLIMIT_NICE, "20 less the lowest nice value that it may take."},
	{"nofile", unix.RLIMIT_NOFILE, "One more than the highest descriptor."},
	{"nproc", unix.RLIMIT_NPROC, "Processes and threads of its user."},
	{"rss", unix.RLIMIT_RSS, "Resident memory, in bytes; Linux does not heed it."},
	{"rtprio", unix.RLIMIT_RTPRIO, "Its highest real-time priority."},
	{"rttime", unix.RLIMIT_RTTIME, "CPU time of a real-time thread without a wait, in microseconds."},
	{"sigpending", unix.RLIMIT_SIGPENDING, "Signals that wait for its user."},
	{"stack", unix.RLIMIT_STACK, "The stack of its main thread, in bytes."},
}

func comparedLimits() (table []compared[place]) {
	for _, r := range resources {
		table = append(table, compare("rlimits."+r.name, func(p *place) *unix.Rlimit {
			if l, ok := p.Launch.Attributes.Limits[r.number]; ok {
				return &l
			}
			return nil
		}))
	}
	return table
}

func limits() []attribute[childValues] {
	var list []attribute[childValues]
	for _, r := range resources {
		list = append(list, attribute[childValues]{
			name: r.name,
			doc:  r.doc,
			get:  func(v *childValues) any { return nil },
			set: func(v *childValues, value cty.Value) error {
				limit, err := rlimit(value)
				if err != nil {
					return err
				}
				all := maps.Clone(v.launch.Attributes.Limits) // other instances have the same map
				if all == nil {
					all = map[int]unix.Rlimit{}
				}
				all[r.number] = limit
				v.launch.Attributes.Limits = all
				return nil
			},
		})
	}
	return list
}

func rlimit(v cty.Value) (l unix.Rlimit, err error) {
	if v.IsNull() || !v.Type().IsObjectType() {
		l.Cur, err = bound(v)
		l.Max = l.Cur
		return l, err
	}
	if err := members(v, "soft", "hard"); err != nil {
		return l, err
	}
	if l.Cur, err = bound(v.GetAttr("soft")); err != nil {
		return l, err
	}
	if l.Max, err = bound(v.GetAttr("hard")); err != nil {
		return l, err
	}
	if l.Cur > l.Max { // unlimited is the largest of all
		return l, wrong("The soft limit is above the hard one.")
	}
	return l, nil
}

// bound reads a number or "unlimited".
func bound(v cty.Value) (uint64, error) {
	const what = `a number or "unlimited"`
	if !v.IsNull() && v.Type() == cty.String && v.AsString() == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	v, err := primitive(v, cty.Number, what)
	if err != nil {
		return 0, err
	}
	f := v.AsBigFloat()
	n, _ := f.Uint64() // its accuracy is wrong for fractions
	switch {
	case f.Sign() < 0:
		return 0, wrong(`This must not be negative; no limit is "unlimited".`)
	case f.Cmp(big.NewFloat(1<<63)) >= 0:
		return 0, wrong(`This is too large; no limit is "unlimited".`)
	case !f.IsInt():
		return 0, wrong("A whole number is needed here.")
	}
	return n, nil
}
