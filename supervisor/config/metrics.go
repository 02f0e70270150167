package config

// Metrics says where metrics are served.
type Metrics struct {
	Listen string // host:port, where the host is an IP address; empty: nowhere
}
