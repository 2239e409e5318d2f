package inspect

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Content types of TLS records.
const (
	tlsChangeCipherSpec = 20
	tlsHandshake        = 22
	tlsData             = 23
)

// maxRecordBytes is the largest TLS record, with what ciphers may add in TLS 1.2.
const maxRecordBytes = 1<<14 + 2048

// secured is a connection in TLS 1.2 or 1.3.
type secured struct {
	halves  [2]securedHalf // client, server
	random  [2][32]byte    // of ClientHello and ServerHello
	hello   [2]bool
	version uint16 // from the ServerHello: 0x0303 is TLS 1.2, 0x0304 is 1.3
	suite   uint16
	macLast bool // the ServerHello chose encrypt_then_mac
	secrets *tlsSecrets
}

// securedHalf is one direction.
type securedHalf struct {
	buffer []byte // a record that is incomplete
	lost   bool   // a gap: where records begin is not known any more
	cipher *tlsCipher
	coming *tlsCipher // TLS 1.3: for the data behind the handshake
}

// size is how many bytes it holds.
func (s *secured) size() int { return cap(s.halves[0].buffer) + cap(s.halves[1].buffer) }

// lost is told that bytes of a direction, 0 the client's, are missing.
func (s *secured) lost(side int) { s.halves[side].lost = true }

// side is 0 for what the client sends.
func (c *conn) side(d int) int {
	if c.fromClient(d) {
		return 0
	}
	return 1
}

// tls takes the next bytes of a direction.
func (c *conn) tls(d int, b []byte) {
	if c.secured == nil {
		c.secured = &secured{}
	}
	h := &c.secured.halves[c.side(d)]
	if h.lost {
		c.in.summary.SkippedBytes += len(b)
		return
	}
	before := cap(h.buffer)
	h.buffer = append(h.buffer, b...)
	c.in.buffered += cap(h.buffer) - before
	rest := h.buffer
	for c.secured != nil && len(rest) >= 5 {
		size := 5 + int(binary.BigEndian.Uint16(rest[3:]))
		if size > 5+maxRecordBytes || rest[1] != 3 {
			c.unreadable(d, "what comes is no TLS record")
			return
		}
		if len(rest) < size {
			break
		}
		c.record(d, h, rest[:size])
		rest = rest[size:]
	}
	if c.secured == nil {
		return
	}
	if len(rest) == 0 {
		c.in.buffered -= cap(h.buffer)
		h.buffer = nil
	} else {
		h.buffer = h.buffer[:copy(h.buffer, rest)]
	}
}

// unreadable gives the connection up and says why.
func (c *conn) unreadable(d int, why string) {
	if c.listed {
		c.in.summary.Encrypted++
		c.in.event(Event{Kind: Encrypted, Connection: &c.public, FromClient: c.fromClient(d), Text: why})
	}
	c.drop()
}

// record takes one TLS record, its header included.
func (c *conn) record(d int, h *securedHalf, record []byte) {
	s := c.secured
	content, body := record[0], record[5:]
	switch {
	case content == tlsHandshake && h.cipher == nil:
		c.greeting(d, body)
	case !s.hello[0] && !s.hello[1] && content != tlsHandshake:
		c.unreadable(d, "the capture begins after its handshake")
	case content == tlsChangeCipherSpec && s.version == 0x0304:
		// Only there for old devices on the way.
	case content == tlsChangeCipherSpec:
		if !c.keys(d) {
			return
		}
		h.cipher = h.coming
	case s.version == 0x0304 && content == tlsData:
		if h.coming == nil && !c.keys(d) {
			return
		}
		c.opened13(d, h, record)
	case h.cipher != nil:
		plain, ok := h.cipher.open12(record)
		if !ok {
			c.unreadable(d, "its secrets do not fit: they are of another connection")
			return
		}
		if content == tlsData {
			c.plain(d, plain)
		}
	}
}

// greeting looks for the ClientHello and the ServerHello.
func (c *conn) greeting(d int, body []byte) {
	s, side := c.secured, c.side(d)
	if len(body) < 39 || int(body[0]) != side+1 {
		return
	}
	s.random[side], s.hello[side] = [32]byte(body[6:38]), true
	if side == 0 {
		s.secrets = nil
		if !c.in.config.KeyLog.empty() {
			s.secrets = c.in.config.KeyLog.secrets[s.random[0]]
		}
		return
	}
	s.version, s.macLast = binary.BigEndian.Uint16(body[4:]), false
	at := 39 + int(body[38]) // behind the session
	if len(body) < at+3 {
		return
	}
	s.suite = binary.BigEndian.Uint16(body[at:])
	if len(body) < at+5 {
		return
	}
	extensions := body[at+5:]
	for len(extensions) >= 4 {
		kind, length := binary.BigEndian.Uint16(extensions), int(binary.BigEndian.Uint16(extensions[2:]))
		extensions = extensions[4:]
		if length > len(extensions) {
			return
		}
		switch {
		case kind == 43 && length == 2: // supported_versions
			s.version = binary.BigEndian.Uint16(extensions)
		case kind == 22: // encrypt_then_mac
			s.macLast = true
		}
		extensions = extensions[length:]
	}
}

// keys makes the ciphers of both directions, unless they are there; false when it cannot,
// which ends the connection.
func (c *conn) keys(d int) bool {
	s := c.secured
	if s.halves[0].coming != nil {
		return true
	}
	why := ""
	switch {
	case !s.hello[0] || !s.hello[1]:
		why = "the capture begins after its handshake"
	case s.version != 0x0303 && s.version != 0x0304:
		why = fmt.Sprintf("its version 0x%04X is neither TLS 1.2 nor 1.3", s.version)
	case s.secrets == nil && c.in.config.KeyLog.empty():
		why = "no secrets were given"
	case s.secrets == nil || s.version == 0x0304 && (s.secrets.traffic[0] == nil || s.secrets.traffic[1] == nil) || s.version != 0x0304 && s.secrets.master == nil:
		why = "the key log has no secrets of this connection"
	default:
		suite, ok := tlsSuites[s.suite]
		if !ok || s.version == 0x0304 != (s.suite>>8 == 0x13) {
			why = fmt.Sprintf("its cipher suite 0x%04X is not one that can be read here", s.suite)
			break
		}
		var err error
		if s.halves[0].coming, s.halves[1].coming, err = suite.ciphers(s); err != nil {
			why = "its secrets have the wrong length"
		}
	}
	if why != "" {
		c.unreadable(d, why)
		return false
	}
	for i := range c.halves {
		c.halves[i].mqtt.synced = true
	}
	return true
}

// opened13 takes an encrypted record of TLS 1.3. The records of the handshake have other
// keys and are passed over: the first that opens with those of the data begins the data.
func (c *conn) opened13(d int, h *securedHalf, record []byte) {
	plain, ok := h.coming.open13(record)
	if !ok {
		if h.cipher != nil {
			c.unreadable(d, "its secrets do not fit: they are of another connection")
		}
		return
	}
	h.cipher = h.coming
	plain = bytes.TrimRight(plain, "\x00")
	if len(plain) == 0 {
		return
	}
	content, plain := plain[len(plain)-1], plain[:len(plain)-1]
	switch {
	case content == tlsData:
		c.plain(d, plain)
	case content == tlsHandshake && len(plain) > 0 && plain[0] == 24: // KeyUpdate
		if h.coming.update() != nil {
			c.unreadable(d, "its keys change to what cannot be made")
		}
	}
}

// plain takes what was decrypted.
func (c *conn) plain(d int, b []byte) {
	if len(b) == 0 {
		return
	}
	if c.inner == undecided {
		if b = c.decide(d, b, &c.inner); b == nil {
			return
		}
	}
	switch c.inner {
	case speaksMQTT:
		c.mqtt(d, b, -1)
	case speaksWebSocket:
		c.webSocket(d, b)
	default:
		c.drop()
	}
}
