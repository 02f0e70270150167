package config

import (
	"fmt"
	"io/fs"
)

// Listen is a socket that the supervisor opens for a child and hands on to
// each of its runs. Its address is what it is known by.
type Listen struct {
	Name    string
	TCP     string // host:port, where the host is an IP address; empty: a unix socket
	Unix    string // absolute
	Mode    fs.FileMode
	Backlog int
}

// Address is where it listens. No TCP address looks like a path.
func (l Listen) Address() string { return l.TCP + l.Unix }

func (l Listen) String() string {
	text := fmt.Sprintf("%s on %s, backlog %d", l.Name, l.Address(), l.Backlog)
	if l.Unix != "" {
		text += fmt.Sprintf(", mode %04o", l.Mode)
	}
	return text
}

// Listens returns the sockets of all children that have instances.
func (c *Config) Listens() []Listen {
	var all []Listen
	for _, child := range c.Children {
		if len(child.Instances) > 0 {
			all = append(all, child.Instances[0].Launch.Listen...)
		}
	}
	return all
}
