package control

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// namePrefix is the start of the name of every control socket.
const namePrefix = "@supervisor/"

// MaxSlots is the number of supervisors that can run one configuration at the same time: with parts
// of it (--only), or with --allow-second. Each has a socket of its own.
const MaxSlots = 16

// Name returns the name of the socket of the supervisor that runs the configuration at an
// absolute path. The pid namespace and the root directory are parts of the name: containers that
// share a network namespace, and so the abstract names, can have the same path for different files.
func Name(config string) string {
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	var root unix.Stat_t
	_ = unix.Stat("/", &root)
	id := fmt.Sprintf("%s\x00%d:%d\x00%s", namespace, root.Dev, root.Ino, config)
	sum := sha256.Sum256([]byte(id))
	return namePrefix + hex.EncodeToString(sum[:8])
}

// SlotName returns the name of a slot of a configuration. The slots count from 0.
func SlotName(name string, slot int) string {
	if slot == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, slot)
}

// OfSlot returns the name of the configuration that a slot belongs to.
func OfSlot(name string) string {
	base, _, _ := strings.Cut(name, "-")
	return base
}
