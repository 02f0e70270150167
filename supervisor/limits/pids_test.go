package limits

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCgroupLimits reads the limits of all control groups from ours to the root of the mount, in
// both versions, and with a path of the host.
func TestCgroupLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		cgroup string
		files  map[string]string
		want   []string
	}{
		"version 2": {
			"0::/a/b\n",
			map[string]string{"a/b/pids.max": "64", "a/b/pids.current": "7", "a/pids.max": "max"},
			[]string{"a/b/pids.max is 64, 7 are in use"},
		},
		"version 2, an ancestor": {
			"0::/a/b\n",
			map[string]string{"a/b/pids.max": "64", "a/pids.max": "32", "a/pids.current": "30"},
			[]string{"a/b/pids.max is 64", "a/pids.max is 32, 30 are in use"},
		},
		"version 2, root of the namespace": {
			"0::/\n",
			map[string]string{"pids.max": "9", "pids.current": "1"},
			[]string{"pids.max is 9, 1 are in use"},
		},
		"version 2, outside the namespace": {
			"0::/../../x\n", map[string]string{"pids.max": "9"}, []string{"pids.max is 9"},
		},
		"version 1": {
			"3:cpu,cpuacct:/c\n2:pids:/a\n0::/\n",
			map[string]string{
				"pids/a/pids.max": "5", "pids/a/pids.current": "2", "cpu/pids.max": "1",
			},
			[]string{"pids/a/pids.max is 5, 2 are in use"},
		},
		"version 1, the path of the host": {
			"2:pids:/docker/0123\n",
			map[string]string{"pids/pids.max": "5", "pids/pids.current": "2"},
			[]string{"pids/pids.max is 5, 2 are in use"},
		},
		"no limit":  {"0::/a\n", map[string]string{"a/pids.max": "max\n"}, nil},
		"no groups": {"", nil, nil},
		"garbage":   {"x\n1:2\n0::\n\n", map[string]string{"pids.max": "many"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFiles(t, dir, tt.files)
			var got []string
			for _, l := range cgroupLimits(tt.cgroup, dir) {
				got = append(got, strings.TrimPrefix(strings.Replace(l.String(), dir, "", 1), "/"))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(text+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestShortage(t *testing.T) {
	for _, e := range []error{unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		err := fmt.Errorf("cannot: %w", e)
		s := ShortageOf(err)
		if !MeansShortage(err) || s.Resource == "" || s.Limit == "" {
			t.Errorf("%v: shortage is %v, want true; got %+v", e, MeansShortage(err), s)
		}
	}
	for _, e := range []error{nil, unix.ENOENT, unix.EACCES, errors.New("x")} {
		if MeansShortage(e) {
			t.Errorf("%v counts as a shortage", e)
		}
	}
}
