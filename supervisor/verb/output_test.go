package verb

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
)

// fullDisk is an output that cannot be written.
type fullDisk struct{ writes int }

func (f *fullDisk) Write([]byte) (int, error) {
	f.writes++
	return 0, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: unix.ENOSPC}
}

// TestOutput checks the exit code and the message after an output is lost.
func TestOutput(t *testing.T) {
	const message = "supervisor: cannot write to standard output: no space left on device\n"
	for code, want := range map[int]int{
		exitcode.OK: exitcode.Failed, exitcode.Usage: exitcode.Usage, 5: 5,
	} {
		var errs strings.Builder
		disk := &fullDisk{}
		o := NewOutput(disk)
		if got := o.Finish(code, &errs); got != code || errs.Len() > 0 {
			t.Errorf("without an error: got %d and %q, want %d", got, errs.String(), code)
		}
		for range 2 {
			if n, err := o.Write([]byte("text")); n != 4 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		}
		if got := o.Finish(code, &errs); got != want || errs.String() != message ||
			disk.writes != 1 {
			t.Errorf("code %d: got %d, %q and %d writes, want %d, %q and 1", code, got,
				errs.String(), disk.writes, want, message)
		}
	}
}

// TestJSON checks the JSON forms of version, health and validate.
func TestJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "s.hcl", "child \"a\" { command = \"sh\" }\n")
	for line, want := range map[string]struct {
		code int
		keys string // of the document, and a value
	}{
		"version -o json":            {0, `"version": "v1",`},
		"validate -c s.hcl -o json":  {0, `"valid": true,`},
		"validate -c none -o json":   {2, `"summary": "Cannot read",`},
		"health -c s.hcl -o json":    {1, `"ok": false,`},
		"health -c s.hcl --output y": {2, ""},
		"version -o xml":             {2, ""},
	} {
		code, out, errs := runMain(t, strings.Fields(line)...)
		valid := want.keys == "" && strings.Contains(errs, "it must be text or json") ||
			json.Valid([]byte(out)) && strings.Contains(out, want.keys) && errs == ""
		if code != want.code || !valid {
			t.Errorf("%s: got %d, %q and %q, want %+v", line, code, out, errs, want)
		}
	}
}
