package hclconfig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tp0/supervisor/envfile"
)

// faultsOf returns the faults of a file. The test fails if there are none.
func faultsOf(t testing.TB, src string, opt Options) *Faults {
	t.Helper()
	c, err := Parse([]byte(src), "supervisor.hcl", opt)
	var faults *Faults
	if c != nil || !errors.As(err, &faults) {
		t.Fatalf("got the configuration %v and the error %v, want faults", c, err)
	}
	return faults
}

// brief returns a fault as one line: the position, the summary and the detail.
func brief(f Fault) string {
	return fmt.Sprintf("%d:%d %s: %s", f.Line, f.Column, f.Summary, f.Detail)
}

// compareFaults checks that there are as many faults as wanted, in this order, and that each
// starts with the wanted text.
func compareFaults(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got the faults\n%.2000s\nwant faults that start with\n%s",
			strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// faultCase is a file with faults. DIR in the file and in the faults is the directory that
// machine makes.
type faultCase struct {
	name string
	src  string
	want []string // the start of each fault
}

// inChild returns the case of a child with a further line, which is line 3 of the file.
func inChild(name, line string, want ...string) faultCase {
	return faultCase{name, "child \"a\" {\ncommand = \"server\"\n" + line + "\n}\n", want}
}

// inBlock returns the case of a child with a block. The line in the block is line 4 of the file.
func inBlock(name, block, line string, want ...string) faultCase {
	return inChild(name, block+" {\n"+line+"\n}", want...)
}

func TestFaults(t *testing.T) {
	dir, opt := machine(t)
	inBin := func(name string) string { return filepath.Join(dir, "bin", name) }
	large := filepath.Join(dir, "large")
	must(t, os.WriteFile(large, make([]byte, envfile.MaxSize+1), 0o644))
	const invalidLines = "A=b\nsecret word=x\n# a = b\n=x\nexport A=b\nB=\xff\n"
	must(t, os.WriteFile(filepath.Join(dir, "faults"), []byte(invalidLines), 0o644))
	opt.Environ = append(opt.Environ,
		"SUB="+inBin("sub"), "DATA="+inBin("data"), "LARGE="+large)
	for topic, cases := range map[string][]faultCase{
		"file":         faultsOfFiles,
		"names":        faultsOfNames,
		"duplicates":   faultsOfDuplicates,
		"types":        faultsOfTypes,
		"enums":        faultsOfEnums,
		"durations":    faultsOfDurations,
		"signals":      faultsOfSignals,
		"stop":         faultsOfStops,
		"retention":    faultsOfRetention,
		"attributes":   faultsOfAttributes,
		"count":        faultsOfCounts,
		"child names":  faultsOfChildNames,
		"dependencies": faultsOfDependencies,
		"command":      faultsOfCommands,
		"listen":       faultsOfSockets,
		"ready":        faultsOfReady,
		"check":        faultsOfChecks,
		"logs":         faultsOfLogs,
		"restart":      faultsOfRestart,
		"hooks":        faultsOfHooks,
		"deadline":     faultsOfDeadlines,
	} {
		for _, test := range cases {
			t.Run(topic+"/"+test.name, func(t *testing.T) {
				var got []string
				src := strings.ReplaceAll(test.src, "DIR", dir)
				for _, f := range faultsOf(t, src, opt).List() {
					got = append(got, strings.ReplaceAll(brief(f), dir, "DIR"))
				}
				compareFaults(t, got, test.want)
			})
		}
	}
}

// manyChildren returns a file with n children of four lines each.
func manyChildren(n int, line string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "child \"c%d_\" {\ncommand = \"server\"\n%s\n}\n", i, line)
	}
	return b.String()
}
