package verb

import (
	"fmt"
	"runtime"

	"tp0/supervisor/exitcode"
)

func versionVerb(p Program) *Verb {
	var output string
	v := newVerb(Version, "Print the version", "")
	v.run = func([]string) (int, error) {
		if err := CheckOutput(output); err != nil {
			return 0, err
		}
		if output == "json" {
			return exitcode.OK, WriteJSON(p.Stdout, struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{p.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH})
		}
		fmt.Fprintln(p.Stdout, VersionLine(p.Version))
		return exitcode.OK, nil
	}
	AddOutput(v.Flags, &output)
	return v
}

// VersionLine returns the line that `version` and --version print.
func VersionLine(version string) string {
	return fmt.Sprintf("supervisor %s (%s %s/%s)", version, runtime.Version(), runtime.GOOS,
		runtime.GOARCH)
}
