package broker

import "net"

// Handshake is what a Network Connection begins with, before its CONNECT.
type Handshake int

// The handshakes.
const (
	HandshakeProxy     Handshake = iota // the header of the PROXY protocol, which may also come from an address that may not send it
	HandshakeTLS                        // that of TLS below MQTT or WebSocket
	HandshakeWebSocket                  // the HTTP request that opens a WebSocket
	HandshakeQUIC                       // up to the stream that carries MQTT
	handshakes
)

var handshakeNames = [handshakes]string{"PROXY header", "TLS", "WebSocket", "QUIC"}

// String names the handshake.
func (h Handshake) String() string { return handshakeNames[h] }

// HandshakeFailed is a Network Connection that its listener has closed because a handshake has
// failed, before the broker has seen it; see Broker.HandshakeFailed.
type HandshakeFailed struct {
	Remote    net.Addr
	Handshake Handshake
	Err       error // in plain words
}

func (HandshakeFailed) event() {}

// HandshakeFailed counts e, which a listener has seen, and hands it to Config.Events.
func (b *Broker) HandshakeFailed(e HandshakeFailed) {
	b.counters.handshakes[e.Handshake].Add(1)
	b.emit(e)
}
