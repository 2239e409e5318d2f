package broker

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// Config is what a Broker is made of. The zero value is a broker that lets everybody
// in, allows everything, and keeps its state in memory.
type Config struct {
	// Authenticator decides who may connect; nil lets everybody in.
	Authenticator Authenticator
	// Methods are the Authentication Methods that 5.0 clients may name; with none of them
	// every client that names one is refused.
	Methods []Method
	// Authorizer decides what a client may do; nil allows everything but publishing
	// to topics that begin with $SYS/, which is the broker's own to write.
	Authorizer Authorizer
	// Log records what must survive; nil keeps it in memory only.
	Log Log
	// CheckpointBytes is how large the Log gets before it is shortened for the first time;
	// 48 MiB when it is 0. Afterwards it may grow to three times what lived then.
	CheckpointBytes int64
	// LogQuota is how many bytes the Log may hold; 0 is without limit. Beyond, what would make
	// it hold more is refused: messages for lasting Sessions, Retained Messages, Subscriptions
	// and new lasting Sessions. It may hold more by what is on the way, and by a checkpoint.
	LogQuota int64
	// LogFailed is called once, in a goroutine of its own, when the Log cannot be written any
	// more. All connections are closed then and no more are taken: what is left is Shutdown.
	LogFailed func(error)
	// Peers are the other nodes of a cluster; nil means none.
	Peers Peers
	// Limits bound what clients may use; zero fields take the defaults of DefaultLimits.
	Limits Limits
	// WhenFull says which message gives way when the queue of a client is full.
	WhenFull WhenFull
	// Without names what this broker does not offer; the zero value offers everything.
	Without Without
	// DisconnectDenied closes the connection of a client before 5.0 that publishes what the
	// Authorizer refuses, as it cannot be told otherwise [MQTT311-3.3.5-2].
	DisconnectDenied bool
	// CheckPayloads refuses messages with Payload Format Indicator 1 whose payload is not
	// UTF-8 [MQTT-3.3.2-4]: Reason Code 0x99.
	CheckPayloads bool
	// ResponseInformation returns what a 5.0 client that asks for it is told as Response
	// Information, such as the prefix of the Response Topics that it may use; empty for
	// nothing. It must not block. Nil tells nobody anything [MQTT-3.1.2-28].
	ResponseInformation func(ClientInfo) string
	// SysInterval is how often what has changed under $SYS/broker/ is published, at the
	// times that are multiples of it since 1970. 0 publishes nothing there.
	SysInterval time.Duration
	// SysNumbers says numbers of what stands around the broker, such as its Authenticator, each
	// time that $SYS is published: say takes a topic without $SYS/broker/, always the same
	// ones, and its number. It must not block. Nil says none.
	SysNumbers func(say func(topic string, n int64))
	// Version is what $SYS/broker/version says; empty stands for "colibri".
	Version string
	// SharedStrategy says which member of a Shared Subscription receives a message.
	SharedStrategy SharedStrategy
	// RecorderBytes is how much memory the flight recorder has for the beginnings of the last
	// packets of all clients, see Broker.Recorded; 0 is none, else it is 512 KiB at least.
	RecorderBytes int
	// SecretUserNames says that what clients give as User Name is a secret, such as a token:
	// traces of their packets do not show it, nor do events about clients that are refused before
	// the Authenticator was asked. The names that an Authenticator gives are none.
	SecretUserNames bool
	// Explain puts into plain words why a connection ends or is refused, for traces of its
	// packets. It must not block. Nil takes the text of the error.
	Explain func(error) string
	// Events receives everything worth knowing that happens, in the goroutine in which
	// it happens: it must not block and must not call the Broker. Nil discards them.
	Events func(Event)
	// Logger receives what an operator has to act on. Nil discards it.
	Logger *slog.Logger
}

// WhenFull says which message gives way when a queue is full: Limits.QueueMessages or
// QueueBytes. The publisher of 5.0 is told with Reason Code 0x97 when nobody gets its
// message, and with a Reason String when some do not.
type WhenFull int

const (
	// FullDropNewest lets the new message go: what was acknowledged before is not lost, and
	// one client that has gone does not stop the publishers. It is the default for both.
	FullDropNewest WhenFull = iota
	// FullDropOldest lets the message go that has waited longest: for values of which the
	// latest counts. It was acknowledged.
	FullDropOldest
	// FullReject refuses the message for everybody: for publishers that keep it and try
	// again. Two that publish at once can still find the last place taken; then the message
	// is dropped as the newest.
	FullReject
)

// Limits bound what one client, and all of them, may use. Stats.Limited counts how often
// each was reached, Stats.Dropped the messages that it cost.
type Limits struct {
	ConnectTime       time.Duration // from the opened Network Connection to the complete CONNECT and the end of its authentication; 10 s
	ConnectBytes      int           // size of a CONNECT or AUTH packet; 100,000
	Connections       int           // Network Connections at the same time; 0: no limit. Refused with 0x97
	PerAddress        int           // of them from one IP address, of IPv6 one network of 64 bits; 0: no limit. Closed without an answer
	Unauthenticated   int           // of them without an accepted CONNECT; 10,000. Closed without an answer
	ConnectRate       int           // CONNECT packets a second; 0: no limit. Refused with 0x9F
	MessageRate       int           // PUBLISH packets of one client a second; 0: no limit. What is more is read later
	ByteRate          int           // bytes of one client a second; 0: no limit. What is more is read later
	PacketBytes       int           // size of a packet from a client; 2,000,000. Told to 5.0 clients as Maximum Packet Size
	KeepAlive         uint16        // longest Keep Alive in seconds, imposed on 5.0 clients as Server Keep Alive; 0: no limit
	Inflight          int           // QoS 1 and 2 messages on their way to one client; 20
	ReceiveMaximum    uint16        // QoS 1 and 2 messages that one 5.0 client may have unacknowledged; 1,000
	QueueMessages     int           // QoS 1 and 2 messages that wait for one client, or for one Shared Subscription; 100,000. Below 0: no limit
	QueueBytes        int           // their bytes; 64 MiB. Below 0: no limit
	OutboxBytes       int           // bytes that wait for one client's Network Connection before QoS 0 messages are dropped; 1 MiB
	Subscriptions     int           // of one Session; 0: no limit. Refused with 0x97
	TopicLevels       int           // levels of a Topic Name or Topic Filter; 200. Refused with 0x90, 0x8F
	TopicBytes        int           // bytes of a Topic Name or Topic Filter; 0: no limit. Refused likewise
	Retained          int           // Retained Messages; 0: no limit
	RetainedBytes     int           // their topics and payloads; 0: no limit
	FirehoseRate      int           // QoS 0 messages a second to one client that subscribes to "#"; 0: no limit. What is more is dropped
	TopicAliasMaximum uint16        // Topic Aliases that a 5.0 client may use towards us; 10
	TopicAliases      int           // most Topic Aliases that we use towards a 5.0 client that takes them; 32. Below 0: none
	SessionExpiry     uint32        // longest Session Expiry Interval in seconds; 0: no limit
	TakeoverPause     time.Duration // how long a client waits for its CONNACK whose Client Identifier is taken over again and again, at most half of ConnectTime; 0: not at all
}

// DefaultLimits returns the limits that hold where Config.Limits says nothing.
func DefaultLimits() Limits {
	return Limits{
		ConnectTime:       10 * time.Second,
		ConnectBytes:      100_000,
		Unauthenticated:   10_000,
		PacketBytes:       2_000_000,
		Inflight:          20,
		ReceiveMaximum:    1_000,
		QueueMessages:     100_000,
		QueueBytes:        64 << 20,
		OutboxBytes:       1 << 20,
		TopicLevels:       200,
		TopicAliasMaximum: 10,
		TopicAliases:      32,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.ConnectTime, d.ConnectTime)
	orDefault(&l.ConnectBytes, d.ConnectBytes)
	orDefault(&l.Unauthenticated, d.Unauthenticated)
	orDefault(&l.PacketBytes, d.PacketBytes)
	orDefault(&l.Inflight, d.Inflight)
	orDefault(&l.ReceiveMaximum, d.ReceiveMaximum)
	orDefault(&l.QueueMessages, d.QueueMessages)
	orDefault(&l.QueueBytes, d.QueueBytes)
	orDefault(&l.OutboxBytes, d.OutboxBytes)
	orDefault(&l.TopicLevels, d.TopicLevels)
	orDefault(&l.TopicAliasMaximum, d.TopicAliasMaximum)
	orDefault(&l.TopicAliases, d.TopicAliases)
	l.PacketBytes = min(l.PacketBytes, 268_435_460)
	l.ConnectBytes = min(l.ConnectBytes, l.PacketBytes)
	return l
}

func orDefault[T comparable](value *T, standard T) {
	var zero T
	if *value == zero {
		*value = standard
	}
}

// ConnectRequest is what a client says of itself in CONNECT, and where it comes from.
type ConnectRequest struct {
	Version     colibri.Version
	ClientID    string // assigned when the client gave none
	Assigned    bool   // ClientID is one that this Server has assigned
	HasUserName bool
	UserName    string
	HasPassword bool
	Password    []byte // never to be logged
	RemoteAddr  net.Addr
	LocalAddr   net.Addr
	TLS         *tls.ConnectionState // nil without TLS
	ProxiedTLS  *ProxiedTLS          // nil unless a proxy has ended the client's TLS and says so
	Properties  colibri.Properties

	Rights any // see ClientInfo; an Authenticator may set it when there is an Authorizer, without which the client is refused

	// Expires is when what let the client in ends, such as a token; the client is then
	// disconnected within about a second. An Authenticator may set it; zero is never.
	Expires time.Time

	conn net.Conn // for Departed
}

// Authenticator decides who may connect.
type Authenticator interface {
	// Authenticate returns nil to let the client in, or an error: its
	// colibri.ReasonCode goes into the CONNACK (NotAuthorized when it has none). It may
	// block: it runs in a goroutine of its own for each connection, until ctx ends.
	// It may change r.ClientID and r.UserName to what was proven, and set r.Rights.
	Authenticate(ctx context.Context, r *ConnectRequest) error
}

// ClientInfo names a client towards an Authorizer and in events.
type ClientInfo struct {
	ClientID string
	UserName string // empty without one

	// Rights is what the Authenticator has given along for the Authorizer, such as the
	// rules of a token. The broker only passes it on; nil without any, and in events about
	// clients that are not let in.
	Rights any
}
