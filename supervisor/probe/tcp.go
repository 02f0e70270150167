package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"tp0/supervisor/limits"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

const dialLimit = time.Second

// TCP looks whether address (host:port) is served. On a local address it looks
// for a listening socket that the process or one of its descendants holds: a
// connect would be a message to the server, and a stranger's listener would
// pass. Elsewhere it connects and hangs up.
func TCP(address string, pid int) Probe {
	return func(ctx context.Context) error {
		host, service, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("cannot look at %q: %w", address, err)
		}
		port, err := strconv.ParseUint(service, 10, 16)
		if err != nil {
			return fmt.Errorf("cannot look at %q: %w", address, err)
		}
		return look(ctx, host, uint16(port), pid)
	}
}

func look(ctx context.Context, host string, port uint16, pid int) error {
	addrs, local, err := resolve(ctx, host)
	if err != nil {
		return err
	}
	if !local {
		return dial(ctx, net.JoinHostPort(host, strconv.Itoa(int(port))))
	}
	limits.ReadSlots.Run(func() { err = listens(addrs, port, pid) })
	return err
}

// listens looks for a listening socket that the process or one of its
// descendants holds.
func listens(addrs []netip.Addr, port uint16, pid int) error {
	listeners, err := sockdiag.Listeners()
	if err != nil {
		return err
	}
	var inodes []uint64
	for _, s := range listeners {
		if s.Local.Port() == port && slices.ContainsFunc(addrs,
			func(a netip.Addr) bool { return serves(s.Local.Addr(), a) }) {
			inodes = append(inodes, s.Inode)
		}
	}
	if len(inodes) == 0 {
		return fmt.Errorf("nobody listens on port %d", port)
	}
	for _, p := range append([]int{pid}, procfs.Descendants(pid)...) {
		fds, err := procfs.ReadProcessFDs(p)
		if err != nil && !errors.Is(err, procfs.ErrTableChanged) {
			continue
		}
		if slices.ContainsFunc(fds, func(f procfs.FD) bool {
			return slices.Contains(inodes, f.Inode()) && f.Inode() != 0
		}) {
			return nil
		}
	}
	return fmt.Errorf("port %d is served, but by no process of this child", port)
}

// serves reports whether a socket that listens on bound takes connections to
// wanted. One on [::] takes IPv4 ones too unless it was told not to (ipv6(7),
// IPV6_V6ONLY).
func serves(bound, wanted netip.Addr) bool {
	switch {
	case wanted.IsUnspecified(), bound == wanted:
		return true
	case !bound.IsUnspecified():
		return false
	}
	return bound.Is6() || wanted.Is4()
}

// resolve returns the addresses of a host, and whether they are ours.
func resolve(ctx context.Context, host string) (addrs []netip.Addr, local bool, err error) {
	switch host {
	case "":
		return []netip.Addr{netip.IPv6Unspecified()}, true, nil
	case "localhost": // RFC 6761, 6.3; there may be no resolver
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, true, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a.Unmap()}
	} else if addrs, err = lookup(ctx, host); err != nil {
		return nil, false, fmt.Errorf("cannot resolve %q: %w", host, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, slices.ContainsFunc(addrs, ours), nil
}

func ours(a netip.Addr) bool {
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

func dial(ctx context.Context, address string) error {
	var s sockets
	defer s.close()
	d := net.Dialer{Timeout: dialLimit, Resolver: s.resolver()}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}
