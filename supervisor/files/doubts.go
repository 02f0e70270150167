package files

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Doubts returns the reasons why users other than root and that of the supervisor can change the
// file that a path leads to: the owner and the mode of the file, of the directories above it, and
// of the symbolic links on the path. It follows all links. The result is empty for a descriptor in
// /proc, such as /dev/stdin. If the file does not exist, the reasons are those of the path.
func Doubts(path string) (reasons []string, err error) {
	doubt := func(reason string) { reasons = append(reasons, reason) }
	d, name, err := openParent(path, true, doubt)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if name == "" || isMagic(d.path) {
		return nil, nil
	}
	fd, st, err := d.OpenPath(name)
	if err != nil {
		return reasons, err
	}
	defer unix.Close(fd)
	switch {
	case !isOurs(st.Uid):
		doubt(fmt.Sprintf("the file %s belongs to user %d", join(d.path, name), st.Uid))
	case othersMayWrite(fd, &st):
		doubt(fmt.Sprintf("others may write to the file %s, which has the mode %s",
			join(d.path, name), octal(st.Mode)))
	}
	return reasons, nil
}
