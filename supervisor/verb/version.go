package verb

import (
	"fmt"
	"runtime"

	"tp0/supervisor/exitcode"
)

func versionVerb(p Program) *Verb {
	v := newVerb(Version, "Print the version", "")
	v.run = func([]string) (int, error) {
		fmt.Fprintln(p.Stdout, VersionLine(p.Version))
		return exitcode.OK, nil
	}
	return v
}

// VersionLine returns the line that `version` and --version print.
func VersionLine(version string) string {
	return fmt.Sprintf("supervisor %s (%s %s/%s)", version, runtime.Version(), runtime.GOOS,
		runtime.GOARCH)
}
