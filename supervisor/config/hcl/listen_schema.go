package hclconfig

import (
	"io/fs"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"tp0/supervisor/config"
)

// listenSchema is a listen block of a child. All instances share the socket, so `index` is not
// available.
var listenSchema = sync.OnceValue(func() *block[config.Listen] {
	return &block[config.Listen]{
		name:  "listen",
		label: "name",
		doc: "A socket that the supervisor opens and passes to the child as systemd does, from " +
			"descriptor 3 on (`LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`). It stays open " +
			"during a restart, and all instances share it. Exactly one of `tcp` and `unix` is " +
			"required.",
		attributes: []attribute[config.Listen]{
			field("tcp", func(l *config.Listen) *string { return &l.TCP },
				listenAddressKind, `"127.0.0.1:12345"`,
				"The TCP address. `localhost` is 127.0.0.1. Without a host it is any address of "+
					"this machine, IPv4 and IPv6."),
			field("unix", func(l *config.Listen) *string { return &l.Unix },
				kind[string]{"string", "a path of 1 to 107 bytes", readNotEmpty},
				`"/run/echo.sock"`,
				"The path of a unix socket, relative to the working directory of the supervisor. "+
					"An existing socket on which no process listens is replaced."),
			field("mode", func(l *config.Listen) *fs.FileMode { return &l.Mode },
				kind[fs.FileMode]{"string", "three octal digits, with or without a leading 0",
					readFileMode},
				`"0600"`,
				"The permission bits of the unix socket: who may connect."),
			field("user", func(l *config.Listen) *string { return &l.Owner.User },
				accountKind, `"www-data"`,
				"The name or number of the owner of the unix socket. The default is the user of "+
					"the supervisor."),
			field("group", func(l *config.Listen) *string { return &l.Owner.Group },
				accountKind, `"www-data"`,
				"The name or number of the group of the unix socket. The default is the group of "+
					"`user`, or that of the supervisor."),
			field("backlog", func(l *config.Listen) *int { return &l.Backlog },
				integer(0, maxBacklog), "128",
				"The number of connections that can wait to be accepted, also during a restart. "+
					"The kernel limits it to `net.core.somaxconn`."),
		},
	}
})

const (
	maxBacklog  = 65_535
	maxUnixPath = 107 // bytes; sun_path has 108 with the final NUL, see unix(7)
)

func defaultListen() config.Listen { return config.Listen{Mode: 0o666, Backlog: 4096} }

// listenName matches the names that LISTEN_FDNAMES can hold between its colons.
var listenName = lazyPattern(`^[a-z0-9_-]+$`)

var modeForm = lazyPattern(`^0?[0-7]{3}$`)

func readFileMode(v cty.Value) (fs.FileMode, error) {
	s, err := readForm(v, `a string with octal digits, such as "0600"`)
	if err != nil {
		return 0, err
	}
	if !modeForm().MatchString(s) {
		return 0, invalid(`%s is not a mode. An example is "0600".`, quote(s))
	}
	var mode fs.FileMode
	for _, digit := range s {
		mode = mode<<3 | fs.FileMode(digit-'0')
	}
	return mode, nil
}
