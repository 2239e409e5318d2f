package packet

import (
	"io"

	"github.com/colibri-mqtt/colibri"
)

// Decode decodes the first packet of b, which came over a connection of version v,
// and returns it with the number of bytes that it took. v is not looked at for a
// CONNECT, which says its version itself; v 0 means that none was received yet, and
// any other packet then is a Protocol Error.
//
// Strings and byte slices of the packet alias b: they are valid as long as b is not
// changed. Who keeps any of it longer makes a copy.
//
// The error is io.ErrUnexpectedEOF while the packet is incomplete: always so for a
// proper prefix of a valid packet. Otherwise it is a *colibri.Error: Op names the
// packet and the field, Code is the Reason Code that answers it, and Rule the
// statement that was broken. Faults in the type and the flags are reported before
// the packet is complete, all others afterwards. The number of bytes is then 0.
//
// Together with an error there is no packet, except for a complete CONNECT: the
// *Connect then holds Version and Bridge and nothing else, so that a Server can
// answer in the Client's language. Version is what the byte says even if it is
// unknown, V31 if the Protocol Name is that of 3.1, and 0 if it could not be read.
// A Protocol Name or Version that does not exist has the Code
// UnsupportedProtocolVersion: the answer is a CONNACK with 0x01 for a Version below
// 5, with 0x84 for all others.
func Decode(b []byte, v colibri.Version) (Packet, int, error) {
	var r reader
	size, err := r.header(b, v)
	if err != nil {
		return nil, 0, err
	}
	return r.packet(newPacket(r.t), size)
}

// Decoder is Decode without allocation: the packets that it returns are its own and
// valid until the next call, in addition to what Decode says about b. The zero value
// is ready to use. A Decoder takes about 1 KB, and keeps a reference to the last b.
// It is not safe for concurrent use.
type Decoder struct {
	reader      reader
	connect     Connect
	connack     Connack
	publish     Publish
	puback      Puback
	pubrec      Pubrec
	pubrel      Pubrel
	pubcomp     Pubcomp
	subscribe   Subscribe
	suback      Suback
	unsubscribe Unsubscribe
	unsuback    Unsuback
	pingreq     Pingreq
	pingresp    Pingresp
	disconnect  Disconnect
	auth        Auth
}

// keepElements bounds the memory that a Decoder keeps from one packet to the next:
// so many properties, Subscriptions, filters and Reason Codes.
const keepElements = 64

// Decode is like the function Decode, except that the packet is valid until the
// next call only.
func (d *Decoder) Decode(b []byte, v colibri.Version) (Packet, int, error) {
	r := &d.reader
	size, err := r.header(b, v)
	if err != nil {
		return nil, 0, err
	}
	r.shrink()
	return r.packet(d.own(r.t), size)
}

// header reads the Fixed Header of the first packet of b, and returns the size of
// the packet once it is complete.
func (r *reader) header(b []byte, v colibri.Version) (size int, err error) {
	t, size, err := Size(b)
	if err != nil {
		return 0, err
	}
	r.start(b[:min(size, len(b))], t, v)
	r.fixedHeader()
	if r.err != nil {
		return 0, r.err
	}
	if len(b) < size {
		return 0, io.ErrUnexpectedEOF
	}
	return size, nil
}

// packet reads everything behind the Fixed Header into p.
func (r *reader) packet(p Packet, size int) (Packet, int, error) {
	switch p := p.(type) {
	case *Connect:
		p.decode(r)
	case *Connack:
		p.decode(r)
	case *Publish:
		p.decode(r)
	case *Puback:
		p.decode(r)
	case *Pubrec:
		p.decode(r)
	case *Pubrel:
		p.decode(r)
	case *Pubcomp:
		p.decode(r)
	case *Subscribe:
		p.decode(r)
	case *Suback:
		p.decode(r)
	case *Unsubscribe:
		p.decode(r)
	case *Unsuback:
		p.decode(r)
	case *Disconnect:
		p.decode(r)
	case *Auth:
		p.decode(r)
	}
	r.finish()
	if r.err == nil {
		return p, size, nil
	}
	if c, ok := p.(*Connect); ok {
		*c = Connect{Version: c.Version, Bridge: c.Bridge}
		return c, 0, r.err
	}
	return nil, 0, r.err
}

// newPacket returns a new packet of type t.
func newPacket(t Type) Packet {
	switch t {
	case CONNECT:
		return new(Connect)
	case CONNACK:
		return new(Connack)
	case PUBLISH:
		return new(Publish)
	case PUBACK:
		return new(Puback)
	case PUBREC:
		return new(Pubrec)
	case PUBREL:
		return new(Pubrel)
	case PUBCOMP:
		return new(Pubcomp)
	case SUBSCRIBE:
		return new(Subscribe)
	case SUBACK:
		return new(Suback)
	case UNSUBSCRIBE:
		return new(Unsubscribe)
	case UNSUBACK:
		return new(Unsuback)
	case PINGREQ:
		return new(Pingreq)
	case PINGRESP:
		return new(Pingresp)
	case DISCONNECT:
		return new(Disconnect)
	}
	return new(Auth)
}

// own returns the packet of type t that d reuses.
func (d *Decoder) own(t Type) Packet {
	switch t {
	case CONNECT:
		return &d.connect
	case CONNACK:
		return &d.connack
	case PUBLISH:
		return &d.publish
	case PUBACK:
		return &d.puback
	case PUBREC:
		return &d.pubrec
	case PUBREL:
		return &d.pubrel
	case PUBCOMP:
		return &d.pubcomp
	case SUBSCRIBE:
		return &d.subscribe
	case SUBACK:
		return &d.suback
	case UNSUBSCRIBE:
		return &d.unsubscribe
	case UNSUBACK:
		return &d.unsuback
	case PINGREQ:
		return &d.pingreq
	case PINGRESP:
		return &d.pingresp
	case DISCONNECT:
		return &d.disconnect
	}
	return &d.auth
}

// shrink gives up memory that an unusually large packet took.
func (r *reader) shrink() {
	if cap(r.properties) > keepElements {
		r.properties = nil
	}
	if cap(r.willProperties) > keepElements {
		r.willProperties = nil
	}
	if cap(r.subscriptions) > keepElements {
		r.subscriptions = nil
	}
	if cap(r.filters) > keepElements {
		r.filters = nil
	}
	if cap(r.codes) > keepElements {
		r.codes = nil
	}
}
