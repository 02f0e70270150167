package main

import (
	"net"
	"net/netip"
)

// network returns what shares its places: an IPv4 address, or the first 64 bits of an IPv6 address,
// because one host can use all addresses with the same 64 bits.
func network(address net.Addr) netip.Prefix {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
