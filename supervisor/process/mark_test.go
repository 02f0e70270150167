package process

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestMarks(t *testing.T) {
	const infinity = unix.RLIM_INFINITY
	for _, test := range []struct {
		name       string
		soft, hard uint64
		usable     bool
	}{
		{"the usual limits", infinity, infinity, true},
		{"below one supervisor", 17, infinity, true},
		{"below two", 5<<markBits | 17, infinity, true},
		{"below three", 1<<(2*markBits) | 5<<markBits | 17, infinity, false},
		{"a finite hard limit with room", infinity, maxMark, true},
		{"a finite hard limit without room", infinity, 1000, false},
		{"a finite limit that an administrator set", 1 << 62, infinity, false},
		{"no locks at all", 0, 0, false},
	} {
		m := newMarks(test.soft, test.hard)
		if m.usable != test.usable {
			t.Errorf("%s: usable is %v, want %v", test.name, m.usable, test.usable)
		}
		if !m.usable {
			if n := m.number(m.limitFor(3)); n != 0 {
				t.Errorf("%s: number %d from a mark that is not usable", test.name, n)
			}
			continue
		}
		for _, n := range []uint64{1, 2, 4711, maxMark} {
			limit := m.limitFor(n)
			if limit > test.hard || limit == infinity {
				t.Errorf("%s: the mark of %d is %d, hard limit %d", test.name, n, limit, test.hard)
			}
			if got := m.number(limit); got != n {
				t.Errorf("%s: got %d from the mark of %d", test.name, got, n)
			}
			// A supervisor in that tree makes marks of its own, and the outer one
			// still reads its own number.
			inner := newMarks(limit, test.hard)
			if got := m.number(inner.limitFor(99)); inner.usable && got != n {
				t.Errorf("%s: got %d through an inner supervisor, want %d", test.name, got, n)
			}
			if got := inner.number(limit); got != 0 {
				t.Errorf("%s: an inner supervisor takes the outer mark for its number %d",
					test.name, got)
			}
		}
		if got := m.number(m.limitFor(0)); got != 0 {
			t.Errorf("%s: got number %d from no mark", test.name, got)
		}
	}
}
