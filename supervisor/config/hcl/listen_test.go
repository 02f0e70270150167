package hclconfig

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"tp0/supervisor/config"
)

func TestListen(t *testing.T) {
	_, opt := machine(t)
	wd, err := filepath.Abs(".")
	must(t, err)
	c := good(t, `
child "a" {
  command = "server"
  count   = 2
  listen "echo" {
    tcp     = ":${env("PORT", "80")}"
    backlog = 7
  }
  listen "ctl_1-x" {
    unix = "run/a.sock"
    mode = "0640"
  }
}
child "b" {
  command = "server"
  listen "echo" { tcp = "localhost:8080" }
  ready { tcp = "127.0.0.1:81" }
}
child "none" {
  command = "server"
  count   = 0
  listen "echo" { tcp = "[fe80::1%lo]:1" }
  listen "old" { tcp = ":80" }
}
`, opt)
	a := []config.Listen{
		{Name: "echo", TCP: "[::]:80", Mode: 0o666, Backlog: 7},
		{Name: "ctl_1-x", Unix: filepath.Join(wd, "run/a.sock"), Mode: 0o640, Backlog: 4096},
	}
	if got, want := fmt.Sprint(a),
		"[echo on [::]:80, backlog 7 ctl_1-x on "+a[1].Unix+
			", backlog 4096, mode 0640]"; got != want {
		t.Errorf("String: got %s, want %s", got, want)
	}
	b := []config.Listen{{Name: "echo", TCP: "127.0.0.1:8080", Mode: 0o666, Backlog: 4096}}
	for i, want := range [][]config.Listen{a, a, b} {
		if got := c.Instances()[i].Launch.Listen; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", c.Instances()[i].Name, got, want)
		}
	}
	if got, want := c.Listens(), slices.Concat(a, b); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestListenVariablesAreNotInherited checks that sockets passed to the supervisor are not announced
// to its children.
func TestListenVariablesAreNotInherited(t *testing.T) {
	_, opt := machine(t)
	opt.Environ = append(opt.Environ, "LISTEN_FDS=1", "LISTEN_PID=7", "LISTEN_FDNAMES=x",
		"LISTEN_PIDFDID=8", "LISTEN_FD=1")
	env := good(t, `child "a" { command = "server" }`, opt).Instances()[0].Launch.Env
	if all := strings.Join(env, " "); strings.Contains(all, "LISTEN_FDS") ||
		strings.Contains(all, "LISTEN_PID") ||
		strings.Contains(all, "LISTEN_FDNAMES") || !strings.Contains(all, "LISTEN_FD=1") {
		t.Errorf("got the environment %q, want LISTEN_FD of these variables only", env)
	}
}

func TestListensOn(t *testing.T) {
	for _, tt := range []struct {
		own, wanted string
		want        bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "localhost:80", true},
		{"127.0.0.1:80", ":80", true},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"[::]:80", "127.0.0.1:80", true},
		{"0.0.0.0:80", "localhost:80", true},
		{"0.0.0.0:80", "192.0.2.1:80", false}, // it can be another machine
		{"0.0.0.0:80", "db:80", false},
		{"", "127.0.0.1:80", false},
	} {
		v := childValues{launch: config.Launch{Listen: []config.Listen{{TCP: tt.own}}}}
		if got := v.listensOn(tt.wanted); got != tt.want {
			t.Errorf("a socket on %q listens on %q: got %v, want %v", tt.own, tt.wanted, got,
				tt.want)
		}
	}
}

// TestDuplicateAddresses checks which pairs of addresses exclude each other, in both orders.
func TestDuplicateAddresses(t *testing.T) {
	_, opt := machine(t)
	const any6, any4, one4, other4, one6 = "[::]:80", "0.0.0.0:80", "127.0.0.1:80", "127.0.0.2:80",
		"[::1]:80"
	for pair, collide := range map[[2]string]bool{
		{any6, any4}: true, {any6, one4}: true, {any6, one6}: true, {any4, one4}: true,
		{one4, one4}: true, {any6, any6}: true,
		{any4, one6}: false, {one4, other4}: false, {one4, one6}: false, {any6, "[::]:81"}: false,
	} {
		for range 2 {
			pair[0], pair[1] = pair[1], pair[0]
			src := fmt.Sprintf(
				"child \"a\" {\n  command = \"server\"\n  listen \"x\" { tcp = %q }\n"+
					"  listen \"y\" { tcp = %q }\n}\n", pair[0], pair[1])
			if _, err := Parse([]byte(src), "supervisor.hcl", opt); (err != nil) != collide {
				t.Errorf("%q: got the error %v, want an error: %v", pair, err, collide)
			}
		}
	}
}
