package limits

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	for name, test := range map[string]struct {
		cgroups string
		files   map[string]string
		want    int64
	}{
		"none":      {"0::/\n", nil, math.MaxInt64},
		"version 2": {"0::/\n", map[string]string{"memory.max": "25165824\n"}, 24 << 20},
		"no limit":  {"0::/\n", map[string]string{"memory.max": "max\n"}, math.MaxInt64},
		"lowest of the ancestors": {"0::/a/b\n", map[string]string{
			"a/memory.max": "1000\n", "a/b/memory.max": "2000\n"}, 1000},
		"version 1": {"5:cpu:/x\n4:memory:/docker/1\n", map[string]string{
			"memory/memory.limit_in_bytes": "3000\n"}, 3000},
		"version 1 without a limit": {"4:memory:/\n", map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 9223372036854771712},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.files {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := memoryLimit(test.cgroups, dir); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
