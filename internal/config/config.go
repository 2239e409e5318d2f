// Package config reads configuration files in the form of mosquitto.conf into plain
// values. One table, in table.go, says for each option what it is called, what values
// it takes, where it may stand and what it sets, or why this version refuses it. It
// opens nothing but the files it reads, and knows nothing of the rest of the program.
package config

import (
	"time"
)

// Choice is a boolean that may have been left open.
type Choice int

// The choices.
const (
	Unset Choice = iota
	No
	Yes
)

// Config is what configuration files say. Default returns the one of no file. It is
// plain data: whoever has it may read and copy it.
type Config struct {
	File string // the file it was read from; empty for Default

	// Listeners are in the order of the file. None means that the broker is for this
	// machine alone, see LocalOnly.
	Listeners []Listener

	AllowAnonymous Choice // for listeners that do not say it themselves
	PasswordFile   string // for listeners that do not name one themselves; empty for none
	MaxConnections int    // Network Connections of all listeners; below 0: no limit

	MaxInflightMessages int // QoS 1 and 2 messages on their way to one client; 0: no limit
	MaxQueuedMessages   int // that wait for one client; 0: no limit
	MaxQueuedBytes      int // that wait for one client; 0: no limit, -1 when no file says it
	MaxPacketBytes      int // of a packet from a client
	MaxKeepAlive        int // seconds; 0: no limit
	MaxTopicAlias       int // Topic Aliases that a client may use; -1 when no file says it
	MaxTopicAliasBroker int // Topic Aliases that we use towards a client; -1 when no file says it
	MaxQoS              int // -1 when no file says it
	RetainAvailable     bool

	// WebSocketHeaderBytes limits the HTTP request that opens a WebSocket; 0: the standard
	// value of the transport.
	WebSocketHeaderBytes int

	// PersistentClientExpiration is how long a Session outlives its Network
	// Connection; 0: as long as the client asked for.
	PersistentClientExpiration time.Duration

	Persistence         Choice // keep the state on disk
	PersistenceLocation string // directory; empty when no file says it

	SysInterval time.Duration // between two publications of $SYS; 0: none

	PIDFile string // empty for none
	User    User   // whom the broker should run as
	Log     Log

	Own    Own
	Abuse  Abuse
	Access Access
	Login  Login
	Remote Remote

	// Warnings are what the person who wrote the file should know, although the
	// broker starts.
	Warnings []Warning
}

// Listener is one listener of a file.
type Listener struct {
	File string
	Line int

	Port int    // 0 with a Path
	Host string // a name or an IP address; empty for all addresses of the machine
	Path string // of a Unix domain socket; empty for TCP

	Socket Socket // of a Path

	WebSocket bool     // MQTT inside WebSocket; TCP only
	Origins   []string // the web pages from which WebSockets may be opened; none: all

	QUIC  bool // MQTT inside QUIC, on a UDP port; needs TLS
	TLS   TLS
	Proxy Proxy // the PROXY protocol in front of each connection

	AllowAnonymous Choice
	PasswordFile   string // with per_listener_settings; empty for Config.PasswordFile
	MaxConnections int    // below 0: no limit
}

// User is the option user and where it stands.
type User struct {
	Name string // empty for none
	File string
	Line int
}

// Log says what is logged, and where.
type Log struct {
	Stderr, Stdout bool
	File           string // empty for none
	Topic          bool   // published under $SYS/broker/log/

	Errors, Warnings, Notices, Information bool
	Debug, Subscribe, Unsubscribe          bool

	ConnectionMessages bool
	Timestamp          bool
	TimestampFormat    string // strftime; empty for seconds since 1970
}

// Warning is something that a file says and that has no effect, or another one than
// its writer may think.
type Warning struct {
	File string
	Line int
	Text string // a sentence without its full stop
}

// Default returns the configuration that holds without a file.
func Default() *Config {
	return &Config{
		MaxConnections:      -1,
		MaxInflightMessages: 20,
		MaxQueuedMessages:   100_000,
		MaxQueuedBytes:      -1,
		MaxPacketBytes:      2_000_000,
		MaxTopicAlias:       -1,
		MaxTopicAliasBroker: -1,
		MaxQoS:              -1,
		RetainAvailable:     true,
		Own:                 Own{WhenFull: whenFull[0], ShareStrategy: shareStrategies[0], Sync: syncs[0], Checkpoint: 48 << 20, MaxUnauthenticated: 10_000, MaxTopicLevels: 200},
		Access:              Access{Firehose: firehoses[0]},
		Login:               defaultLogin(),
		Remote:              defaultRemote(),
		SysInterval:         10 * time.Second,
		Log: Log{
			Stderr: true,
			Errors: true, Warnings: true, Notices: true, Information: true,
			ConnectionMessages: true,
			Timestamp:          true,
		},
	}
}

// LocalOnly reports whether no listener is configured: the broker then listens on the
// loopback addresses of this machine only.
func (c *Config) LocalOnly() bool { return len(c.Listeners) == 0 }

// Anonymous reports whether clients without a User Name may use l. l is nil for the
// listeners of a broker that is LocalOnly. Whoever configures a listener has to allow
// it; where nothing is configured, it is allowed.
func (c *Config) Anonymous(l *Listener) bool {
	choice := c.AllowAnonymous
	if l != nil && l.AllowAnonymous != Unset {
		choice = l.AllowAnonymous
	}
	return choice == Yes || choice == Unset && l == nil
}
