// Package findings decides which of the descriptors that a process leaked are findings:
// those that did harm, and those that the user asked to hear of. It is pure: it reads no
// descriptor and no clock.
package findings

import (
	"fmt"
	"strings"

	"tp0/supervisor/termtext"
)

// Level says what counts as a finding.
type Level string

// The levels. Each one includes the level before it.
const (
	// Data counts lost data: bytes that a socket had not read or not sent, and clients
	// that waited in the accept queue of a listener.
	Data Level = "data"
	// Sockets also counts each listener and each connection to a process outside the
	// process tree that the program did not close itself.
	Sockets Level = "sockets"
	// All also counts every other descriptor.
	All Level = "all"
)

// Levels returns the levels, the least strict one first.
func Levels() []Level { return []Level{Data, Sockets, All} }

// Kind names the harm of a finding. The value None means no finding.
type Kind string

// The kinds, as the log has them.
const (
	None           Kind = ""
	UnreadData     Kind = "unread_data"
	UnsentData     Kind = "unsent_data"
	ClientsWaiting Kind = "clients_waiting"
	ListenerOpen   Kind = "listener_open"
	ConnectionOpen Kind = "connection_open"
	Open           Kind = "open"
)

// Policy is what the user asked for.
type Policy struct {
	Level Level
	Allow []Pattern // descriptors that are never findings
}

// Judge returns the kind of the finding that fd is, None if fd is not a finding.
func (p Policy) Judge(fd FD) Kind {
	if fd.NotCounted != "" || fd.Shared && fd.Kind == "socket" {
		return None
	}
	kind := p.kind(fd)
	if kind == None {
		return None
	}
	for _, a := range p.Allow {
		if a.Matches(fd) {
			return None
		}
	}
	return kind
}

// kind judges without the patterns. A harm is named before what only stayed open.
func (p Policy) kind(fd FD) Kind {
	// A listener has no peer, so it is never in the tree.
	outside := fd.Kind == "socket" && !fd.InTree
	switch {
	case outside && fd.Listener && fd.Waiting > 0:
		return ClientsWaiting
	case outside && !fd.Listener && fd.Unread > 0:
		return UnreadData
	case outside && !fd.Listener && fd.Unsent > 0:
		return UnsentData
	case p.Level == Data:
		return None
	case outside && fd.Listener:
		return ListenerOpen
	case outside && fd.Connection:
		return ConnectionOpen
	case p.Level == All:
		return Open
	}
	return None
}

// Harm says in words what happened, and Advice what to do about it.
func (k Kind) Harm(fd FD) string {
	switch k {
	case UnreadData:
		return fmt.Sprintf("%s arrived on %s and were never read",
			termtext.Count(fd.Unread, "byte", "bytes"), fd.Target)
	case UnsentData:
		return fmt.Sprintf("%s for the peer of %s were not delivered when the process ended",
			termtext.Count(fd.Unsent, "byte", "bytes"), fd.Target)
	case ClientsWaiting:
		return fmt.Sprintf("%s waited in the accept queue of %s and were reset",
			termtext.Count(fd.Waiting, "client", "clients"), fd.Target)
	case ListenerOpen:
		return fmt.Sprintf("clients could still connect to %s until the process ended", fd.Target)
	case ConnectionOpen:
		return fmt.Sprintf("the kernel closed %s, not the program", fd.Target)
	case Open:
		return fmt.Sprintf("the kernel closed %s, not the program", fd.Target)
	}
	return ""
}

// Advice says what the author of the program can do, and how the user accepts the finding.
func (k Kind) Advice(fd FD) string {
	var advice string
	switch k {
	case UnreadData:
		advice = "read to the end of the stream before the exit, or tell the peer to stop first"
	case UnsentData:
		advice = "shut down the sending side, then wait for the end of the stream before the exit"
	case ClientsWaiting:
		advice = "stop accepting, then serve what is in the queue, then exit"
	case ListenerOpen:
		advice = "close the listener first when the stop begins"
	case ConnectionOpen:
		advice = "close the connection before the exit"
	case Open:
		advice = "close it before the exit"
	default:
		return ""
	}
	pattern := PatternFor(fd)
	accepted := "it"
	if !strings.Contains(pattern, ":") {
		accepted = "every " + pattern
	}
	return fmt.Sprintf("%s; to accept %s: --allow '%s'", advice, accepted, pattern)
}
