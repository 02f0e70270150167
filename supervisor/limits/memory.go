package limits

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
)

// minMemory is the least memory limit that BoundMemory sets, in bytes. An idle supervisor needs
// 6 MB; below this limit it would only collect garbage.
const minMemory = 10 << 20

// unlimited is more bytes than a machine has. Version 1 has such a number in place of no limit.
const unlimited = 1 << 50

// BoundMemory makes the garbage collector keep the supervisor below half of the memory that the
// control group allows, and returns that number of bytes, 0 if there is no limit. Without it, the
// heap grows to twice what is in use before a collection. An fd scan of a child with 15,000
// descriptors then exceeds a limit of 24 MB together with what the kernel counts for these
// descriptors. GOMEMLIMIT takes precedence.
func BoundMemory() int64 {
	cgroups, _ := os.ReadFile("/proc/self/cgroup")
	limit := memoryLimit(string(cgroups), "/sys/fs/cgroup")
	if limit > unlimited || os.Getenv("GOMEMLIMIT") != "" {
		return 0
	}
	limit = max(limit/2, minMemory)
	debug.SetMemoryLimit(limit)
	return limit
}

// memoryLimit returns the lowest limit of the memory controller in bytes.
func memoryLimit(cgroups, mounts string) int64 {
	lowest := int64(math.MaxInt64)
	for _, dir := range cgroupDirs(cgroups, mounts, "memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			if n, err := readNumber(filepath.Join(dir, name)); err == nil {
				lowest = min(lowest, int64(n))
			}
		}
	}
	return lowest
}
