package hclconfig

import (
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
		case len(b.Name) > maxNameLength || !listenName.MatchString(b.Name):
			diags = diags.Append(fault(&b.LabelRanges[0], "Invalid name",
				"The name of a socket has small letters, digits, underscores and dashes only, "+
					"and %d of them at most.", maxNameLength))
		case names[b.Name]:
			diags = diags.Append(fault(&b.LabelRanges[0], "Duplicate socket",
				"The child has a socket %s already.", quote(b.Name)))
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
				diags = diags.Append(fault(given["unix"], "Invalid value for listen.unix",
					"The path of a unix socket has %d bytes at most, and %s has %d.", maxUnixPath,
					quote(b.Unix), len(b.Unix)))
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
		return hcl.Diagnostics{fault(&b.DefRange, "No address",
			`A socket needs tcp = "host:port" or unix = "path".`)}
	case tcp != nil && unix != nil:
		return hcl.Diagnostics{fault(unix, "Two addresses",
			"A socket has one of tcp and unix; for the other one write a second block.")}
	case tcp != nil && mode != nil:
		return hcl.Diagnostics{fault(mode, "No file to give a mode",
			"Only a unix socket has a mode.")}
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
				diags = diags.Append(fault(&b.DefRange, "Duplicate address",
					"The socket in %s listens on %s already. Instances of one child share a "+
						"socket; two children cannot.", lineOf(before.DefRange, b.DefRange),
					quote(before.Address())))
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
