package inspect

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/colibri-mqtt/colibri/packet"
)

// maxHTTPBytes bounds the request or the answer that opens a WebSocket.
const maxHTTPBytes = 16 << 10

// socket is a connection that began with the handshake of RFC 6455.
type socket struct {
	halves [2]socketHalf
}

// socketHalf takes the frames of one direction off.
type socketHalf struct {
	head    []byte // of HTTP, while it is incomplete
	opened  bool   // the head is over
	header  [14]byte
	have    int    // bytes of header
	inside  bool   // the header is complete
	left    uint64 // bytes of the payload that come
	masked  bool
	mask    [4]byte
	maskAt  int
	data    bool // the frame carries MQTT
	seeking bool // after a gap: until something looks like a frame
}

// size is how many bytes it holds.
func (s *socket) size() int { return cap(s.halves[0].head) + cap(s.halves[1].head) }

// lost is told that bytes of a direction are missing.
func (s *socket) lost(d int) {
	h := &s.halves[d]
	h.seeking, h.inside, h.have, h.left = h.opened, false, 0, 0
}

// webSocket takes the next bytes of a direction.
func (c *conn) webSocket(d int, b []byte) {
	if c.socket == nil {
		c.socket = &socket{}
		c.public.Transport = WebSocket
		if c.secured != nil {
			c.public.Transport = SecureWebSocket
		}
	}
	h := &c.socket.halves[d]
	if !h.opened {
		if b = c.handshake(d, h, b); b == nil {
			return
		}
	}
	if h.seeking {
		if !looksLikeFrame(b, c.fromClient(d)) {
			c.in.summary.SkippedBytes += len(b)
			return
		}
		h.seeking = false
	}
	for len(b) > 0 && c.socket != nil {
		if h.inside {
			n := int(min(uint64(len(b)), h.left))
			c.payload(d, h, b[:n])
			b = b[n:]
			h.left -= uint64(n)
			h.inside = h.left > 0
			continue
		}
		n := min(len(b), h.wanted()-h.have)
		copy(h.header[h.have:], b[:n])
		h.have += n
		b = b[n:]
		if h.have >= 2 && h.have == h.wanted() {
			h.begin()
		}
	}
}

// midSocket reports whether b, in a connection whose beginning is missing, begins with a frame
// that a WebSocket with MQTT may have: a ping or a pong, or data that begins with a whole Control
// Packet.
func (c *conn) midSocket(d int, b []byte) bool {
	if !looksLikeFrame(b, c.fromClient(d)) {
		return false
	}
	var h socketHalf
	if h.have = copy(h.header[:], b); h.have < h.wanted() {
		return false
	}
	whole := b
	b = b[h.wanted():]
	h.begin()
	if !h.data {
		return h.left <= 125
	}
	return !isPacket(whole) && isPacket(h.unmasked(b[:min(uint64(len(b)), h.left)]))
}

// isPacket reports whether a whole Control Packet begins at b.
func isPacket(b []byte) bool {
	for _, v := range candidates {
		if _, _, err := packet.Decode(b, v); err == nil {
			return true
		}
	}
	return false
}

// joinSocket is for a WebSocket whose handshake is missing.
func (c *conn) joinSocket() {
	c.socket = &socket{}
	c.public.Transport = WebSocket
	for d := range c.socket.halves {
		c.socket.halves[d].opened, c.socket.halves[d].seeking = true, true
		c.release(&c.halves[d].mqtt)
	}
}

// handshake takes the head of HTTP and returns what follows it.
func (c *conn) handshake(d int, h *socketHalf, b []byte) []byte {
	before := cap(h.head)
	h.head = append(h.head, b...)
	c.in.buffered += cap(h.head) - before
	head, rest, over := bytes.Cut(h.head, []byte("\r\n\r\n"))
	if !over && len(h.head) <= maxHTTPBytes {
		return nil
	}
	why := ""
	switch low := strings.ToLower(string(head)); {
	case !over:
		why = "the head of HTTP does not end"
	case c.fromClient(d) && !strings.Contains(low, "upgrade: websocket"):
		why = "a request of HTTP that asks for no WebSocket"
	case !c.fromClient(d) && !strings.HasPrefix(low, "http/1.1 101"):
		why = "the server answers " + printable(firstLine(head))
	case strings.Contains(low, "permessage-deflate") && !c.fromClient(d):
		why = "the WebSocket is compressed"
	}
	c.in.buffered -= cap(h.head)
	h.head, h.opened = nil, true
	if why != "" {
		if c.listed {
			c.in.event(Event{Kind: NotMQTT, Connection: &c.public, FromClient: c.fromClient(d), Text: why})
		}
		c.drop()
		return nil
	}
	for i := range c.halves {
		c.halves[i].mqtt.synced = true
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	return string(line[:min(len(line), 80)])
}

// looksLikeFrame reports whether a frame of binary data or a control frame may begin at b.
func looksLikeFrame(b []byte, fromClient bool) bool {
	if len(b) < 2 || b[1]&0x80 != 0 != fromClient {
		return false
	}
	switch b[0] {
	case 0x82, 0x02, 0x88, 0x89, 0x8A:
		return true
	}
	return false
}

// wanted is the size of the header, as far as it is known.
func (h *socketHalf) wanted() int {
	if h.have < 2 {
		return 2
	}
	n := 2
	switch h.header[1] & 0x7F {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if h.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin begins the payload of a frame.
func (h *socketHalf) begin() {
	at := 2
	switch length := h.header[1] & 0x7F; length {
	case 126:
		h.left = uint64(binary.BigEndian.Uint16(h.header[2:]))
		at = 4
	case 127:
		h.left = binary.BigEndian.Uint64(h.header[2:])
		at = 10
	default:
		h.left = uint64(length)
	}
	h.masked = h.header[1]&0x80 != 0
	if h.masked {
		h.mask = [4]byte(h.header[at:])
	}
	h.maskAt = 0
	h.data = h.header[0]&0x0F <= 2 // continuation, text, binary
	h.have = 0
	h.inside = h.left > 0
}

// payload hands on a part of the payload of a frame.
func (c *conn) payload(d int, h *socketHalf, b []byte) {
	if !h.data {
		return
	}
	c.mqtt(d, h.unmasked(b), -1)
}

// unmasked returns the next part of a payload as it was meant.
func (h *socketHalf) unmasked(b []byte) []byte {
	if !h.masked {
		return b
	}
	plain := make([]byte, len(b))
	for i := range b {
		plain[i] = b[i] ^ h.mask[(h.maskAt+i)&3]
	}
	h.maskAt = (h.maskAt + len(b)) & 3
	return plain
}
