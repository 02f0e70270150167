package config

import (
	"fmt"
	"io/fs"
)

// Listen is a socket that the supervisor opens for a child and passes to each process of
// the child. The address identifies it.
type Listen struct {
	Name    string
	TCP     string // host:port, where the host is an IP address; empty for a unix socket
	Unix    string // an absolute path; empty for a TCP socket
	Mode    fs.FileMode
	Owner   SocketOwner
	Backlog int // connections
}

// SocketOwner is the owner of the file of a unix socket. Without a name the file has the user and
// the group of every file that the supervisor creates.
type SocketOwner struct {
	User, Group string // as the configuration names them
	UID, GID    uint32 // 0 without a name
}

func (o SocketOwner) String() (text string) {
	if o.User != "" {
		text += ", user " + o.User
	}
	if o.Group != "" {
		text += ", group " + o.Group
	}
	return text
}

// Address returns the address of the socket. A TCP address never looks like a path.
func (l Listen) Address() string { return l.TCP + l.Unix }

func (l Listen) String() string {
	text := fmt.Sprintf("%s on %s, backlog %d", l.Name, l.Address(), l.Backlog)
	if l.Unix != "" {
		text += fmt.Sprintf(", mode %04o%s", l.Mode, l.Owner)
	}
	return text
}
