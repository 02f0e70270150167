package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// TCP returns a probe of address (host:port). For an address of this machine it looks up the
// listening sockets and succeeds if the child or a descendant holds one: a connection would be a
// message to the server, and the listener of a foreign process would pass. For any other address it
// connects and disconnects.
func TCP(address string, c Child) Probe {
	return func(ctx context.Context) error {
		host, service, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("cannot probe %q: %w", address, err)
		}
		port, err := strconv.ParseUint(service, 10, 16)
		if err != nil {
			return fmt.Errorf("cannot probe %q: %w", address, err)
		}
		return probeTCP(ctx, host, uint16(port), c)
	}
}

func probeTCP(ctx context.Context, host string, port uint16, c Child) error {
	addrs, local, err := resolve(ctx, host)
	if err != nil {
		return err
	}
	if !local {
		return dial(ctx, net.JoinHostPort(host, strconv.Itoa(int(port))))
	}
	limits.ReadSlots.Run(func() { err = checkListener(ctx, addrs, port, c) })
	return err
}

// checkListener returns nil if the child or a descendant holds a listening socket that accepts
// connections to one of addrs, in the network namespace of the supervisor or in its own.
func checkListener(ctx context.Context, addrs []netip.Addr, port uint16, c Child) error {
	t := processTree{pids: append([]int{c.Pid}, procfs.Descendants(c.Pid)...)}
	own := sockdiag.Namespace(os.Getpid())
	sockets, err := sockdiag.Listeners()
	if err != nil {
		return err
	}
	found := matching(sockets, own, addrs, port)
	seen := map[uint64]bool{0: true, own: true}
	for _, pid := range t.pids {
		namespace := sockdiag.Namespace(pid)
		if seen[namespace] {
			continue
		}
		seen[namespace] = true
		if sockets, err = sockdiag.ListenersOf(pid); err == nil {
			found = append(found, matching(sockets, namespace, addrs, port)...)
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("no process listens on port %d", port)
	}
	return ownsOne(ctx, c, t, found)
}

// matching returns the sockets of a network namespace that accept connections to one of addrs.
func matching(
	sockets []sockdiag.InetSocket, namespace uint64, addrs []netip.Addr, port uint16,
) (found []candidate) {
	for _, s := range sockets {
		match := func(a netip.Addr) bool { return accepts(s.Local.Addr(), a) }
		if s.Local.Port() == port && slices.ContainsFunc(addrs, match) {
			found = append(found, candidate{s, namespace})
		}
	}
	return found
}

// accepts reports whether a socket that is bound to bound accepts connections to wanted. A
// socket on [::] accepts IPv4 connections too, unless IPV6_V6ONLY is set (ipv6(7)); sock_diag
// does not report that option, so it is taken to be unset.
func accepts(bound, wanted netip.Addr) bool {
	switch {
	case wanted.IsUnspecified(), bound == wanted:
		return true
	case !bound.IsUnspecified():
		return false
	}
	return bound.Is6() || wanted.Is4()
}

// resolve returns the addresses of a host and whether one of them is an address of this machine.
func resolve(ctx context.Context, host string) (addrs []netip.Addr, local bool, err error) {
	switch host {
	case "":
		return []netip.Addr{netip.IPv6Unspecified()}, true, nil
	case "localhost": // RFC 6761, 6.3: without a resolver, which a container may not have
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if addrs, err = lookup(ctx, host); err != nil {
		return nil, false, fmt.Errorf("cannot resolve %q: %w", host, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, slices.ContainsFunc(addrs, isLocal), nil
}

func isLocal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(o net.Addr) bool {
		p, err := netip.ParsePrefix(o.String())
		return err == nil && p.Addr().Unmap() == a
	})
}
