package procfs

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

// netFile is a file of /proc/PID/net: the column of the inode, and how to put
// a line in words (proc_pid_net(5)).
type netFile struct {
	inode int
	tell  teller
}

var netFileKinds = map[string]netFile{
	"tcp":     {9, tellInetLine("tcp")},
	"tcp6":    {9, tellInetLine("tcp")},
	"udp":     {9, tellInetLine("udp")},
	"udp6":    {9, tellInetLine("udp")},
	"raw":     {9, tellRawLine},
	"raw6":    {9, tellRawLine},
	"netlink": {9, tellNetlinkLine},
	"packet":  {8, tellPacketLine},
	"unix":    {6, tellUnixLine},
}

var netFileNames = slices.Sorted(maps.Keys(netFileKinds))

// netFiles takes stock of the sockets that files of /proc/PID/net list. A file
// that is not there lists a family that the kernel does not have.
func netFiles(process string, into map[uint64]SocketInfo, names ...string) error {
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

func parseNetFile(b []byte, kind netFile, into map[uint64]SocketInfo) {
	for line := range bytes.Lines(b) {
		if inode, err := strconv.ParseUint(column(line, kind.inode), 10, 64); err == nil && inode != 0 {
			into[inode] = SocketInfo{line, kind.tell, nil}
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

// tellInetLine reads "sl local_address rem_address st tx_queue:rx_queue …".
func tellInetLine(protocol string) teller {
	return func(line []byte) (string, FDDetail, uint64) {
		w := strings.Fields(string(line))
		s := Socket{Protocol: protocol, Local: hexAddr(w[1]), Remote: hexAddr(w[2])}
		state, _ := strconv.ParseUint(w[3], 16, 8)
		s.State = uint8(state)
		s.sent, s.received = hexQueues(w[4])
		return s.String(), s.detail(), 0
	}
}

// tellRawLine reads a line of the same form, where the local port is the
// protocol (raw(7)).
func tellRawLine(line []byte) (string, FDDetail, uint64) {
	w := strings.Fields(string(line))
	local, remote := hexAddr(w[1]), hexAddr(w[2])
	d := FDDetail{}
	sent, received := hexQueues(w[4])
	d.Unsent, d.Unread = uint64(sent), uint64(received)
	text := fmt.Sprintf("raw %s protocol %d", local.Addr(), local.Port())
	if remote.Addr().IsValid() && !remote.Addr().IsUnspecified() {
		text += " -> " + remote.Addr().String()
	}
	return text, d, 0
}

func hexQueues(s string) (sent, received uint32) {
	tx, rx, _ := strings.Cut(s, ":")
	t, _ := strconv.ParseUint(tx, 16, 32)
	r, _ := strconv.ParseUint(rx, 16, 32)
	return uint32(t), uint32(r)
}

// hexAddr reads "0100007F:1F90": words in host order, and a port.
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
	"0": "route", "2": "usersock", "4": "sock_diag", "5": "nflog", "6": "xfrm", "7": "selinux", "8": "iscsi",
	"9": "audit", "10": "fib_lookup", "11": "connector", "12": "netfilter", "15": "kobject_uevent",
	"16": "generic", "18": "scsitransport", "20": "rdma", "21": "crypto",
}

// tellNetlinkLine reads "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode",
// where Eth is the protocol and Pid the port. Rmem is the memory of what waits.
func tellNetlinkLine(line []byte) (string, FDDetail, uint64) {
	w := strings.Fields(string(line))
	family := netlinkFamilies[w[1]]
	if family == "" {
		family = "protocol " + w[1]
	}
	text := "netlink " + family
	if w[2] != "0" {
		text += " port " + w[2]
	}
	d := FDDetail{}
	d.Unread, _ = strconv.ParseUint(w[4], 10, 64)
	d.Unsent, _ = strconv.ParseUint(w[5], 10, 64)
	return text, d, 0
}

// tellPacketLine reads "sk RefCnt Type Proto Iface R Rmem User Inode".
func tellPacketLine(line []byte) (string, FDDetail, uint64) {
	w := strings.Fields(string(line))
	text := "packet protocol 0x" + w[3]
	if w[4] != "0" {
		text += " interface " + w[4]
	}
	d := FDDetail{}
	d.Unread, _ = strconv.ParseUint(w[6], 10, 64)
	return text, d, 0
}

// tellUnixLine reads "Num RefCount Protocol Flags Type St Inode Path". A socket
// that listens has __SO_ACCEPTCON (bit 16) in its flags; St is SS_*, of
// include/uapi/linux/net.h. The path is as the owner wrote it.
func tellUnixLine(line []byte) (string, FDDetail, uint64) {
	w := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 2)
	rest := w[len(w)-1]
	f := strings.Fields(rest)
	path := ""
	if i := strings.Index(rest, " "+f[5]+" "); len(f) > 6 && i >= 0 {
		path = rest[i+len(f[5])+2:]
	}
	text := unixText(path)
	d := FDDetail{}
	flags, _ := strconv.ParseUint(f[2], 16, 32)
	switch {
	case flags&(1<<16) != 0:
		text, d.State = text+" listen", "listen"
	case f[4] == "03":
		d.State = "established"
	}
	kind, _ := strconv.ParseUint(f[3], 16, 8)
	d.State = also(unixTypes[uint8(kind)], d.State)
	return text, d, 0
}
