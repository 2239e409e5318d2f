package broker

import (
	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// maskSecrets overwrites what is secret in kept, the first bytes of the packet whole, with
// asterisks: passwords and Authentication Data, and with Config.SecretUserNames what a
// CONNECT has as User Name. Nothing changes its length, so the packet
// stays well-formed. p is what whole was decoded to; nil when it could not be, and then
// everything that may hold a secret counts as one.
func (b *Broker) maskSecrets(kept, whole []byte, p packet.Packet, v colibri.Version) {
	if len(whole) == 0 {
		return
	}
	switch packet.Type(whole[0] >> 4) {
	case packet.CONNECT, packet.CONNACK, packet.AUTH:
	default:
		return
	}
	switch p := p.(type) {
	case nil:
		mask(kept, behindHeader(whole), len(whole))
		return
	case *packet.Connect:
		if !p.HasPassword && !b.secretUserNames && !p.Properties.Has(colibri.AuthenticationData) {
			return
		}
	case *packet.Connack:
		if !p.Properties.Has(colibri.AuthenticationData) {
			return
		}
	}
	_, _, fields, err := packet.Dissect(whole, v)
	if err != nil {
		mask(kept, behindHeader(whole), len(whole))
		return
	}
	for i := range fields {
		f := &fields[i]
		if !f.Secret() && !(b.secretUserNames && f.Name == "User Name") {
			continue
		}
		switch value := f.Value.(type) { // it stands behind its length
		case []byte:
			mask(kept, f.End-len(value), f.End)
		case string:
			mask(kept, f.End-len(value), f.End)
		}
	}
}

// mask overwrites the bytes from one offset to another, as far as there are any.
func mask(b []byte, from, to int) {
	for i := from; i < min(to, len(b)); i++ {
		b[i] = '*'
	}
}

// behindHeader returns the offset behind the Fixed Header of a packet.
func behindHeader(whole []byte) int {
	for i := 1; i < len(whole); i++ {
		if whole[i]&0x80 == 0 {
			return i + 1
		}
	}
	return len(whole)
}
