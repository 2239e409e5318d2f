package mqtest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Peer is the raw client end of a Network Connection. It sends what it is told, right or
// wrong, and answers nothing by itself. A Peer belongs to the goroutine of its scenario.
type Peer struct {
	Connack *packet.Connack // that accepted Connect

	t       *testing.T
	nc      net.Conn
	version colibri.Version

	mu      sync.Mutex
	resumed sync.Cond
	paused  bool
	inbox   []byte // has arrived and was not expected yet
	closed  bool   // the broker has closed
}

func newPeer(t *testing.T, nc net.Conn, v colibri.Version) *Peer {
	p := &Peer{t: t, nc: nc, version: v}
	p.resumed.L = &p.mu
	go p.read()
	return p
}

// read moves what arrives into the inbox until the Network Connection ends.
func (p *Peer) read() {
	buf := make([]byte, 4096)
	for {
		p.mu.Lock()
		for p.paused {
			p.resumed.Wait()
		}
		p.mu.Unlock()
		n, err := p.nc.Read(buf)
		p.mu.Lock()
		p.inbox = append(p.inbox, buf[:n]...)
		p.closed = err != nil
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Pause stops reading, after what is on its way now, until Resume.
func (p *Peer) Pause() { p.pause(true) }

// Resume goes on reading.
func (p *Peer) Resume() { p.pause(false) }

func (p *Peer) pause(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused
	p.resumed.Broadcast()
}

// NewConnect returns the CONNECT that Connect sends.
func (p *Peer) NewConnect(clientID string, options ...func(*packet.Connect)) *packet.Connect {
	c := &packet.Connect{Version: p.version, ClientID: clientID, CleanStart: true}
	for _, option := range options {
		option(c)
	}
	return c
}

// Connect sends a CONNECT and expects that it is accepted; the answer is in p.Connack.
// What follows the CONNACK is left to Expect.
func (p *Peer) Connect(clientID string, options ...func(*packet.Connect)) {
	p.t.Helper()
	p.Send(p.NewConnect(clientID, options...))
	synctest.Wait()
	got, ok := p.next()
	connack, isConnack := got.(*packet.Connack)
	if !ok || !isConnack || connack.Code != colibri.Success {
		p.t.Fatalf("CONNECT of %q: got %s, want a CONNACK that accepts", clientID, show(got))
	}
	p.Connack = connack
}

// Send sends packets in one write, and waits until everybody is idle: what another peer
// sends next comes later.
func (p *Peer) Send(packets ...packet.Packet) {
	p.t.Helper()
	p.SendBytes(p.Encode(packets...))
}

// Encode returns the bytes of packets.
func (p *Peer) Encode(packets ...packet.Packet) (b []byte) {
	p.t.Helper()
	for _, one := range packets {
		var err error
		if b, err = packet.Append(b, one, p.version); err != nil {
			p.t.Fatalf("encode a %v: %v", one.Type(), err)
		}
	}
	return b
}

// SendBytes is Send for bytes.
func (p *Peer) SendBytes(b []byte) {
	p.t.Helper()
	p.Write(b)
	synctest.Wait()
}

// Write sends b in one write and does not wait for what comes of it. It gives up when the
// broker closes meanwhile.
func (p *Peer) Write(b []byte) {
	p.t.Helper()
	_, err := p.nc.Write(b)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
		p.t.Fatalf("send: %v", err)
	}
}

// SendHex sends bytes written in hexadecimal, with spaces as one likes and "text" for a
// UTF-8 Encoded String.
func (p *Peer) SendHex(text string) {
	p.t.Helper()
	var b []byte
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
			b = append(b, part...)
			continue
		}
		digits, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			p.t.Fatalf("SendHex %q: %v", part, err)
		}
		b = append(b, digits...)
	}
	p.SendBytes(b)
}

// Expect waits until everybody is idle, and fails unless exactly these packets have
// arrived since the last look, in this order. A Packet Identifier of 0 in a PUBLISH of QoS 1
// or 2 stands for any; a Reason String that is not asked for may be there. It returns
// what has arrived.
func (p *Peer) Expect(want ...packet.Packet) (got []packet.Packet) {
	p.t.Helper()
	got, closed := p.arrived()
	p.compare(got, want)
	if closed {
		p.t.Fatalf("the Network Connection was closed after these packets, want it open")
	}
	return got
}

// ExpectUnordered is Expect for packets that may come in any order.
func (p *Peer) ExpectUnordered(want ...packet.Packet) {
	p.t.Helper()
	got, _ := p.arrived()
	ordered := make([]packet.Packet, 0, len(got))
	rest := append([]packet.Packet(nil), got...)
	for _, w := range want {
		for i, g := range rest {
			if len(diff([]packet.Packet{g}, []packet.Packet{w})) == 0 {
				ordered = append(ordered, g)
				rest = append(rest[:i], rest[i+1:]...)
				break
			}
		}
	}
	p.compare(append(ordered, rest...), want)
}

// Received returns the packets that have arrived since the last look, once everybody is
// idle.
func (p *Peer) Received() []packet.Packet {
	p.t.Helper()
	got, _ := p.arrived()
	return got
}

// ExpectNothing fails if anything arrives, or the broker closes, within d.
func (p *Peer) ExpectNothing(d time.Duration) {
	p.t.Helper()
	time.Sleep(d)
	p.Expect()
}

// ExpectClosed fails unless exactly these packets have arrived and the broker has then
// closed the Network Connection.
func (p *Peer) ExpectClosed(want ...packet.Packet) {
	p.t.Helper()
	got, closed := p.arrived()
	p.compare(got, want)
	if !closed {
		p.t.Fatalf("the Network Connection is still open, want it closed")
	}
}

// ExpectEnded fails unless the broker has ended the connection because of code: in 5.0
// with a DISCONNECT that says so, before by closing alone.
func (p *Peer) ExpectEnded(code colibri.ReasonCode) {
	p.t.Helper()
	if p.version < colibri.V5 {
		p.ExpectClosed()
		return
	}
	p.ExpectClosed(&packet.Disconnect{Code: code})
}

// Ping shows that the broker still serves p.
func (p *Peer) Ping() {
	p.t.Helper()
	p.Send(&packet.Pingreq{})
	p.Expect(&packet.Pingresp{})
}

// Drop closes the Network Connection without a DISCONNECT, and waits until everybody is
// idle.
func (p *Peer) Drop() {
	p.close()
	synctest.Wait()
}

func (p *Peer) close() {
	p.Resume()
	p.nc.Close()
}

// Disconnect says goodbye and expects that the broker closes.
func (p *Peer) Disconnect() {
	p.t.Helper()
	p.Send(&packet.Disconnect{})
	p.ExpectClosed()
}

// arrived waits until everybody is idle and takes all packets out of the inbox.
func (p *Peer) arrived() (got []packet.Packet, closed bool) {
	p.t.Helper()
	synctest.Wait()
	for {
		one, ok := p.next()
		if !ok {
			break
		}
		got = append(got, one)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return got, p.closed
}

// next takes one packet out of the inbox.
func (p *Peer) next() (packet.Packet, bool) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.inbox) == 0 {
		return nil, false
	}
	got, n, err := packet.Decode(p.inbox, p.version)
	if err != nil {
		p.t.Fatalf("the broker has sent % x: %v", p.inbox[:min(len(p.inbox), 64)], err)
	}
	p.inbox = p.inbox[n:] // what was decoded aliases the part before
	return got, true
}

func (p *Peer) compare(got, want []packet.Packet) {
	p.t.Helper()
	if d := diff(got, want); d != "" {
		p.t.Fatalf("packets from the broker (-want +got):\n%s\ngot:%s\nwant:%s", d, list(got), list(want))
	}
}

// diff says where got differs from want.
func diff(got, want []packet.Packet) string {
	got = append([]packet.Packet(nil), got...)
	for i := range min(len(got), len(want)) {
		got[i] = forgive(got[i], want[i])
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), largePayload)
}

// largePayload compares large payloads as a whole: looking for where they differ takes seconds.
var largePayload = cmp.FilterValues(func(a, b []byte) bool { return len(a) > 1000 && len(b) > 1000 }, cmp.Comparer(bytes.Equal))

// forgive returns a copy of got without what want does not care for.
func forgive(got, want packet.Packet) packet.Packet {
	switch got := got.(type) {
	case *packet.Publish:
		if w, ok := want.(*packet.Publish); ok && w.PacketID == 0 && w.QoS > 0 && got.QoS > 0 {
			relaxed := *got
			relaxed.PacketID = 0
			return &relaxed
		}
	}
	if ps := propertiesOf(want); ps != nil && !ps.Has(colibri.ReasonString) {
		return withoutReason(got)
	}
	return got
}

// propertiesOf returns the properties of an answer, not nil; nil for another packet.
func propertiesOf(p packet.Packet) colibri.Properties {
	switch p := p.(type) {
	case *packet.Connack:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Disconnect:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Puback:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Pubrec:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Pubrel:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Pubcomp:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Suback:
		return append(colibri.Properties{}, p.Properties...)
	case *packet.Unsuback:
		return append(colibri.Properties{}, p.Properties...)
	}
	return nil
}

// withoutReason returns an answer without its Reason String.
func withoutReason(p packet.Packet) packet.Packet {
	switch p := p.(type) {
	case *packet.Connack:
		return &packet.Connack{SessionPresent: p.SessionPresent, Code: p.Code, Properties: without(p.Properties)}
	case *packet.Disconnect:
		return &packet.Disconnect{Code: p.Code, Properties: without(p.Properties)}
	case *packet.Puback:
		return &packet.Puback{PacketID: p.PacketID, Code: p.Code, Properties: without(p.Properties)}
	case *packet.Pubrec:
		return &packet.Pubrec{PacketID: p.PacketID, Code: p.Code, Properties: without(p.Properties)}
	case *packet.Pubrel:
		return &packet.Pubrel{PacketID: p.PacketID, Dup: p.Dup, Code: p.Code, Properties: without(p.Properties)}
	case *packet.Pubcomp:
		return &packet.Pubcomp{PacketID: p.PacketID, Code: p.Code, Properties: without(p.Properties)}
	case *packet.Suback:
		return &packet.Suback{PacketID: p.PacketID, Codes: p.Codes, Properties: without(p.Properties)}
	case *packet.Unsuback:
		return &packet.Unsuback{PacketID: p.PacketID, Codes: p.Codes, Properties: without(p.Properties)}
	}
	return p
}

// without returns ps without the Reason String.
func without(ps colibri.Properties) (rest colibri.Properties) {
	for _, one := range ps {
		if one.ID != colibri.ReasonString {
			rest = append(rest, one)
		}
	}
	return rest
}
