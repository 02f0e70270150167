package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tp0/workers/internal/trial"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	const rest = " | drain_timeout: 3s | max_connections: 1024 | idle_timeout: 1m0s"
	for name, test := range map[string]struct {
		file string
		env  []string
		want string
	}{
		"file over defaults": {"[DEFAULT]\nSERVER_PORT = 0\nSERVER_IP = server\n" +
			"SERVER_LISTEN_BACKLOG = 7\nLOGGING_LEVEL = info\n", nil,
			"port: 0 | listen_backlog: 7 | logging_level: INFO" + rest},
		"environment over file": {"[DEFAULT]\nSERVER_PORT = 1\nSERVER_LISTEN_BACKLOG = 7\n",
			[]string{"SERVER_PORT=0", "LOGGING_LEVEL=DEBUG"},
			"port: 0 | listen_backlog: 7 | logging_level: DEBUG" + rest},
		"a bad value that is overridden": {"[DEFAULT]\nSERVER_PORT = bad\n",
			[]string{"SERVER_PORT=0"},
			"port: 0 | listen_backlog: 5 | logging_level: INFO" + rest},
		"names in lower case": {"[DEFAULT]\nserver_port: 0\n", nil,
			"port: 0 | listen_backlog: 5 | logging_level: INFO" + rest},
		"other sections": {"SERVER_PORT = 0\n[other]\nSERVER_LISTEN_BACKLOG = 9\n", nil,
			"port: 0 | listen_backlog: 5 | logging_level: INFO" + rest},
		"an empty value": {"[DEFAULT]\nSERVER_PORT = 0\n",
			[]string{"SERVER_PORT=", "LOGGING_LEVEL= "},
			"port: 0 | listen_backlog: 5 | logging_level: INFO" + rest},
		"ours": {"[DEFAULT]\nSERVER_PORT = 0\nSERVER_DRAIN_TIMEOUT = 1s\n",
			[]string{"SERVER_MAX_CONNECTIONS=3", "SERVER_IDLE_TIMEOUT=2s"},
			"port: 0 | listen_backlog: 5 | logging_level: INFO | drain_timeout: 1s | " +
				"max_connections: 3 | idle_timeout: 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program.RunWithFile(t, configFile, test.file, test.env...)
			p.Await("action: config | result: success | " + test.want)
			p.Await("action: close | result: success | resource: config file | fd: ",
				" | path: config.ini")
			accepting(p)
			p.Signal(term)
			stop(t, p)
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	var c config
	for _, s := range c.table() {
		if !s.Set(s.Default) {
			t.Errorf("the default of %s is not a valid value", s.Name)
		}
	}
	if c.port != 12345 || c.backlog != 5 || c.level != "INFO" {
		t.Errorf("got the defaults %+v", c)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	const number = "a whole number from "
	for name, test := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"no number": {"", []string{"SERVER_PORT=abc"},
			[]string{"SERVER_PORT=abc from the environment: want " + number + "0 to 65535"}},
		"out of range": {"", []string{"SERVER_PORT=65536"},
			[]string{"SERVER_PORT=65536 from the environment: want " + number}},
		"far out of range": {"", []string{"SERVER_PORT=99999999999999999999"},
			[]string{"SERVER_PORT=99999999999999999999 from"}},
		"no backlog": {"", []string{"SERVER_LISTEN_BACKLOG=0"},
			[]string{"SERVER_LISTEN_BACKLOG=0 from the environment"}},
		"in the file": {"[DEFAULT]\nSERVER_PORT = -1\n", nil,
			[]string{"SERVER_PORT=-1 from config.ini: want " + number}},
		"no level": {"", []string{"LOGGING_LEVEL=LOUD"},
			[]string{"LOGGING_LEVEL=LOUD from the environment: want one of TRACE, DEBUG"}},
		"no unit": {"", []string{"SERVER_DRAIN_TIMEOUT=3"},
			[]string{"SERVER_DRAIN_TIMEOUT=3 from the environment: want a time with its unit"}},
		"negative": {"", []string{"SERVER_IDLE_TIMEOUT=-1s"},
			[]string{"SERVER_IDLE_TIMEOUT=-1s from the environment"}},
		"not an ini file":  {"SERVER_PORT", nil, []string{"cannot decode config.ini: "}},
		"a broken section": {"[DEFAULT\n", nil, []string{"cannot decode config.ini: "}},
		"too big": {strings.Repeat("#\n", 1<<20), nil,
			[]string{"cannot read config.ini: it has more than 1048576 bytes"}},
		"something to hide": {"", []string{"SERVER_PORT=1 | result: success\x1b[0m"},
			[]string{`"SERVER_PORT=1 \x7c result: success\x1b[0m from`}},
		"all at once": {"[DEFAULT]\nSERVER_LISTEN_BACKLOG = many\n",
			[]string{"SERVER_PORT=x", "SERVER_MAX_CONNECTIONS=0"},
			[]string{"SERVER_PORT=x from", "SERVER_LISTEN_BACKLOG=many from config.ini",
				"SERVER_MAX_CONNECTIONS=0 from"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program.RunWithFile(t, configFile, test.file, test.env...)
			p.ExpectConfigFaults(test.want...)
		})
	}
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		cmd := program.Command(t)
		if err := os.Mkdir(filepath.Join(cmd.Dir, configFile), 0o700); err != nil {
			t.Fatal(err)
		}
		trial.Start(t, cmd).ExpectConfigFaults("cannot read config.ini: it is not a regular file")
	})
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	p, address := start(t)
	second := program.Run(t, "SERVER_PORT="+address[strings.LastIndex(address, ":")+1:])
	second.Await("action: listen | result: fail | error: cannot listen: ", "address already in use")
	second.Await("action: exit | result: fail")
	if code := second.Exit(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	p.Signal(term)
	stop(t, p)
}

func TestLevel(t *testing.T) {
	t.Parallel()
	p := program.RunWithFile(t, configFile, "SERVER_PORT = bad", "LOGGING_LEVEL=CRITICAL")
	p.ExpectConfigFaults("SERVER_PORT=bad")
	if n := p.Count("[INFO]"); n != 0 {
		t.Errorf("%d lines are below the log level; the output:\n%s", n, p.Output())
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--version"}, 0, "server 1.2.3-trial"},
		{[]string{"--help"}, 0, "SERVER_LISTEN_BACKLOG"},
		{[]string{"-h"}, 0, "Usage: server"},
		{[]string{"--port", "1"}, 2, `unknown arguments ["--port" "1"]`},
		{[]string{""}, 2, "Usage: server"},
	} {
		program.CheckArguments(t, test.args, test.code, test.want)
	}
}

// FuzzDecode checks that no file causes a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("[DEFAULT]\nSERVER_PORT = %(x)s\n"))
	f.Add([]byte("a = \"\"\"\n"))
	f.Add([]byte("\xef\xbb\xbf[DEFAULT]\n= x\n`a` = `b\n\\\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if values, err := decode(content); err != nil && values != nil {
			t.Error("values of a file that cannot be decoded")
		}
	})
}
