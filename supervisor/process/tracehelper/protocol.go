// Package tracehelper is the trace helper: a process that traces the processes of one user for the
// process loop.
//
// PTRACE_SEIZE compares the real ids of the calling thread with all ids of the process
// (ptrace(2), "Ptrace access mode checking"). Without CAP_SYS_PTRACE the caller needs the real ids
// of the process. But a thread with the real user id of a child can be signalled by that child:
// kill_ok_by_cred in kernel/signal.c compares the ids of the sender with the real and the saved
// user id of the thread, and SIGKILL to a thread ends its whole process. So the supervisor never
// takes these ids. The trace helper does, for the time of a PTRACE_SEIZE.
//
// The helper keeps its effective and saved ids, 0. The child can signal it during a
// PTRACE_SEIZE, but it can neither trace it nor read its memory or descriptors, so it cannot
// change its reports. The loop nevertheless trusts a report only about a process of this user, and
// waits for no report without a limit. If the helper ends, the kernel detaches from all its
// tracees, and only their proof is lost.
//
// The helper has no state machine. It makes the requests that the loop sends, and reports each
// ptrace stop; package proof decides what is done.
package tracehelper

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Verb is the first argument that makes our own binary call [Run].
const Verb = "__trace"

// Socket is the descriptor of the helper's end of its socket (SOCK_SEQPACKET).
const Socket = 3

// Op is what a command asks for.
type Op uint32

// The commands.
const (
	MakeRequest Op = iota // the ptrace request Request about the thread Tid, with Data
	Seize                 // trace the process Tid; Attached and Seized follow, or Refused
	Ping                  // answer with Pong and Data, after all that came before
)

// Command is a message to the helper.
type Command struct {
	Op      Op
	Request int32
	Tid     int32
	Data    uint64
}

// Kind is what a report says.
type Kind uint32

// The reports.
const (
	Attached Kind = iota // the thread Tid of the process Pid is traced
	Seized               // all threads of the process Pid; Tid is its primary thread
	Refused              // the process Pid cannot be traced; Status is the errno
	Own                  // the process Pid is traced by the helper since its fork
	TooMany              // the process Pid has too many threads: Status
	Stopped              // the thread Tid has a ptrace stop, with Status and Message
	Ended                // the thread Tid ended with Status, and is reaped
	Pong                 // the answer to Ping; Message is its Data
)

// Report is a message from the helper.
type Report struct {
	Kind         Kind
	Pid, Tid     int32
	Status       uint32 // a wait status for Stopped and Ended
	HasMessage   bool
	EntersExecve bool   // of a syscall stop
	Message      uint64 // PTRACE_GETEVENTMSG
}

// MaxSize is more than the size of any message, in bytes.
const MaxSize = 64

// Encode returns a message as a packet.
func Encode[T Command | Report](message T) []byte {
	packet, _ := binary.Append(make([]byte, 0, MaxSize), binary.LittleEndian, message)
	return packet // a message has a fixed size, so there is no error
}

// Decode reads a message from a packet.
func Decode[T Command | Report](packet []byte) (message T, err error) {
	if size := binary.Size(message); len(packet) != size {
		return message, fmt.Errorf("a packet has %d bytes in place of %d", len(packet), size)
	}
	err = binary.Read(bytes.NewReader(packet), binary.LittleEndian, &message)
	return message, err
}
