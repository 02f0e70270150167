package cause

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// address is an address of this machine. The zero ip stands for every address.
type address struct {
	ip   netip.Addr
	port uint16
}

// String returns the address as host:port; "port 8080" if the host is not known.
func (a address) String() string {
	if !a.ip.IsValid() {
		return "port " + strconv.Itoa(int(a.port))
	}
	return netip.AddrPortFrom(a.ip, a.port).String()
}

// Bounds of the work on the last lines of a process.
const (
	maxAddresses = 16
	maxLine      = 1024 // bytes of a line that are read
)

// The forms of an address in a line: 127.0.0.1:80, [::]:80, :::80, *:80, :80; ('127.0.0.1', 80);
// port 80. They are compiled at their first use: few supervisors see such a line.
var (
	hostPort = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?:\[[0-9a-fA-F:.]*\]|\b\d{1,3}(?:\.\d{1,3}){3}|` +
			`\blocalhost|::1|::|\*|^|[\s'"(,=/]):[0-9]{1,5}\b`)
	})
	pair = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`['"]([0-9a-fA-F:.]+|localhost)?['"],\s*([0-9]{1,5})\b`)
	})
	portNumber = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)\bport[ =:]+([0-9]{1,5})\b`)
	})
)

// addressesIn returns the addresses in the last lines of a process, if a line says that an address
// is in use. The lines that say so come first. Another line can have the port only: "Is another
// server running on port 5432?".
func addressesIn(lines []string) (all []address, said bool) {
	var rest []string
	for i := len(lines) - 1; i >= 0; i-- {
		line := lines[i][:min(len(lines[i]), maxLine)]
		if !isInUse(line) {
			rest = append(rest, line)
			continue
		}
		said = true
		all = addressesOf(all, line)
	}
	if !said || len(all) > 0 {
		return all, said
	}
	for _, line := range rest {
		all = addressesOf(all, line)
	}
	return all, said
}

// addressesOf appends the addresses in a line.
func addressesOf(all []address, line string) []address {
	for _, text := range hostPort().FindAllString(line, maxAddresses) {
		all = appendAddress(all, strings.TrimLeft(text, " \t'\"(,=/"))
	}
	for _, m := range pair().FindAllStringSubmatch(line, maxAddresses) {
		host := m[1]
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		all = appendAddress(all, host+":"+m[2])
	}
	for _, m := range portNumber().FindAllStringSubmatch(line, maxAddresses) {
		all = appendAddress(all, m[1])
	}
	return all
}

// parseAddress parses host:port, :port, or a port alone. A host that is a name of another machine
// is no address of this one. The digits of a host need not be in brackets: ":::3000".
func parseAddress(text string) (address, bool) {
	host, service := "", text
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		host, service = text[:i], text[i+1:]
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return address{}, false
	}
	a := address{port: uint16(port)}
	switch host = strings.Trim(host, "[]"); host {
	case "", "*":
		return a, true
	case "localhost":
		a.ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		return a, true
	}
	a.ip, err = netip.ParseAddr(host)
	a.ip = a.ip.Unmap()
	return a, err == nil
}

// appendAddress appends the address in a text, once.
func appendAddress(all []address, text string) []address {
	a, ok := parseAddress(text)
	if !ok || slices.Contains(all, a) || len(all) == maxAddresses {
		return all
	}
	return append(all, a)
}

// isInUse reports whether a line says that an address is in use.
func isInUse(line string) bool {
	line = strings.ToLower(line)
	return strings.Contains(line, "eaddrinuse") ||
		strings.Contains(line, "address already in use") ||
		strings.Contains(line, "address in use") ||
		strings.Contains(line, "connection in use") || // gunicorn
		strings.Contains(line, "port is already allocated")
}
