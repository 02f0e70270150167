package settings

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// values are one of each kind.
type values struct {
	count  int
	pause  time.Duration
	colour string
	name   string
}

func (v *values) table() []Setting {
	return []Setting{
		{Name: "COUNT", Key: "n.count", Default: "1", Value: Whole(&v.count, 0, 10)},
		{Name: "PAUSE", Key: "n.pause", Default: "1s", Value: Duration(&v.pause, 0, time.Minute)},
		{Name: "COLOUR", Key: "n.colour", Default: "RED",
			Value: Choice(&v.colour, []string{"RED", "BLUE"})},
		{Name: "NAME", Key: "n.name", Value: Text(&v.name, "a name",
			func(s string) bool { return s != "nobody" })},
	}
}

func TestRead(t *testing.T) {
	const named = "NAME=x"
	for name, test := range map[string]struct {
		env    string
		file   map[string]string
		want   values
		faults []string
	}{
		"defaults": {env: named, want: values{1, time.Second, "RED", "x"}},
		"the file wins": {env: named,
			file: map[string]string{"n.count": "2", "n.pause": "2s"},
			want: values{2, 2 * time.Second, "RED", "x"}},
		"the environment wins": {env: named + ",COUNT=3",
			file: map[string]string{"n.count": "2"}, want: values{3, time.Second, "RED", "x"}},
		"bounds belong to it": {env: named + ",COUNT=10,PAUSE=1m",
			want: values{10, time.Minute, "RED", "x"}},
		"zero": {env: named + ",COUNT=0,PAUSE=0",
			want: values{0, 0, "RED", "x"}},
		"whatever case": {env: named + ",COLOUR=blue",
			want: values{1, time.Second, "BLUE", "x"}},
		"space": {env: named + ",COUNT= 4 ",
			want: values{4, time.Second, "RED", "x"}},
		"an empty value is none": {env: named + ",COUNT=,COLOUR= ",
			file: map[string]string{"n.count": "2", "n.colour": ""},
			want: values{2, time.Second, "RED", "x"}},
		"the required is missing": {want: values{1, time.Second, "RED", ""},
			faults: []string{"NAME is not set, in the environment or as n.name in f: want a name"}},
		"all faults, in order": {env: "NAME=nobody,COLOUR=pink,COUNT=11",
			file: map[string]string{"n.pause": "61s"}, faults: []string{
				"COUNT=11 from the environment: want a whole number from 0 to 10",
				"n.pause=61s from f: want a time with its unit from 0s to 1m0s, such as 1500ms " +
					"or 5s",
				"COLOUR=pink from the environment: want one of RED, BLUE",
				"NAME=nobody from the environment: want a name",
			}},
		"a bad value does not fall back": {env: named + ",COUNT=x",
			file:   map[string]string{"n.count": "2"},
			want:   values{0, time.Second, "RED", "x"},
			faults: []string{"COUNT=x from the environment: want a whole number from 0 to 10"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := func(name string) (string, bool) {
				for pair := range strings.SplitSeq(test.env, ",") {
					if key, value, _ := strings.Cut(pair, "="); key == name {
						return value, true
					}
				}
				return "", false
			}
			var got values
			var faults []string
			for _, fault := range Read(got.table(), env, "f", test.file) {
				faults = append(faults, fault.Error())
			}
			if got != test.want || !slices.Equal(faults, test.faults) {
				t.Errorf("%+v and %q, want %+v and %q", got, faults, test.want, test.faults)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string]string{"good": "5", "bad": "x", "undecodable": "?",
		"big": strings.Repeat(" ", maxFile+1)} {
		if err := os.WriteFile(path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	decode := func(content []byte) (map[string]string, error) {
		if string(content) == "?" {
			return nil, errors.New("a question")
		}
		return map[string]string{"count": string(content)}, nil
	}
	for name, test := range map[string]struct {
		count int
		open  bool
		fault string
	}{
		"good":        {5, true, ""},
		"absent":      {1, false, ""},
		"bad":         {0, true, "count=x from "},
		"undecodable": {0, true, "cannot decode "},
		"big":         {0, true, "more than 1048576 bytes"},
		"pipe":        {0, false, "not a regular file"},
		".":           {0, false, "not a regular file"},
	} {
		var count int
		table := []Setting{{Name: "COUNT", Key: "count", Default: "1", Value: Whole(&count, 0, 10)}}
		file, faults := Load(table, func(string) (string, bool) { return "", false }, path(name),
			decode)
		if file != nil && file.Close() != nil {
			t.Errorf("%s: the file was not open", name)
		}
		if count != test.count || (file != nil) != test.open {
			t.Errorf("%s: %d and %v, want %d and %v", name, count, file != nil, test.count,
				test.open)
		}
		if fault := errors.Join(faults...); (fault != nil) != (test.fault != "") || fault != nil &&
			!strings.Contains(fault.Error(), test.fault) {
			t.Errorf("%s: %v, want %q", name, fault, test.fault)
		}
	}
}

func TestArguments(t *testing.T) {
	var v values
	program := Program{Name: "thing", Version: "1.2", Summary: "thing does things.", File: "f"}
	const help = "thing does things.\n\nUsage: thing [--version | --help]\n\n" +
		"Its settings come from the environment, else from f in the working directory:\n\n" +
		"  COUNT   n.count   1           a whole number from 0 to 10\n" +
		"  PAUSE   n.pause   1s          a time with its unit from 0s to 1m0s, such as 1500ms " +
		"or 5s\n" +
		"  COLOUR  n.colour  RED         one of RED, BLUE\n" +
		"  NAME    n.name    (required)  a name\n"
	for _, test := range []struct {
		args           []string
		code           int
		ended          bool
		stdout, stderr string
	}{
		{nil, 0, false, "", ""},
		{[]string{"--version"}, 0, true, "thing 1.2\n", ""},
		{[]string{"--help"}, 0, true, help, ""},
		{[]string{"x", "\x1b"}, 2, true, "",
			"thing: unknown arguments [\"x\" \"\\x1b\"]\n\n" + help},
	} {
		var stdout, stderr bytes.Buffer
		code, ended := program.Arguments(test.args, v.table(), &stdout, &stderr)
		if code != test.code || ended != test.ended || stdout.String() != test.stdout ||
			stderr.String() != test.stderr {
			t.Errorf("%q: %d, %v, %q, %q", test.args, code, ended, stdout.String(), stderr.String())
		}
	}
}
