package procdir

import (
	"os"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		target, want string
		err          error
	}{
		{target: "7"},
		{target: "23461", want: "this process has pid 7, and /proc/self is 23461"},
		{err: os.ErrNotExist, want: "not mounted"},
		{err: os.ErrPermission},
	} {
		err := check(c.target, c.err, 7)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: got %v, want no fault", c, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: got %v, want %q", c, err, c.want)
		}
	}
}

func TestOf(t *testing.T) {
	if err := Fault(); err != nil {
		t.Skip(err)
	}
	if got := Of(7); got != "/proc/7" {
		t.Errorf("got %s, want /proc/7", got)
	}
}
