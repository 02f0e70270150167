package hclconfig

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/procfs"
)

// Users and groups come only from these files, which an image from scratch does not have. A
// static program has no other source (nsswitch.conf(5)). The package os/user uses $USER if the
// files are missing.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// identity is the user and the groups of a child.
type identity struct {
	uid, gid *uint32
	groups   []uint32
	login    map[string]string // the environment variables of the user; nil without user
}

// accounts are the lines of a file such as /etc/passwd, split into fields.
type accounts [][]string

// parseAccounts parses such a file. It skips lines with too few fields.
func parseAccounts(src []byte, fields int) (all accounts) {
	for line := range bytes.Lines(src) {
		entry := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
		if len(entry) >= fields {
			all = append(all, entry)
		}
	}
	return all
}

func (o *Options) readAccounts(path string, fields int) (accounts, error) {
	src, err := o.read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, invalid("The file with the names cannot be read: %v.", err)
	}
	return parseAccounts(src, fields), nil
}

// find returns the entry with a name. If there is none it returns the entry with a number.
func (a accounts) find(want string) []string {
	for _, column := range []int{0, 2} {
		i := slices.IndexFunc(a, func(entry []string) bool { return entry[column] == want })
		if i >= 0 {
			return a[i]
		}
	}
	return nil
}

func (a accounts) names() (names []string) {
	for _, entry := range a {
		names = append(names, entry[0])
	}
	return names
}

// idNumber parses an id. The largest number is not an id, see setresuid(2).
func idNumber(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && uint32(n) != ^uint32(0)
}

func (a accounts) user(user string) (identity, error) {
	entry := a.find(user)
	uid, ok := idNumber(user)
	gid, name, home := uid, user, "/"
	if entry != nil {
		var okUID, okGID bool
		uid, okUID = idNumber(entry[2])
		gid, okGID = idNumber(entry[3])
		name, home, ok = entry[0], entry[5], okUID && okGID
	}
	switch {
	case entry != nil && !ok:
		return identity{}, invalid("The entry of %s in %s has no valid numbers.", quote(user),
			passwdFile)
	case !ok:
		return identity{}, invalid("%s has no user %s.%s A number needs no entry.", passwdFile,
			quote(user), didYouMean(user, a.names()))
	}
	login := map[string]string{"HOME": home, "USER": name, "LOGNAME": name}
	return identity{uid: &uid, gid: &gid, login: login}, nil
}

func (a accounts) group(group string) (*uint32, error) {
	gid, ok := idNumber(group)
	if entry := a.find(group); entry != nil {
		gid, ok = idNumber(entry[2])
	}
	if !ok {
		return nil, invalid("%s has no group %s.%s A number needs no entry.", groupFile,
			quote(group), didYouMean(group, a.names()))
	}
	return &gid, nil
}

// of returns the groups that initgroups(3) gives to a user: the first group, and the groups that
// list the user.
func (a accounts) of(user string, first uint32) []uint32 {
	groups := []uint32{first}
	for _, entry := range a {
		members := strings.Split(entry[3], ",")
		if gid, ok := idNumber(entry[2]); ok && user != "" && slices.Contains(members, user) {
			groups = append(groups, gid)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// allow returns an error if the supervisor has no privilege to start and to signal a process with
// this identity. The supervisor's own identity needs no privilege; allow clears the fields then.
func (id *identity) allow() error {
	s, err := procfs.ReadStatus(os.Getpid())
	if err != nil {
		return nil // the spawn reports the fault
	}
	other := id.uid != nil && *id.uid != s.UID
	need := uint64(1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID)
	if other {
		need |= 1 << unix.CAP_KILL
	}
	switch {
	case s.Effective&need == need:
		return nil
	case !other && *id.gid == s.GID:
		id.uid, id.gid, id.groups = nil, nil, nil
		return nil
	}
	return invalid("The supervisor runs as user %d and has no privilege to change the user. It "+
		"needs CAP_SETUID, CAP_SETGID and CAP_KILL, or root.", s.UID)
}

// mayGive returns an error if the supervisor has no privilege to give a file to an owner.
func mayGive(o *config.SocketOwner) error {
	s, err := procfs.ReadStatus(os.Getpid())
	if err != nil || s.Effective&(1<<unix.CAP_CHOWN) != 0 {
		return nil // the start reports the fault
	}
	groups, err := unix.Getgroups()
	if o.UID == s.UID && (o.GID == s.GID || err == nil && slices.Contains(groups, int(o.GID))) {
		return nil
	}
	return invalid("The supervisor runs as user %d and has no privilege to give a socket to user "+
		"%d and group %d. It needs CAP_CHOWN, or root.", s.UID, o.UID, o.GID)
}
