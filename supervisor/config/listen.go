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
	Backlog int // connections
}

// Address returns the address of the socket. A TCP address never looks like a path.
func (l Listen) Address() string { return l.TCP + l.Unix }

func (l Listen) String() string {
	text := fmt.Sprintf("%s on %s, backlog %d", l.Name, l.Address(), l.Backlog)
	if l.Unix != "" {
		text += fmt.Sprintf(", mode %04o", l.Mode)
	}
	return text
}
