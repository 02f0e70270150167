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

	"tp0/supervisor/procfs"
)

// Users are looked up in these files, which an image from scratch does not
// have, and nowhere else: a static program has no other source (nsswitch.conf(5)).
// os/user would believe $USER where they are missing.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// identity is who a child runs as.
type identity struct {
	uid, gid *uint32
	groups   []uint32
	login    map[string]string // the variables of a user; nil: none is given
}

// accounts are the lines of a file such as /etc/passwd, in fields.
type accounts [][]string

// parseAccounts leaves out lines that have too few fields.
func parseAccounts(src []byte, fields int) (all accounts) {
	for line := range bytes.Lines(src) {
		if entry := strings.Split(strings.TrimRight(string(line), "\r\n"), ":"); len(entry) >= fields {
			all = append(all, entry)
		}
	}
	return all
}

func (o *Options) readAccounts(path string, fields int) (accounts, error) {
	src, err := o.read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, wrong("The file that has the names cannot be read: %v.", err)
	}
	return parseAccounts(src, fields), nil
}

// find looks for a name or, where none is that, for a number.
func (a accounts) find(want string) []string {
	for _, field := range []int{0, 2} {
		if i := slices.IndexFunc(a, func(entry []string) bool { return entry[field] == want }); i >= 0 {
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

// idNumber reads an id. The largest one means none (setresuid(2)).
func idNumber(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && uint32(n) != ^uint32(0)
}

// identify resolves a user and a group, either of which may be empty. An error
// comes with the name of the attribute that is to blame.
func (d *decoder) identify(user, group string) (id identity, attribute string, err error) {
	if user == "" && group == "" {
		return id, "", nil
	}
	if d.users == nil {
		if d.users, err = d.opt.readAccounts(passwdFile, 6); err != nil {
			return id, "user", err
		}
		if d.groups, err = d.opt.readAccounts(groupFile, 4); err != nil {
			return id, "group", err
		}
	}
	attribute = "group"
	if user != "" {
		attribute = "user"
		if id, err = d.users.user(user); err != nil {
			return id, attribute, err
		}
	}
	if group != "" {
		if id.gid, err = d.groups.group(group); err != nil {
			return id, "group", err
		}
	}
	id.groups = d.groups.of(id.login["USER"], *id.gid)
	return id, attribute, id.allow()
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
		return identity{}, wrong("The entry of %s in %s has no numbers where they belong.", quote(user), passwdFile)
	case !ok:
		return identity{}, wrong("There is no user %s in %s.%s A number is right without an entry.", quote(user), passwdFile, didYouMean(user, a.names()))
	}
	return identity{uid: &uid, gid: &gid, login: map[string]string{"HOME": home, "USER": name, "LOGNAME": name}}, nil
}

func (a accounts) group(group string) (*uint32, error) {
	gid, ok := idNumber(group)
	if entry := a.find(group); entry != nil {
		gid, ok = idNumber(entry[2])
	}
	if !ok {
		return nil, wrong("There is no group %s in %s.%s A number is right without an entry.", quote(group), groupFile, didYouMean(group, a.names()))
	}
	return &gid, nil
}

// of is what initgroups(3) gives a user: the first group, and those that name
// the user.
func (a accounts) of(user string, first uint32) []uint32 {
	groups := []uint32{first}
	for _, entry := range a {
		if gid, ok := idNumber(entry[2]); ok && user != "" && slices.Contains(strings.Split(entry[3], ","), user) {
			groups = append(groups, gid)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// allow says whether we may become that, and signal it then. Who may not can
// still stay what it is.
func (id *identity) allow() error {
	s, err := procfs.ReadStatus(os.Getpid())
	if err != nil {
		return nil // the spawn will tell
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
	return wrong("The supervisor, which runs as user %d, may not change that: it takes the rights of root (CAP_SETUID, CAP_SETGID and CAP_KILL).", s.UID)
}
