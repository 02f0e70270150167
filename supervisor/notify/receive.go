package notify

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

const (
	maxDatagram  = 4096 // bytes, the limit of systemd (NOTIFY_BUFFER_MAX)
	maxLines     = 64   // of a datagram, an empty one at its end included
	maxAncestors = 64   // of a sender
)

// rawMessage is a datagram that was received.
type rawMessage struct {
	content   []byte // valid until the next receive
	truncated bool
	passed    bool       // descriptors came with it
	sender    unix.Ucred // zero without SO_PASSCRED. A pid of 0 is outside of our pid namespace.
	err       error      // EAGAIN: none is queued
}

// buffer holds one datagram.
type buffer struct {
	content [maxDatagram]byte
	control [64]byte // for the credentials, 32 bytes
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// receive receives a datagram without waiting for one. The descriptors that come with it are not
// received: without space in the control buffer the kernel releases them, so none of them ever has
// a number here. For the sender of BARRIER=1, which waits until its descriptor is closed, that is
// the confirmation. The release can block: see interruptible.
func receive(fd int, b *buffer, credentials bool) (d rawMessage) {
	var control []byte
	if credentials {
		control = b.control[:unix.CmsgSpace(unix.SizeofUcred)]
	}
	var size, controlSize, flags int
	for {
		size, controlSize, flags, _, d.err = unix.Recvmsg(fd, b.content[:], control,
			unix.MSG_DONTWAIT)
		if !errors.Is(d.err, unix.EINTR) {
			break
		}
	}
	if d.err != nil {
		return d
	}
	d.content, d.truncated = b.content[:size], flags&unix.MSG_TRUNC != 0
	d.passed = flags&unix.MSG_CTRUNC != 0
	if !credentials {
		return d
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlSize])
	for i := range messages {
		if cred, e := unix.ParseUnixCredentials(&messages[i]); e == nil && err == nil {
			d.sender = *cred
		}
	}
	return d
}

// decode returns the message of a datagram. fault says why there is none; empty: there is one.
func (d *rawMessage) decode() (m Message, fault string) {
	content := bytes.TrimSuffix(d.content, []byte{0}) // systemd permits one
	switch {
	case d.truncated:
		return m, fmt.Sprintf("the message is longer than %d bytes", maxDatagram)
	case bytes.IndexByte(content, 0) >= 0:
		return m, "the message has a NUL byte in it"
	case bytes.Count(content, []byte("\n")) >= maxLines:
		return m, fmt.Sprintf("the message has more than %d lines", maxLines)
	}
	return Parse(content), ""
}

// ancestry returns pid and its ancestors, up to the supervisor.
func ancestry(pid int) []int {
	pids := []int{pid}
	self := os.Getpid()
	for pid > 1 && pid != self && len(pids) < maxAncestors {
		s, err := procfs.ReadStat(pid)
		if err != nil {
			break
		}
		pid = s.PPid
		pids = append(pids, pid)
	}
	return pids
}
