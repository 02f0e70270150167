package envfile

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// FuzzParse checks that the variables of a file can be passed to a process, that each fault names a
// line of the file and quotes none, and that a file of the variables has the same variables.
func FuzzParse(f *testing.F) {
	f.Add("A=a\n# comment\nHOME\nexport B=1\n=x\nC D=1\n", "HOME=/root")
	f.Add("\ufeffA=1\r\n  B = 2\r\nA\x00=1\n\xff=1\n", "B=\xff")
	f.Add("A==\nA=\nA\n", "A=own")
	f.Fuzz(func(t *testing.T, src, own string) {
		vars, faults := Parse([]byte(src), Map([]string{own}))
		lines := strings.Count(src, "\n") + 1
		for _, fault := range faults {
			rest, ok := strings.CutPrefix(fault, "line ")
			text, _, _ := strings.Cut(rest, ":")
			if n, err := strconv.Atoi(text); !ok || err != nil || n < 1 || n > lines {
				t.Errorf("%q: the fault %q names no line", src, fault)
			}
		}
		var text strings.Builder
		for name, value := range vars {
			if name == "" || strings.ContainsAny(name, "=\x00\n") {
				t.Errorf("%q: got the name %q", src, name)
			}
			text.WriteString(name + "=" + value + "\n")
		}
		checkEnviron(t, vars)
		if len(faults) > 0 || strings.Contains(own, "\x00") || strings.ContainsAny(own, "\r\n") {
			return
		}
		again, _ := Parse([]byte(text.String()), nil)
		for name, value := range vars {
			if got, ok := again[name]; got != value && ok {
				t.Errorf("%q: got %s=%q, and then %q", src, name, value, got)
			}
		}
	})
}

// checkEnviron checks that an environment has each variable once, in order.
func checkEnviron(t *testing.T, vars map[string]string) {
	t.Helper()
	environ := Assign([]string{"A=before", "Z=before"}, vars)
	var names []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("got the environment %q, want each name once, sorted", environ)
	}
}
