package main

import (
	"os"
	"strings"
	"time"

	"gopkg.in/ini.v1"

	"tp0/workers/internal/graceful"
	"tp0/workers/internal/settings"
)

const configFile = "config.ini"

type config struct {
	port int // 0 lets the kernel choose a port, which is logged
	// limited by net.core.somaxconn
	backlog        int
	level          string
	drainTimeout   time.Duration
	maxConnections int
	idleTimeout    time.Duration
	inherited      bool // the listener was inherited; port and backlog are not used
}

func (c *config) table() []settings.Setting {
	setting := func(name, normal string, value settings.Value) settings.Setting {
		return settings.Setting{Name: name, Key: name, Default: normal, Value: value}
	}
	return []settings.Setting{
		setting("SERVER_PORT", "12345", settings.Whole(&c.port, 0, 65535)),
		setting("SERVER_LISTEN_BACKLOG", "5", settings.Whole(&c.backlog, 1, 65535)),
		setting("LOGGING_LEVEL", "INFO", settings.Choice(&c.level, graceful.Levels)),
		setting("SERVER_DRAIN_TIMEOUT", "3s", settings.Duration(&c.drainTimeout, 0, time.Hour)),
		setting("SERVER_MAX_CONNECTIONS", "1024", settings.Whole(&c.maxConnections, 1, 1_000_000)),
		setting("SERVER_IDLE_TIMEOUT", "60s",
			settings.Duration(&c.idleTimeout, time.Millisecond, 24*time.Hour)),
	}
}

// load reads the settings into c and logs them. It returns false if one is invalid.
func (c *config) load(log *graceful.Log) bool {
	file, faults := settings.Load(c.table(), os.LookupEnv, configFile, decode)
	log.SetLevel(c.level)
	for _, fault := range faults {
		log.Fail("config", "error", fault)
	}
	if len(faults) == 0 {
		log.Success("config", "port", c.port, "listen_backlog", c.backlog, "logging_level", c.level,
			"drain_timeout", c.drainTimeout, "max_connections", c.maxConnections, "idle_timeout",
			c.idleTimeout)
	}
	if file != nil {
		// an error is logged and has no other effect: the file was only read
		_ = log.Close("config file", file, "path", configFile)
	}
	return len(faults) == 0
}

// decode returns the values of section [DEFAULT]. Names are case-insensitive, as in Python's
// configparser.
func decode(content []byte) (map[string]string, error) {
	file, err := ini.LoadSources(ini.LoadOptions{}, content)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for name, value := range file.Section(ini.DefaultSection).KeysHash() {
		values[strings.ToUpper(name)] = value
	}
	return values, nil
}
