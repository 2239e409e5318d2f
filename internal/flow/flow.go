// Package flow holds the QoS 1 and QoS 2 handshakes of MQTT for both ends of a Network
// Connection: which Packet Identifiers are in use, how far each handshake has come, and
// how many more messages the peer takes (MQTT 5.0 sections 4.3, 4.4 and 4.9; the same
// rules without the limit in 3.1 and 3.1.1).
//
// [Sender] is the end that sends PUBLISH, [Receiver] the end that receives it. A Client
// and a Server each have one of both per Session. They are Session State: they outlive
// the Network Connection, and Resume tells them that a new one has begun.
//
// The package is pure, and its types are not safe for concurrent use: the owner of the
// Session locks. The zero value of both types is ready to use and holds no memory.
package flow

// State says how far the handshake of one sent message has come.
type State uint8

// The states of a Packet Identifier at the sender.
const (
	unused   State = iota
	reserved       // a SUBSCRIBE or UNSUBSCRIBE waits for its acknowledgement

	AwaitPuback  // PUBLISH of QoS 1 sent
	AwaitPubrec  // PUBLISH of QoS 2 sent
	AwaitPubcomp // PUBREL sent; the message itself is no longer needed
)

var stateNames = [...]string{"unused", "reserved", "awaits PUBACK", "awaits PUBREC", "awaits PUBCOMP"}

// String says what is awaited, such as "awaits PUBACK".
func (s State) String() string { return stateNames[s] }

// maxWindow is the largest Receive Maximum, and the one that holds when the peer
// names none.
const maxWindow = 65_535

// window brings a Receive Maximum into its range, 1 to 65,535.
func window(n int) uint16 { return uint16(min(max(n, 1), maxWindow)) }
