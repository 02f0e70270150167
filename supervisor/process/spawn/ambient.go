package spawn

import "golang.org/x/sys/unix"

// A supervisor that is not root can have the capabilities to change the user as ambient ones:
// AmbientCapabilities= of systemd gives them. execve(2) keeps ambient capabilities, and a change
// from one user id to another clears them only if the old one is 0 (capabilities(7)). So a child of
// another user could change to root. These functions are for the calling thread alone.

// clearAmbient removes all ambient capabilities. Before Linux 4.3 there are none.
func clearAmbient() {
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// withoutAmbient calls fork without ambient capabilities, and restores them afterwards.
func withoutAmbient(fork func() (pid int, err error)) (pid int, err error) {
	var had []uintptr
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		set, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, c, 0, 0)
		if err == nil && set == 1 {
			had = append(had, c)
		}
	}
	clearAmbient()
	defer func() {
		for _, c := range had {
			_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0)
		}
	}()
	return fork()
}
