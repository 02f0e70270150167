package cli

import (
	"strings"
	"testing"

	"tp0/supervisor/api"
)

// openOfWeb are descriptors of three processes.
var openOfWeb = api.InstanceFDs{
	Name: "web", Omitted: 2,
	AtReady: &api.FDCount{Pid: 7, Kinds: map[string]int{"file": 2, "socket": 1, "epoll": 1}},
	Processes: []api.ProcessFDs{
		{
			Pid: 7, Command: "we\x1bb", Open: 4, Limit: 1024,
			Kinds: map[string]int{"file": 2, "socket": 2},
			FDs: []api.OpenFD{
				{FD: 0, Kind: "file", Target: "/dev/null"},
				{FD: 1, Kind: "file", Target: "/a (deleted)", Mode: "rwa", Deleted: true},
				{
					FD: 3, Kind: "socket", Target: "tcp 0.0.0.0:80 listen",
					State: "listen, 2 not accepted",
				},
				{
					FD: 4, Kind: "socket", Target: "tcp 1.1.1.1:80 -> 1.1.1.2:9",
					State: "established", Unread: 5, Unsent: 6,
				},
			},
		},
		{
			Pid: 8, Command: "worker", Open: 30_000, Limit: 1 << 63, Omitted: 29_998,
			Kinds:  map[string]int{"file": 30_000},
			Common: []api.FDTarget{{Kind: "file", Target: "/x", Open: 29_999}},
			FDs: []api.OpenFD{
				{Kind: "file", Target: "/x"}, {FD: 1, Kind: "pipe", Target: "p"},
			},
		},
		{Pid: 9, Command: "other", Open: -1, Error: "they cannot be read: it is not ours"},
	},
}

// TestWriteFDs compares the text for a process with few descriptors, one with more than are shown,
// and one that cannot be read.
func TestWriteFDs(t *testing.T) {
	var b strings.Builder
	writeFDs(&b, &openOfWeb, 3)
	const want = `web: we\x1bb (pid 7) has 4 open descriptors, 0.4 % of its limit of 1024.
KIND    OPEN  SINCE READY
file    2     0
socket  2     +1
epoll   0     -1
FD  KIND    TARGET
0   file    /dev/null
1   file    /a (deleted) (rwa)
3   socket  tcp 0.0.0.0:80 listen (2 not accepted)
1 more descriptor is not shown: use --all.

web: worker (pid 8) has 30000 open descriptors.
KIND  OPEN
file  30000
OPEN   MOST COMMON TARGETS
29999  file /x
FD  KIND  TARGET
0   file  /x
1   pipe  p
29998 descriptors are not listed: there are too many.

web: other (pid 9) has open descriptors, but they cannot be read: it is not ours.

2 more processes are not read: there are too many.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	writeFDs(&b, &api.InstanceFDs{Name: "none"}, 3)
	if want := "none has no process.\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
