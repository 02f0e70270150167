package main

import (
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	const none = "CLI_LOOP_AMOUNT=0"
	for name, test := range map[string]struct {
		file string
		env  []string
		want string
	}{
		"defaults": {"loop:\n  amount: 0\n", []string{"CLI_ID=1"},
			"client_id: 1 | server_address: 127.0.0.1:12345 | loop_amount: 0 | loop_period: 5s " +
				"| log_level: INFO"},
		"file over defaults": {"id: 01\nserver:\n  address: \"server:12345\"\nloop:\n" +
			"  amount: 0\n  period: \"0s\"\nlog:\n  level: \"debug\"\n", nil,
			"client_id: 01 | server_address: server:12345 | loop_amount: 0 | loop_period: 0s | " +
				"log_level: DEBUG"},
		"environment over file": {"id: 1\nloop: {amount: many, period: 1s}\n",
			[]string{"CLI_ID=two words", none, "CLI_LOOP_PERIOD=1500ms"},
			"client_id: two words | server_address: 127.0.0.1:12345 | loop_amount: 0 | " +
				"loop_period: 1.5s | log_level: INFO"},
		"an address of IPv6": {"", []string{"CLI_ID=1", none, "CLI_SERVER_ADDRESS=[::1]:80"},
			"client_id: 1 | server_address: [::1]:80 | loop_amount: 0 | loop_period: 5s | " +
				"log_level: INFO"},
		"an empty value": {"id: 3\nserver:\nother: [1, 2]\n", []string{"CLI_ID=", none},
			"client_id: 3 | server_address: 127.0.0.1:12345 | loop_amount: 0 | loop_period: 5s " +
				"| log_level: INFO"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program.RunWithFile(t, configFile, test.file, test.env...)
			if line := p.Await("action: config | result: success | "); !strings.HasSuffix(line,
				"success | "+test.want) {
				t.Errorf("%q, want %q", line, test.want)
			}
			p.Await("action: close | result: success | resource: config file | fd: ",
				" | path: config.yaml")
			p.Await("action: loop_finished | result: success")
			ends(t, p, 0)
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	var c config
	for _, s := range c.table() {
		if s.Name != "CLI_ID" && !s.Set(s.Default) {
			t.Errorf("the default of %s is not a valid value", s.Name)
		}
	}
	if c.address != "127.0.0.1:12345" || c.amount != 5 || c.period.String() != "5s" ||
		c.level != "INFO" || c.drainTimeout.String() != "1s" {
		t.Errorf("got the defaults %+v", c)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		file string
		env  []string
		want []string
	}{
		"no id": {"", nil,
			[]string{"CLI_ID is not set, in the environment or as id in config.yaml: want " +
				"printable text"}},
		"an id of lines": {"id: \"a\\nb\"\n", nil,
			[]string{`"id=a\nb from config.yaml: want printable text`}},
		"an id too long": {"", []string{"CLI_ID=" + strings.Repeat("x", maxID+1)},
			[]string{"from the environment: want printable text"}},
		"no port": {"id: 1", []string{"CLI_SERVER_ADDRESS=server"},
			[]string{"CLI_SERVER_ADDRESS=server from the environment: want a host and a port"}},
		"port 0": {"id: 1", []string{"CLI_SERVER_ADDRESS=server:0"},
			[]string{"CLI_SERVER_ADDRESS=server:0 from"}},
		"no host": {"id: 1", []string{"CLI_SERVER_ADDRESS=:12345"},
			[]string{"CLI_SERVER_ADDRESS=:12345 from"}},
		"a negative count": {"id: 1\nloop:\n  amount: -1\n", nil,
			[]string{"loop.amount=-1 from config.yaml: want a whole number"}},
		"no unit": {"id: 1\nloop:\n  period: 5\n", nil,
			[]string{"loop.period=5 from config.yaml: want a time with its unit"}},
		"no level": {"id: 1", []string{"CLI_LOG_LEVEL=loud"},
			[]string{"CLI_LOG_LEVEL=loud from the environment: want one of"}},
		"not yaml":      {"id: [", nil, []string{"cannot decode config.yaml: "}},
		"a list":        {"- id", nil, []string{"cannot decode config.yaml: "}},
		"a list inside": {"id: [1]", nil, []string{"cannot decode config.yaml: "}},
		"all at once": {"server:\n  address: x\n",
			[]string{"CLI_LOOP_AMOUNT=x", "CLI_LOOP_PERIOD=-1s"},
			[]string{"CLI_ID is not set", "server.address=x from config.yaml",
				"CLI_LOOP_AMOUNT=x from", "CLI_LOOP_PERIOD=-1s from"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := program.RunWithFile(t, configFile, test.file, test.env...)
			p.ExpectConfigFaults(test.want...)
		})
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--version"}, 0, "client 1.2.3-trial"},
		{[]string{"--help"}, 0, "CLI_LOOP_PERIOD"},
		{[]string{"run"}, 2, `unknown arguments ["run"]`},
	} {
		program.CheckArguments(t, test.args, test.code, test.want)
	}
}

// FuzzDecode checks that no file causes a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("id: &a 1\nserver: {address: *a}\n<<: *a\n"))
	f.Add([]byte("loop: !!binary x\n? [a]\n: b\n---\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if values, err := decode(content); err != nil && values != nil {
			t.Error("values of a file that cannot be decoded")
		}
	})
}
