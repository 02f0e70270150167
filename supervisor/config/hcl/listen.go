package hclconfig

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"tp0/supervisor/config"
)

// decodeListen decodes the sockets of a child.
func (d *decoder) decodeListen(c *childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	names := map[string]bool{}
	functions := d.strict
	if c.excluded {
		functions = d.lenient
	}
	ctx := d.context(functions)
	for i := range c.listens {
		b := &c.listens[i]
		b.Name = b.Labels[0]
		switch {
		case len(b.Name) > maxNameLength || !listenName().MatchString(b.Name):
			diags = diags.Append(fault(&b.LabelRanges[0], "Invalid name",
				"The name of a socket must have only lowercase letters, digits, underscores and "+
					"dashes, and at most %d characters.", maxNameLength))
		case names[b.Name]:
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate socket",
				"The child already has a socket %s.", quote(b.Name)))
		}
		names[b.Name] = true
		settings, _, more := bind(d, b.Body, listenSchema(), "listen.", map[string]hcl.Range{}, nil)
		given := map[string]*hcl.Range{}
		for _, s := range settings {
			given[s.name] = &s.place
			_, faults := evaluate(d, s, ctx, &b.Listen)
			more = append(more, faults...)
		}
		more = withoutMisspelled(append(more, b.check(given)...))
		if !c.excluded && !more.HasErrors() {
			if name, err := d.resolveOwner(&b.Owner); err != nil {
				place := cmp.Or(given[name], given["user"], given["group"])
				more = more.Append(fault(place, "Invalid value for listen."+name, "%v", err))
			}
		}
		diags = append(diags, more...)
		if b.Unix != "" && !more.HasErrors() {
			if b.Unix = absolute(d.wd, b.Unix); len(b.Unix) > maxUnixPath {
				diags = diags.Append(fault(given["unix"], "Invalid value for listen.unix",
					"The path of a unix socket must have at most %d bytes, but %s has %d.",
					maxUnixPath, quote(b.Unix), len(b.Unix)))
			}
		}
		c.values.launch.Listen = append(c.values.launch.Listen, b.Listen)
	}
	return diags
}

// check finds attributes that contradict each other.
func (b *listenBlock) check(given map[string]*hcl.Range) hcl.Diagnostics {
	switch tcp, unix, mode := given["tcp"], given["unix"], given["mode"]; {
	case tcp == nil && unix == nil:
		return hcl.Diagnostics{fault(&b.DefRange, missingArgument,
			`A listen block requires tcp = "host:port" or unix = "path".`)}
	case tcp != nil && unix != nil:
		return hcl.Diagnostics{fault(unix, "Conflicting arguments",
			"Only one of `tcp` and `unix` can be set. Write a second block for the other address.")}
	case tcp != nil && mode != nil:
		return hcl.Diagnostics{fault(mode, "Mode of a TCP socket",
			"Only a unix socket has a mode. Remove `mode`.")}
	case tcp == nil:
		return nil
	}
	for _, name := range []string{"user", "group"} {
		if place := given[name]; place != nil {
			return hcl.Diagnostics{fault(place, "Owner of a TCP socket",
				"Only a unix socket has an owner. Remove `%s`.", name)}
		}
	}
	return nil
}

// checkListen finds sockets that cannot listen at the same time. It ignores children without
// instances.
func checkListen(children []*childBlock) hcl.Diagnostics {
	var diags hcl.Diagnostics
	first := map[string]*listenBlock{}
	for _, c := range children {
		if len(c.numbers) == 0 {
			continue
		}
		for i := range c.listens {
			b := &c.listens[i]
			own, conflicts := claims(b.Listen)
			taken := func(claim string) bool { return first[claim] != nil }
			if at := slices.IndexFunc(conflicts, taken); at >= 0 {
				before := first[conflicts[at]]
				diags = diags.Append(fault(&b.DefRange, "Duplicate address",
					"The socket in %s already listens on %s. Instances of one child share a "+
						"socket, but two listen blocks cannot have the same address.",
					lineOf(before.DefRange, b.DefRange), quote(before.Address())))
				continue
			}
			for _, claim := range own {
				if first[claim] == nil {
					first[claim] = b
				}
			}
		}
	}
	return diags
}

// claims returns the claims of a socket, and the claims of other sockets that it conflicts with. An
// address without a host is every address of its family. That of IPv6 includes IPv4.
func claims(l config.Listen) (own, conflicts []string) {
	address, err := netip.ParseAddrPort(l.TCP)
	if err != nil {
		if l.Unix == "" {
			return nil, nil // the missing address is already reported
		}
		return []string{l.Unix}, []string{l.Unix}
	}
	of := func(what string) string { return fmt.Sprint(what, " ", address.Port()) }
	own, conflicts = []string{l.TCP, of("any")}, []string{l.TCP, of("all")}
	if address.Addr().Is4() {
		own, conflicts = append(own, of("any4")), append(conflicts, of("all4"))
	}
	switch address.Addr() {
	case netip.IPv6Unspecified():
		own, conflicts = append(own, of("all")), append(conflicts, of("any"))
	case netip.IPv4Unspecified():
		own, conflicts = append(own, of("all4")), append(conflicts, of("any4"))
	}
	return own, conflicts
}
