package plan

import (
	"iter"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"tp0/supervisor/config"
)

// Address is a TCP address or the path of a unix socket that a process listens on.
type Address struct {
	host netip.Addr // invalid for a unix socket, and for a host with a name
	name string     // the name of the host in lower case, or the path of a unix socket
	port uint16     // 0 for a unix socket
}

func (a Address) String() string {
	switch {
	case a.port == 0:
		return a.name
	case a.host.IsValid():
		return netip.AddrPortFrom(a.host, a.port).String()
	}
	return net.JoinHostPort(a.name, strconv.Itoa(int(a.port)))
}

// overlaps reports whether the kernel refuses a second listener on one of two addresses. Without
// the option IPV6_V6ONLY, [::] is every address of both families (ipv6(7)). A host name is
// not resolved, so it overlaps each address.
func (a Address) overlaps(b Address) bool {
	switch {
	case a.port != b.port:
		return false
	case a.port == 0:
		return a.name == b.name
	case !a.host.IsValid() && !b.host.IsValid():
		return a.name == b.name
	case !a.host.IsValid(), !b.host.IsValid(), a.host == b.host:
		return true
	}
	return covers(a.host, b.host) || covers(b.host, a.host)
}

// covers reports whether a listener on a wildcard address accepts connections to b.
func covers(wildcard, b netip.Addr) bool {
	return wildcard.IsUnspecified() && (wildcard.Is6() || b.Is4())
}

// ParseAddress parses host:port, or the path of a unix socket. "localhost" is two addresses. A text
// that is neither is no address.
func ParseAddress(text string) []Address {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "@") {
		return []Address{{name: path.Clean(text)}}
	}
	host, service, err := net.SplitHostPort(text)
	if err != nil {
		return nil
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil
	}
	one := func(a netip.Addr) Address {
		return Address{host: a.Unmap().WithZone(""), port: uint16(port)}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	switch host {
	case "", "*":
		return []Address{one(netip.IPv6Unspecified())}
	case "localhost":
		return []Address{one(netip.AddrFrom4([4]byte{127, 0, 0, 1})), one(netip.IPv6Loopback())}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []Address{one(a)}
	}
	return []Address{{name: host, port: uint16(port)}}
}

// parseURL returns the address of the server of a URL.
func parseURL(text string) []Address {
	u, err := url.Parse(text)
	if text == "" || err != nil {
		return nil
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return ParseAddress(net.JoinHostPort(u.Hostname(), port))
}

// claims are the addresses that a process needs, by its configuration.
type claims struct {
	sockets []Address // of listen blocks: the supervisor opens them
	own     []Address // of tcp probes: they succeed only for a listener of the process itself
	probed  []Address // of http probes: another process may answer
}

// claimsOf returns what an instance claims. A probe of an address of a listen block claims nothing
// more.
func claimsOf(i *config.Instance) (c claims) {
	for _, l := range i.Launch.Listen {
		c.sockets = append(c.sockets, ParseAddress(l.Address())...)
	}
	add := func(to *[]Address, all []Address) {
		for _, a := range all {
			if !overlapsAny(a, c.sockets) {
				*to = append(*to, a)
			}
		}
	}
	if r := i.Launch.Ready; r != nil {
		add(&c.own, ParseAddress(r.TCP))
		add(&c.probed, parseURL(r.HTTP))
	}
	for _, check := range i.Policy.Checks {
		add(&c.own, ParseAddress(check.TCP))
		add(&c.probed, parseURL(check.HTTP))
	}
	return c
}

// listeners returns the addresses of the sockets that the process opens itself.
func (c claims) listeners() []Address { return slices.Concat(c.own, c.probed) }

func (c claims) empty() bool { return len(c.sockets)+len(c.own)+len(c.probed) == 0 }

func overlapsAny(a Address, list []Address) bool {
	for _, b := range list {
		if a.overlaps(b) {
			return true
		}
	}
	return false
}

// portsIn returns the numbers in the arguments and in the environment of an instance that can be
// ports.
func portsIn(i *config.Instance) map[uint16]bool {
	ports := map[uint16]bool{}
	add := func(text string) {
		for port := range numbersIn(text) {
			ports[port] = true
		}
	}
	for _, arg := range i.Launch.Args {
		add(arg)
	}
	for _, entry := range i.Launch.Env {
		_, value, _ := strings.Cut(entry, "=")
		add(value)
	}
	return ports
}

// numbersIn yields the numbers from 1 to 65535 in a text, each with the byte before it, which is 0
// at the begin of the text.
func numbersIn(text string) iter.Seq2[uint16, byte] {
	return func(yield func(uint16, byte) bool) {
		var before byte
		for text != "" {
			rest := strings.TrimLeft(text, "0123456789")
			digits := text[:len(text)-len(rest)]
			n, err := strconv.ParseUint(digits, 10, 16)
			if err == nil && n > 0 && !yield(uint16(n), before) {
				return
			}
			if rest != "" {
				before, rest = rest[0], rest[1:]
			}
			text = rest
		}
	}
}
