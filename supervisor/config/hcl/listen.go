package hclconfig

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"tp0/supervisor/config"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// listenSchema is a listen block of a child. All its instances share the
// socket, so `index` is not to be had.
var listenSchema = block[config.Listen]{
	name:  "listen",
	label: "name",
	doc:   "A socket that the supervisor opens and hands on as systemd does, from descriptor 3 on (LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID). It stays open from one run to the next, and all instances share it. One of tcp and unix is needed.",
	attributes: []attribute[config.Listen]{
		field("tcp", func(l *config.Listen) *string { return &l.TCP }, listenAddress,
			"The address, host:port. The host is an IP address or localhost, which is 127.0.0.1; without one it is any address of this machine, IPv4 or IPv6."),
		field("unix", func(l *config.Listen) *string { return &l.Unix }, notEmpty,
			"The path of a unix socket, relative to the supervisor's own directory. A socket that is there and that nobody listens on is replaced."),
		field("mode", func(l *config.Listen) *fs.FileMode { return &l.Mode }, fileMode,
			`Who may connect to the unix socket, as "0600". Without it that is "0666", everybody.`),
		field("backlog", func(l *config.Listen) *int { return &l.Backlog }, integer(maxBacklog),
			"How many connections may wait to be accepted, while a child restarts too. The kernel takes no more than net.core.somaxconn."),
	},
}

const (
	maxBacklog  = 65_535
	maxUnixPath = 107 // unix(7): sun_path has 108 bytes, and a NUL behind the path
)

func defaultListen() config.Listen { return config.Listen{Mode: 0o666, Backlog: 4096} }

// listenName is what fits between the colons of LISTEN_FDNAMES.
var listenName = regexp.MustCompile(`^[a-z0-9_-]+$`)

// listenBlock is a listen block on its way to a [Listen].
type listenBlock struct {
	*hcl.Block
	config.Listen
}

// decodeListen decodes the sockets of a child.
func (d *decoder) decodeListen(c *childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	names := map[string]bool{}
	functions := d.strict
	if c.out {
		functions = d.lenient
	}
	ctx := d.context(functions)
	for i := range c.listens {
		b := &c.listens[i]
		b.Name = b.Labels[0]
		switch {
		case len(b.Name) > maxNameLength || !listenName.MatchString(b.Name):
			diags = diags.Append(fault(&b.LabelRanges[0], "Invalid name", "The name of a socket has small letters, digits, underscores and dashes only, and %d of them at most.", maxNameLength))
		case names[b.Name]:
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate socket", "The child has a socket %s already.", quote(b.Name)))
		}
		names[b.Name] = true
		settings, _, more := bind(d, b.Body, &listenSchema, "listen.", map[string]hcl.Range{}, nil)
		given := map[string]*hcl.Range{}
		for _, s := range settings {
			given[s.name] = &s.place
			_, told := evaluate(d, s, ctx, &b.Listen)
			more = append(more, told...)
		}
		more = append(more, b.check(given)...)
		diags = append(diags, more...)
		if b.Unix != "" && !more.HasErrors() {
			if b.Unix = absolute(d.wd, b.Unix); len(b.Unix) > maxUnixPath {
				diags = diags.Append(fault(given["unix"], "Invalid value for listen.unix", "The path of a unix socket has %d bytes at most, and %s has %d.", maxUnixPath, quote(b.Unix), len(b.Unix)))
			}
		}
		c.values.launch.Listen = append(c.values.launch.Listen, b.Listen)
	}
	return diags
}

// check finds attributes that do not go together.
func (b *listenBlock) check(given map[string]*hcl.Range) hcl.Diagnostics {
	switch tcp, unix, mode := given["tcp"], given["unix"], given["mode"]; {
	case tcp == nil && unix == nil:
		return hcl.Diagnostics{fault(&b.DefRange, "No address", `A socket needs tcp = "host:port" or unix = "path".`)}
	case tcp != nil && unix != nil:
		return hcl.Diagnostics{fault(unix, "Two addresses", "A socket has one of tcp and unix; for the other one write a second block.")}
	case tcp != nil && mode != nil:
		return hcl.Diagnostics{fault(mode, "No file to give a mode", "Only a unix socket has a mode.")}
	}
	return nil
}

// checkListen finds two sockets that are in each other's way. A child without
// instances is in nobody's.
func checkListen(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	first := map[string]*listenBlock{}
	for _, c := range children {
		if len(c.numbers) == 0 {
			continue
		}
		for i := range c.listens {
			b := &c.listens[i]
			is, meets := claims(b.Listen)
			if at := slices.IndexFunc(meets, func(claim string) bool { return first[claim] != nil }); at >= 0 {
				before := first[meets[at]]
				diags = diags.Append(fault(&b.DefRange, "Duplicate address", "The socket in %s listens on %s already. Instances of one child share a socket; two children cannot.", lineOf(before.DefRange, b.DefRange), quote(before.Address())))
				continue
			}
			for _, claim := range is {
				if first[claim] == nil {
					first[claim] = b
				}
			}
		}
	}
	return diags
}

// claims are what a socket takes, and what nobody may have taken before it. No
// host is every address of its family, and that of IPv6 has IPv4 too.
func claims(l config.Listen) (is, meets []string) {
	own, err := netip.ParseAddrPort(l.TCP)
	if err != nil {
		if l.Unix == "" {
			return nil, nil // that it has none was said
		}
		return []string{l.Unix}, []string{l.Unix}
	}
	of := func(what string) string { return fmt.Sprint(what, " ", own.Port()) }
	is, meets = []string{l.TCP, of("any")}, []string{l.TCP, of("all")}
	if own.Addr().Is4() {
		is, meets = append(is, of("any4")), append(meets, of("all4"))
	}
	switch own.Addr() {
	case netip.IPv6Unspecified():
		is, meets = append(is, of("all")), append(meets, of("any"))
	case netip.IPv4Unspecified():
		is, meets = append(is, of("all4")), append(meets, of("any4"))
	}
	return is, meets
}

// listensOn reports whether a TCP socket of the child takes connections to an
// address of this machine.
func (v *childValues) listensOn(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	wanted, err := netip.ParseAddr(host)
	here := host == "" || err == nil && (wanted.IsUnspecified() || wanted.IsLoopback())
	return slices.ContainsFunc(v.launch.Listen, func(l config.Listen) bool {
		own, err := netip.ParseAddrPort(l.TCP)
		if err != nil || port != portOf(l.TCP) {
			return false
		}
		return host == "" || wanted.IsUnspecified() || own.Addr() == wanted || here && own.Addr().IsUnspecified()
	})
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// listenAddress reads the address of a TCP socket, and returns each in one form
// only. A name is none: what it resolves to can change.
func listenAddress(v cty.Value) (string, error) {
	s, err := address(v)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", err
	}
	switch host {
	case "":
		host = "::"
	case "localhost": // RFC 6761, 6.3
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", wrong("To listen takes an IP address of this machine, and %s is a name.", quote(host))
	}
	return net.JoinHostPort(ip.Unmap().String(), port), nil
}

var modeForm = regexp.MustCompile(`^0?[0-7]{3}$`)

func fileMode(v cty.Value) (fs.FileMode, error) {
	s, err := text(v)
	if err != nil || !modeForm.MatchString(s) {
		return 0, wrong(`A mode is three octal digits in quotes, as "0600".`)
	}
	var mode fs.FileMode
	for _, digit := range s {
		mode = mode<<3 | fs.FileMode(digit-'0')
	}
	return mode, nil
}

// isHandedOn reports whether a variable is one by which somebody handed us
// sockets. They are no child's.
func isHandedOn(name string) bool {
	return name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" || name == "LISTEN_PID"
}
