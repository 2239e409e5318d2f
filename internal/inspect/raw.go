package inspect

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Raw shows the Control Packets in b, which came from no capture; v is their version, or 0
// to find it out. Its Records have no frame. The error says where b ends in the middle of
// a packet.
func (in *Inspector) Raw(b []byte, v colibri.Version) error {
	in.opened++
	c := &conn{in: in, public: Connection{ID: in.opened, Client: netip.AddrPort{}, Server: netip.AddrPort{}},
		begun: true, version: v}
	in.frame = Frame{}
	for len(b) > 0 {
		t, size, err := packet.Size(b)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the last packet, %s, ends within its Fixed Header", t)
		case err == nil && len(b) < size:
			return fmt.Errorf("the last packet, %s, has %d bytes by its Remaining Length, of which %d are here", t, size, len(b))
		case err != nil:
			size = len(b)
		}
		d := 1
		switch t {
		case packet.CONNECT, packet.SUBSCRIBE, packet.UNSUBSCRIBE, packet.PINGREQ, packet.PUBLISH:
			d = 0
		}
		c.show(d, &Record{Type: t, Bytes: b[:size], Size: size, Err: err, At: -1})
		b = b[size:]
	}
	return nil
}
