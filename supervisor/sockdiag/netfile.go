package sockdiag

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// netFile is a file of /proc/PID/net: the column of the inode, from 0, and the decoder of a line
// (proc_pid_net(5)).
type netFile struct {
	inode  int
	decode decoder
}

var netFileKinds = map[string]netFile{
	"tcp":     {9, inetLineDecoder("tcp")},
	"tcp6":    {9, inetLineDecoder("tcp")},
	"udp":     {9, inetLineDecoder("udp")},
	"udp6":    {9, inetLineDecoder("udp")},
	"raw":     {9, decodeRawLine},
	"raw6":    {9, decodeRawLine},
	"netlink": {9, decodeNetlinkLine},
	"packet":  {8, decodePacketLine},
	"unix":    {6, decodeUnixLine},
}

var netFileNames = slices.Sorted(maps.Keys(netFileKinds))

// readNetFiles adds the sockets that files of /proc/PID/net list. A file that does not exist
// belongs to a family that the kernel lacks; it is skipped.
func readNetFiles(process string, into map[uint64]Socket, names ...string) error {
	var errs []error
	for _, name := range names {
		b, err := os.ReadFile("/proc/" + process + "/net/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		errs = append(errs, err)
		parseNetFile(b, netFileKinds[name], into)
	}
	return errors.Join(errs...)
}

func parseNetFile(b []byte, kind netFile, into map[uint64]Socket) {
	for line := range bytes.Lines(b) {
		inode, err := strconv.ParseUint(column(line, kind.inode), 10, 64)
		if err == nil && inode != 0 {
			into[inode] = Socket{line, kind.decode, nil}
		}
	}
}

func column(line []byte, n int) string {
	for f := range bytes.FieldsSeq(line) {
		if n == 0 {
			return string(f)
		}
		n--
	}
	return ""
}

// inetLineDecoder decodes "sl local_address rem_address st tx_queue:rx_queue …".
func inetLineDecoder(protocol string) decoder {
	return func(line []byte) Description { return parseInetLine(line, protocol).describe() }
}

// parseInetLine parses a line that has an inode.
func parseInetLine(line []byte, protocol string) InetSocket {
	w := strings.Fields(string(line))
	s := InetSocket{Protocol: protocol, Local: hexAddr(w[1]), Remote: hexAddr(w[2])}
	state, _ := strconv.ParseUint(w[3], 16, 8)
	s.State = uint8(state)
	s.sent, s.received = hexQueues(w[4])
	uid, _ := strconv.ParseUint(w[7], 10, 32)
	s.UID = uint32(uid)
	s.Inode, _ = strconv.ParseUint(w[9], 10, 64)
	return s
}

// decodeRawLine decodes a line of the form of TCP's, where the local port is the protocol number
// (raw(7)).
func decodeRawLine(line []byte) Description {
	w := strings.Fields(string(line))
	local, remote := hexAddr(w[1]), hexAddr(w[2])
	sent, received := hexQueues(w[4])
	text := fmt.Sprintf("raw %s protocol %d", local.Addr(), local.Port())
	if remote.Addr().IsValid() && !remote.Addr().IsUnspecified() {
		text += " -> " + remote.Addr().String()
	}
	return Description{Text: text, Unread: uint64(received), Unsent: uint64(sent)}
}

func hexQueues(s string) (sent, received uint32) {
	tx, rx, _ := strings.Cut(s, ":")
	t, _ := strconv.ParseUint(tx, 16, 32)
	r, _ := strconv.ParseUint(rx, 16, 32)
	return uint32(t), uint32(r)
}

// hexAddr parses "0100007F:1F90": 32-bit words in host order, and a port.
func hexAddr(s string) netip.AddrPort {
	addr, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(addr)
	p, _ := strconv.ParseUint(port, 16, 16)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p))
}

// netlinkFamilies are the protocols of netlink(7), NETLINK_*.
var netlinkFamilies = map[string]string{
	"0": "route", "2": "usersock", "4": "sock_diag", "5": "nflog", "6": "xfrm",
	"7": "selinux", "8": "iscsi", "9": "audit", "10": "fib_lookup", "11": "connector",
	"12": "netfilter", "15": "kobject_uevent", "16": "generic", "18": "scsitransport",
	"20": "rdma", "21": "crypto",
}

// decodeNetlinkLine decodes "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode". Eth is the
// protocol and Pid the port. Rmem is the memory of the unread messages.
func decodeNetlinkLine(line []byte) Description {
	w := strings.Fields(string(line))
	family := netlinkFamilies[w[1]]
	if family == "" {
		family = "protocol " + w[1]
	}
	d := Description{Text: "netlink " + family}
	if w[2] != "0" {
		d.Text += " port " + w[2]
	}
	d.Unread, _ = strconv.ParseUint(w[4], 10, 64)
	d.Unsent, _ = strconv.ParseUint(w[5], 10, 64)
	return d
}

// decodePacketLine decodes "sk RefCnt Type Proto Iface R Rmem User Inode".
func decodePacketLine(line []byte) Description {
	w := strings.Fields(string(line))
	d := Description{Text: "packet protocol 0x" + w[3]}
	if w[4] != "0" {
		d.Text += " interface " + w[4]
	}
	d.Unread, _ = strconv.ParseUint(w[6], 10, 64)
	return d
}

// decodeUnixLine decodes "Num RefCount Protocol Flags Type St Inode Path". A listener has
// __SO_ACCEPTCON (bit 16) in Flags. St is one of SS_*, include/uapi/linux/net.h. Path is as the
// owner wrote it: with a newline in it the owner makes lines of any form.
func decodeUnixLine(line []byte) Description {
	path := strings.TrimSuffix(string(line), "\n")
	var f [unixPathColumn]string
	for i := range f {
		f[i], path, _ = strings.Cut(strings.TrimLeft(path, " "), " ")
	}
	d := Description{Text: unixText(path)}
	flags, _ := strconv.ParseUint(f[3], 16, 32)
	switch {
	case flags&(1<<16) != 0:
		d.Text, d.State, d.Listener = d.Text+" listen", "listen", true
	case f[5] == "03":
		d.State = "established"
	}
	kind, _ := strconv.ParseUint(f[4], 16, 8)
	d.State = joinWords(unixTypes[uint8(kind)], d.State)
	return d
}

// unixPathColumn is the number of columns before the path.
const unixPathColumn = 7
