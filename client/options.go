package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/transport"
	"github.com/colibri-mqtt/colibri/packet"
	"github.com/colibri-mqtt/colibri/topic"
)

// Options say how a Client connects and behaves. The zero value connects with 5.0,
// a ClientID of the Server's choice and no Keep Alive. Dial makes a copy; what the
// fields point at must not change while the Client lives.
type Options struct {
	Version    colibri.Version // 0 stands for V5
	ClientID   string          // may be empty in 5.0, and in 3.1.1 with CleanStart
	CleanStart bool            // Clean Session in 3.1 and 3.1.1
	KeepAlive  time.Duration   // whole seconds, up to 65,535 s; 0 turns it off

	// UserName is sent when it is not empty or HasUserName is set, Password
	// when it is not nil. 3.1 and 3.1.1 allow a Password only with a User Name.
	HasUserName bool
	UserName    string
	Password    []byte

	Will       *packet.Will       // nil without a Will Message
	Properties colibri.Properties // of the CONNECT packet; 5.0 only

	// Bridge sets bit 7 of the Protocol Version in 3.1 and 3.1.1, by which Mosquitto
	// knows another broker.
	Bridge bool

	// MaxInflight limits how many QoS 1 and 2 messages are sent and not yet
	// acknowledged, 1 to 65,535; 0 leaves it to the Receive Maximum of the Server. In 3.1
	// and 3.1.1, which have none, 0 stands for 20: Mosquitto, unless configured
	// otherwise, ends the connection of who sends more.
	MaxInflight int

	// MaxQueued and MaxQueuedBytes (of payload) limit what waits for the program, over
	// all Subscriptions; 0 stands for 1,000 messages and 64 MiB. In 5.0 MaxQueued is
	// also the Receive Maximum that the Server is told, unless Properties hold one.
	MaxQueued      int
	MaxQueuedBytes int

	// ManualAck leaves it to the program to acknowledge messages of QoS 1 and 2 with
	// [Message.Ack]. Without it they are acknowledged as the program takes them.
	ManualAck bool

	// Reconnect says how to connect again when a connection is lost; nil: the Client
	// ends then. Dial itself connects once.
	Reconnect *Backoff

	// ConnectTimeout limits the time from dialing to the CONNACK; 0 stands for 30 s.
	ConnectTimeout time.Duration

	// PingTimeout is how long after a PINGREQ nothing may arrive before the
	// connection is given up; 0 stands for the Keep Alive, at most 10 s.
	PingTimeout time.Duration

	// Method is the Authentication Method of the connection (5.0 section 4.12), such as
	// that of [ScramSHA256]; nil without one. Authenticate is not called then.
	Method *Method

	// Authenticate answers an AUTH packet of an enhanced authentication whose method stands
	// in Properties with the one to send next; an error ends the connection. What differs
	// from one connection to the next needs a Method. The packet is valid during the
	// call. It is called while connecting and, when the Server asks, later; the Client
	// waits for it, so it must return soon and must not call methods of the Client.
	Authenticate func(*packet.Auth) (*packet.Auth, error)

	// Dial opens the Network Connection; nil stands for TCP, Unix domain sockets and
	// WebSocket by URL: tcp://host:port, mqtt://host:port, unix:///path, ws://host:port/path.
	Dial func(ctx context.Context, url string) (net.Conn, error)

	// Trace is told everything that happens on the wire, in its order and one event at a
	// time. It must return soon and must not call methods of the Client.
	Trace func(Event)
}

// Event is something that happened, for Options.Trace.
type Event struct {
	Kind   EventKind
	Packet packet.Packet // Sent, Received and Dropped: valid during the call; shows the Password of a CONNECT
	Bytes  int           // Sent and Received: the size of the packet
	Err    error         // Lost: why; nil after Disconnect and Close
	Delay  time.Duration // Waiting: how long
}

// EventKind says what happened.
type EventKind int

// The kinds of Event.
const (
	Connected EventKind = iota + 1 // the Server has accepted the connection
	Sent                           // a packet was handed to the Network Connection
	Received                       // a packet has come
	Dropped                        // a PUBLISH that no Subscription asked for, or of QoS 0 without room
	Lost                           // the Network Connection has ended
	Waiting                        // connecting again begins after Delay
)

var eventNames = map[EventKind]string{
	Connected: "connected", Sent: "sent", Received: "received", Dropped: "dropped", Lost: "lost", Waiting: "waiting",
}

// String returns the name in lower case.
func (k EventKind) String() string { return eventNames[k] }

// Backoff says when to connect again after a loss: first after about Min, then
// after about twice as long each time, up to Max. Each delay is shortened by a
// random part of up to one half, so that many clients do not come back at once. The delays
// begin anew when a connection has lasted as long as the delay before it.
type Backoff struct {
	Min      time.Duration // 0 stands for 1 s
	Max      time.Duration // 0 stands for 1 min
	Attempts int           // in a row before the Client gives up; 0 for no limit

	// Retry says whether to try again after err; nil stands for [Temporary].
	Retry func(err error) bool
}

// delay returns the pause before attempt number n, which counts from 0.
func (b *Backoff) delay(n int) time.Duration {
	delay, limit := b.Min, b.Max
	if delay <= 0 {
		delay = time.Second
	}
	if limit <= 0 {
		limit = time.Minute
	}
	for ; n > 0 && delay < limit; n-- {
		delay *= 2
	}
	delay = min(delay, limit)
	return delay - time.Duration(rand.Int64N(int64(delay)/2+1))
}

func (b *Backoff) retry(err error) bool {
	if b.Retry != nil {
		return b.Retry(err)
	}
	return Temporary(err)
}

// Temporary reports whether trying again after err makes sense: it does unless the
// Server has said that this Client is not welcome as it is.
func Temporary(err error) bool {
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		return true
	}
	switch refusal.Code {
	case colibri.UnsupportedProtocolVersion, colibri.ClientIdentifierNotValid, colibri.BadUserNameOrPassword,
		colibri.NotAuthorized, colibri.Banned, colibri.BadAuthenticationMethod, colibri.SessionTakenOver,
		colibri.TopicNameInvalid, colibri.PacketTooLarge, colibri.PayloadFormatInvalid, colibri.RetainNotSupported,
		colibri.QoSNotSupported, colibri.UseAnotherServer, colibri.ServerMoved,
		colibri.MalformedPacket, colibri.ProtocolError:
		return false
	}
	return true
}

const (
	defaultMaxInflight    = 20
	defaultMaxQueued      = 1000
	defaultMaxQueuedBytes = 64 << 20
	defaultConnectTimeout = 30 * time.Second
	maxPingTimeout        = 10 * time.Second
	maxKeepAlive          = 65_535 * time.Second
)

// complete returns o with its defaults filled in, or what is wrong with it.
func (o Options) complete() (Options, error) {
	if o.Version == 0 {
		o.Version = colibri.V5
	}
	if !o.Version.Known() {
		return o, fmt.Errorf("client options: %v: use V31, V311 or V5", o.Version)
	}
	if o.KeepAlive < 0 || o.KeepAlive > maxKeepAlive || o.KeepAlive%time.Second != 0 {
		return o, fmt.Errorf("client options: a Keep Alive of %v is not possible: use whole seconds up to 65,535", o.KeepAlive)
	}
	if o.MaxInflight < 0 || o.MaxInflight > 65_535 {
		return o, fmt.Errorf("client options: MaxInflight %d is not possible: use 1 to 65,535, or 0 for no limit of our own", o.MaxInflight)
	}
	if o.MaxQueued < 0 || o.MaxQueuedBytes < 0 || o.ConnectTimeout < 0 || o.PingTimeout < 0 {
		return o, errors.New("client options: a limit is negative: use 0 for the default")
	}
	if o.MaxQueued == 0 {
		o.MaxQueued = defaultMaxQueued
	}
	if o.MaxQueuedBytes == 0 {
		o.MaxQueuedBytes = defaultMaxQueuedBytes
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = defaultConnectTimeout
	}
	if o.MaxInflight == 0 && o.Version != colibri.V5 {
		o.MaxInflight = defaultMaxInflight
	}
	if o.UserName != "" {
		o.HasUserName = true
	}
	if o.ClientID == "" && o.Version == colibri.V311 && !o.CleanStart { // [MQTT311-3.1.3-7]
		return o, errors.New("client options: 3.1.1 needs a ClientID to keep a Session: set ClientID or CleanStart")
	}
	if o.ClientID == "" && o.Version == colibri.V31 {
		return o, errors.New("client options: 3.1 needs a ClientID of 1 to 23 characters: set ClientID")
	}
	if o.Password != nil && !o.HasUserName && o.Version != colibri.V5 { // [MQTT311-3.1.2-22]
		return o, fmt.Errorf("client options: %v allows a Password only with a User Name: set UserName", o.Version)
	}
	if m := o.Method; m != nil && (m.Name == "" || m.Begin == nil || o.Version != colibri.V5 ||
		o.Properties.Has(colibri.AuthenticationMethod) || o.Properties.Has(colibri.AuthenticationData)) {
		return o, errors.New("client options: Method needs a Name, a Begin and 5.0, and stands in place of the Authentication Method in Properties: leave out the one or the other")
	}
	if o.Will != nil {
		if err := topic.CheckName(o.Will.Topic); err != nil {
			return o, err
		}
	}
	o.Properties = o.Properties.Clone()
	if o.Version == colibri.V5 && !o.Properties.Has(colibri.ReceiveMaximum) {
		o.Properties = o.Properties.AppendNumber(colibri.ReceiveMaximum, uint32(min(o.MaxQueued, 65_535)))
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, url string) (net.Conn, error) {
			return transport.Dial(ctx, url, transport.Options{})
		}
	}
	return o, nil
}

// connect returns the CONNECT packet. clientID and cleanStart may differ from the
// options when the Client connects again.
func (o *Options) connect(clientID string, cleanStart bool) *packet.Connect {
	return &packet.Connect{
		Version:     o.Version,
		Bridge:      o.Bridge,
		CleanStart:  cleanStart,
		KeepAlive:   uint16(o.KeepAlive / time.Second),
		ClientID:    clientID,
		Will:        o.Will,
		HasUserName: o.HasUserName,
		UserName:    o.UserName,
		HasPassword: o.Password != nil,
		Password:    o.Password,
		Properties:  o.Properties,
	}
}
