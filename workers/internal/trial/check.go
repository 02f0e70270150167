package trial

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var head = regexp.MustCompile(
	`^\d\d:\d\d:\d\d\.\d{3}Z \[(TRACE|DEBUG|INFO|WARN|ERROR)\] {1,2}` +
		`action: [a-z_]+ \| result: `,
)

// Check returns an error if a log line breaks the format that tools expect, which search for
// `action:` and split at every `|`: each field has a name and a colon, result is success, fail or
// in_progress, and no field is named source, or action or result a second time.
func Check(line string) error {
	if !strings.Contains(line, "action:") {
		return nil
	}
	if !head.MatchString(line) {
		return errors.New("not a time, a level, an action and a result")
	}
	_, line, _ = strings.Cut(line, "] ")
	seen := map[string]bool{"source": true}
	for field := range strings.SplitSeq(line, "|") {
		name, value, ok := strings.Cut(field, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok:
			return fmt.Errorf("a field without a colon, %q", field)
		case seen[name]:
			return fmt.Errorf("one more field %q", name)
		case name == "action", name == "result":
			seen[name] = true
		}
		if name == "result" && value != "success" && value != "fail" && value != "in_progress" {
			return fmt.Errorf("no known result, %q", value)
		}
	}
	return nil
}
