// Package inspect finds the MQTT conversations in captured frames and shows them: as the
// table that the users of packet analysers know, as a tree of fields, as JSON, as a
// conversation of one client, each with explanations.
//
// An Inspector takes frames one by one and holds what is still incomplete, within fixed
// bounds: it works on captures of any size. Captures lie (they lack frames, begin in the
// middle, hold anything at all), so nothing here trusts what it reads, and what is left
// out is told in the Summary.
package inspect

import (
	"container/list"
	"net/netip"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/pcap"
	"github.com/colibri-mqtt/colibri/packet"
)

// DefaultPorts are the TCP ports on which MQTT is expected: plain, TLS, WebSocket and
// WebSocket over TLS. On others it is found by its CONNECT.
var DefaultPorts = []uint16{1883, 8883, 8083, 8084, 9001}

// Bounds on what an Inspector holds.
const (
	maxConnections   = 65536    // the least recently used one goes
	maxPacketBytes   = 16 << 20 // a larger packet is passed over
	maxBufferedBytes = 64 << 20 // of all connections together
	maxGuessBytes    = 1 << 20  // of a packet at which a stream is picked up in its middle
)

// Config is what New needs to know.
type Config struct {
	Ports  []uint16        // where MQTT is expected, besides DefaultPorts
	Packet func(r *Record) // called for each Control Packet; the Record is valid until it returns
	Event  func(e *Event)  // called for what is told of connections; may be nil
	KeyLog *KeyLog         // nil: what is encrypted stays so
}

// Frame is where a Record was completed.
type Frame struct {
	Number   int
	Time     time.Time
	Relative time.Duration // since the first frame of the capture
	Length   int           // bytes on the wire
	Comment  string
	Data     []byte
	Segment  *pcap.Segment
}

// Record is one Control Packet of a capture.
type Record struct {
	Number     int // from 1
	Frame      Frame
	Connection *Connection
	FromClient bool
	Version    colibri.Version // that it was decoded with
	Guessed    bool            // no CONNECT was seen, or it could not be read: Version is a guess

	Type   packet.Type
	Packet packet.Packet // nil with Err; of a CONNECT that could not be read, its version
	Err    error         // a *colibri.Error: why it is malformed
	Bytes  []byte        // as they were sent; short of Size when it was too large to keep
	Size   int           // bytes of the packet

	// Missing says how many of Bytes are zeros in place of bytes that the capture lacks.
	Missing int

	// At is where Bytes begins in Frame.Data; -1 if it does not lie there as a whole.
	At int
}

// Source returns where the packet came from.
func (r *Record) Source() netip.AddrPort {
	if r.FromClient {
		return r.Connection.Client
	}
	return r.Connection.Server
}

// Destination returns where the packet went.
func (r *Record) Destination() netip.AddrPort {
	if r.FromClient {
		return r.Connection.Server
	}
	return r.Connection.Client
}

// Fields returns the fields of the packet; none when it could not be kept as a whole.
func (r *Record) Fields() []packet.Field {
	_, _, fields, _ := packet.Dissect(r.Bytes, r.Version)
	return fields
}

// Connection is what is known of one Network Connection.
type Connection struct {
	ID             int // from 1, in the order of their first frames
	Client, Server netip.AddrPort
	Transport      Transport
	ClientID       string // empty until a CONNECT, or the CONNACK that assigns one, was seen
	KeepAlive      uint16 // seconds; of the CONNECT, or of the CONNACK that overrides it
}

// Transport is how MQTT was carried.
type Transport byte

// The transports.
const (
	TCP Transport = iota
	WebSocket
	TLS
	SecureWebSocket
)

var transportNames = [...]string{"tcp", "websocket", "tls", "wss"}

// String returns the name that URLs have for it.
func (t Transport) String() string { return transportNames[t] }

// EventKind says what happened to a connection.
type EventKind byte

// The kinds of events.
const (
	Opened    EventKind = iota // SYN was seen
	Closed                     // FIN was seen, or RST (Event.Reset)
	Encrypted                  // TLS without keys: nothing of it can be shown
	Gap                        // bytes are missing that no packet can be told from
	PickedUp                   // the stream is followed from its middle
	NotMQTT                    // on a port of MQTT, something else is spoken
)

// Event is something about a connection that is no Control Packet.
type Event struct {
	Kind       EventKind
	Frame      Frame
	Connection *Connection
	FromClient bool
	Reset      bool   // of Closed
	Bytes      int    // of Gap: how many are missing
	Text       string // of Encrypted and NotMQTT: more about it
}

// Summary counts what an Inspector saw, and what it left out.
type Summary struct {
	Frames        int
	Packets       int // Control Packets
	Malformed     int // of them
	Connections   int // with MQTT
	Retransmitted int // segments that brought nothing new
	Reordered     int // segments that came before their turn
	Fragments     int // frames with a fragment of an IP packet, which are passed over
	Damaged       int // frames whose headers do not fit
	UnknownLink   int // frames of a link type that is not known
	MissingBytes  int // gaps in streams
	SkippedBytes  int // in which no packet could be found
	TooLarge      int // packets above the limit, of which only the beginning was kept
	Encrypted     int // connections that could not be read
	Evicted       int // connections given up because there were too many, or too much of them
}

// Inspector finds Control Packets in frames. It is not safe for concurrent use.
type Inspector struct {
	config      Config
	ports       map[uint16]bool
	summary     Summary
	first       time.Time
	frame       Frame
	segment     pcap.Segment
	connections map[key]*list.Element // of *conn
	order       list.List             // the most recently used in front
	buffered    int                   // bytes, over all connections
	opened      int
}

// New returns an Inspector without frames.
func New(config Config) *Inspector {
	in := &Inspector{config: config, ports: map[uint16]bool{}, connections: map[key]*list.Element{}}
	for _, port := range append(DefaultPorts[:len(DefaultPorts):len(DefaultPorts)], config.Ports...) {
		in.ports[port] = true
	}
	return in
}

// Frame takes the next frame of the capture.
func (in *Inspector) Frame(f *pcap.Frame) {
	in.summary.Frames++
	if in.first.IsZero() {
		in.first = f.Time
	}
	switch pcap.Decode(f.Link, f.Data, &in.segment) {
	case pcap.IsFragment:
		in.summary.Fragments++
		return
	case pcap.IsDamaged:
		in.summary.Damaged++
		return
	case pcap.UnknownLink:
		in.summary.UnknownLink++
		return
	case pcap.NotTCP:
		return
	}
	in.frame = Frame{Number: f.Number, Time: f.Time, Length: f.Length, Comment: f.Comment, Data: f.Data, Segment: &in.segment}
	if !f.Time.IsZero() {
		in.frame.Relative = f.Time.Sub(in.first)
	}
	in.tcp(&in.segment)
}

// Finish ends the capture: what waited for missing segments is taken as it is. It
// returns the Summary.
func (in *Inspector) Finish() Summary {
	for e := in.order.Back(); e != nil; e = e.Prev() {
		e.Value.(*conn).finish()
	}
	return in.summary
}

// Summary returns what was counted so far.
func (in *Inspector) Summary() Summary { return in.summary }

func (in *Inspector) event(e Event) {
	if in.config.Event != nil {
		e.Frame = in.frame
		in.config.Event(&e)
	}
}
