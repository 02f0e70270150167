package findings

import (
	"strings"
	"testing"
)

var (
	listener   = FD{Kind: "socket", Target: "tcp 0.0.0.0:80 listen", Listener: true}
	queued     = FD{Kind: "socket", Target: "tcp 0.0.0.0:80 listen", Listener: true, Waiting: 2}
	connection = FD{Kind: "socket", Target: "tcp 10.0.0.1:80 -> 10.0.0.2:4711", Connection: true}
	unread     = FD{
		Kind: "socket", Target: "tcp 10.0.0.1:80 -> 10.0.0.2:4711", Connection: true, Unread: 7,
		Unsent: 3,
	}
	unsent = FD{
		Kind: "socket", Target: "tcp 10.0.0.1:80 -> 10.0.0.2:4711", Connection: true, Unsent: 3,
	}
	bound    = FD{Kind: "socket", Target: "udp 0.0.0.0:53"}
	file     = FD{Kind: "file", Target: "/var/log/nginx/access.log"}
	pipe     = FD{Kind: "pipe", Target: "pipe:[7]", Unread: 9}
	epoll    = FD{Kind: "epoll", Target: "anon_inode:[eventpoll]"}
	unixPath = FD{
		Kind: "socket", Target: "unix /run/my app.sock listen", Listener: true, Waiting: 1,
	}
)

func TestJudge(t *testing.T) {
	with := func(fd FD, change func(*FD)) FD {
		change(&fd)
		return fd
	}
	shared := func(fd *FD) { fd.Shared = true }
	inTree := func(fd *FD) { fd.InTree = true }
	inherited := func(fd *FD) { fd.NotCounted = "inherited" }
	tests := []struct {
		name               string
		fd                 FD
		data, sockets, all Kind
	}{
		{"listener", listener, None, ListenerOpen, ListenerOpen},
		{"clients in the accept queue", queued, ClientsWaiting, ClientsWaiting, ClientsWaiting},
		{"connection", connection, None, ConnectionOpen, ConnectionOpen},
		{"unread before unsent", unread, UnreadData, UnreadData, UnreadData},
		{"unsent", unsent, UnsentData, UnsentData, UnsentData},
		{"bound socket", bound, None, None, Open},
		{"file", file, None, None, Open},
		{"unread bytes of a pipe", pipe, None, None, Open},
		{"epoll", epoll, None, None, Open},
		{"unix listener", unixPath, ClientsWaiting, ClientsWaiting, ClientsWaiting},
		{"shared listener", with(queued, shared), None, None, None},
		{"shared connection", with(unread, shared), None, None, None},
		{"shared file", with(file, shared), None, None, Open},
		{"peer in the tree", with(unread, inTree), None, None, Open},
		{"listener of the tree", with(listener, inTree), None, None, Open},
		{"inherited listener", with(queued, inherited), None, None, None},
		{"inherited file", with(file, inherited), None, None, None},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wants := map[Level]Kind{Data: test.data, Sockets: test.sockets, All: test.all}
			for level, want := range wants {
				if got := (Policy{Level: level}).Judge(test.fd); got != want {
					t.Errorf("level %s: got %q, want %q", level, got, want)
				}
			}
		})
	}
}

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern string
		fd      FD
		want    bool
	}{
		{"epoll", epoll, true},
		{"epoll", pipe, false},
		{"file", file, true},
		{"file:/var/log/**", file, true},
		{"file:/var/log/*", file, false},
		{"file:/var/log/*/access.log", file, true},
		{"file:/var/log/nginx/access.lo?", file, true},
		{"file:/var/log", file, false},
		{"file:log", file, false},
		{"socket", connection, true},
		{"tcp", connection, true},
		{"udp", connection, false},
		{"tcp:10.0.0.1:80", connection, true},
		{"tcp:10.0.0.1:8", connection, false},
		{"tcp:*:80", listener, true},
		{"udp:0.0.0.0:53", bound, true},
		{"unix:/run/my app.sock", unixPath, true},
		{"unix:/run/*", unixPath, true},
		{"unix:/run/other.sock", unixPath, false},
		{"file:/a[b].log", FD{Kind: "file", Target: "/a[b].log"}, true},
		{"file:/a[b].log", FD{Kind: "file", Target: "/ab.log"}, false},
	}
	for _, test := range tests {
		p, err := ParsePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		if got := p.Matches(test.fd); got != test.want {
			t.Errorf("%s matches %s: got %v, want %v", test.pattern, test.fd.Target, got, test.want)
		}
		policy := Policy{Level: All, Allow: []Pattern{p}}
		if got := policy.Judge(test.fd) == None; got != test.want {
			t.Errorf("%s allows %s: got %v, want %v", test.pattern, test.fd.Target, got, test.want)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, text := range []string{"", "files", "/var/log/**", "file:", "*", "File"} {
		if p, err := ParsePattern(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, p)
		}
	}
}

// The pattern that an advice offers accepts the finding, and can be parsed.
func TestPatternForAcceptsTheFinding(t *testing.T) {
	fds := []FD{
		listener, queued, connection, unread, bound, file, pipe, epoll, unixPath,
		{Kind: "socket", Target: "unix (unnamed)", Connection: true, Unread: 1},
		{Kind: "socket", Target: "socket:[4711]"},
		{Kind: "file", Target: "/a*b?.log"},
	}
	for _, fd := range fds {
		p, err := ParsePattern(PatternFor(fd))
		if err != nil || !p.Matches(fd) {
			t.Errorf("%s: pattern %q does not match (%v)", fd.Target, PatternFor(fd), err)
		}
		if kind := (Policy{Level: All}).Judge(fd); !strings.Contains(kind.Advice(fd), "--allow") {
			t.Errorf("%s: got advice %q, want --allow in it", fd.Target, kind.Advice(fd))
		}
	}
}

func TestHarmNamesTheNumber(t *testing.T) {
	want := "2 clients waited in the accept queue of tcp 0.0.0.0:80 listen and were reset"
	if got := ClientsWaiting.Harm(queued); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParsePattern(f *testing.F) {
	f.Add("file:/var/log/**")
	f.Add("unix:/run/[a")
	f.Add("tcp:\xff*")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePattern(text); err == nil {
			p.Matches(file)
		}
	})
}
