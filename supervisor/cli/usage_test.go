package cli

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"tp0/supervisor/exitcode"
)

// TestUsageBeforeSearch checks that a fault in the arguments is reported also if no supervisor
// runs. The same verb without the fault finds no supervisor.
func TestUsageBeforeSearch(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	for _, tt := range []struct{ fault, right, want string }{
		{"logs a -n -1", "logs a -n 0", "--lines is -1: it must be 0 or more"},
		{"logs a --since=bad", "logs a --since=10m", `--since is "bad"`},
		{"logs a --since=-10m", "logs a --since=2006-01-02T15:04:05Z", `--since is "-10m"`},
		{"logs a --stream foo", "logs a --stream stderr", `--stream is "foo"`},
		{"wait a --for bad", "wait a --for stopped", `--for is "bad": it must be ready or stopped`},
		{"wait a --timeout -1s", "wait a --timeout 1s", "--timeout is -1s: it must be 0 or more"},
		{"wait a --no-wait", "wait", "--no-wait"},
		{"restart a --timeout -5s", "restart a --no-wait", "--timeout is -5s"},
		{"start a --timeout -5s", "start a --timeout 0", "--timeout is -5s"},
		{"stop a --timeout 5", "stop a --timeout 5s", "--timeout"},
		{"reload --timeout -5s", "reload", "--timeout is -5s"},
		{"signal FOO a", "signal HUP a", `"FOO" is not a signal`},
		{"signal HUP a --timeout -5s", "signal 10 a", "--timeout is -5s"},
		{"shutdown --deadline -1s", "shutdown --deadline 1s", "--deadline is -1s"},
		{"shutdown --deadline 0s", "shutdown", "--deadline is 0s"},
		{"status -o foo", "status -o json", `--output is "foo"`},
	} {
		run := func(line string) (code int, printed string) {
			var stderr strings.Builder
			args := append(strings.Fields(line), "--socket", socket)
			code = Main(args, Program{Stdout: io.Discard, Stderr: &stderr})
			return code, stderr.String()
		}
		code, printed := run(tt.fault)
		if code != exitcode.Usage || !strings.Contains(printed, tt.want) {
			t.Errorf("%s: got exit code %d and %q, want %d and %q", tt.fault, code, printed,
				exitcode.Usage, tt.want)
		}
		if code, printed := run(tt.right); code != noSupervisor {
			t.Errorf("%s: got exit code %d and %q, want %d", tt.right, code, printed, noSupervisor)
		}
	}
}
