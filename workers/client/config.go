package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tp0/workers/internal/graceful"
	"tp0/workers/internal/settings"
)

const (
	configFile = "config.yaml"

	// maxID is the largest id in bytes. It keeps a message far below the line limit of a server, 64
	// KiB.
	maxID = 1024
)

type config struct {
	id           string
	address      string // host:port
	amount       int    // of messages
	period       time.Duration
	level        string
	drainTimeout time.Duration
}

func (c *config) table() []settings.Setting {
	return []settings.Setting{
		{Name: "CLI_ID", Key: "id", Value: settings.Text(&c.id,
			"printable text of at most 1024 bytes, such as 1", isID)},
		{Name: "CLI_SERVER_ADDRESS", Key: "server.address", Default: "127.0.0.1:12345",
			Value: settings.Text(&c.address,
				"a host and a port from 1 to 65535, such as server:12345", isAddress)},
		{Name: "CLI_LOOP_AMOUNT", Key: "loop.amount", Default: "5",
			Value: settings.Whole(&c.amount, 0, 1_000_000_000)},
		{Name: "CLI_LOOP_PERIOD", Key: "loop.period", Default: "5s",
			Value: settings.Duration(&c.period, 0, 365*24*time.Hour)},
		{Name: "CLI_LOG_LEVEL", Key: "log.level", Default: "INFO",
			Value: settings.Choice(&c.level, graceful.Levels)},
		{Name: "CLI_DRAIN_TIMEOUT", Key: "drain.timeout", Default: "1s",
			Value: settings.Duration(&c.drainTimeout, 0, time.Hour)},
	}
}

// isID reports whether text can be part of a message, which is one line.
func isID(text string) bool {
	return len(text) <= maxID && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func isAddress(text string) bool {
	host, port, err := net.SplitHostPort(text)
	number, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && host != "" && number > 0
}

// load reads the settings into c and logs them. It returns false if one is invalid.
func (c *config) load(log *graceful.Log) bool {
	file, faults := settings.Load(c.table(), os.LookupEnv, configFile, decode)
	log.SetLevel(c.level)
	for _, fault := range faults {
		log.Fail("config", "error", fault)
	}
	if len(faults) == 0 {
		log.Success("config", "client_id", c.id, "server_address", c.address, "loop_amount",
			c.amount,
			"loop_period", c.period, "log_level", c.level)
	}
	if file != nil {
		// an error is logged and has no other effect: the file was only read
		_ = log.Close("config file", file, "path", configFile)
	}
	return len(faults) == 0
}

// decode returns the values that the client knows. It ignores others: other programs may read the
// same file.
func decode(content []byte) (map[string]string, error) {
	// A string field accepts any scalar, as it is written.
	var file struct {
		ID     string
		Server struct{ Address string }
		Loop   struct{ Amount, Period string }
		Log    struct{ Level string }
		Drain  struct{ Timeout string }
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	return map[string]string{
		"id":             file.ID,
		"server.address": file.Server.Address,
		"loop.amount":    file.Loop.Amount,
		"loop.period":    file.Loop.Period,
		"log.level":      file.Log.Level,
		"drain.timeout":  file.Drain.Timeout,
	}, nil
}
