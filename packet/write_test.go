package packet

import (
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// TestLength: a length field holds up to 268,435,455 and no more. From the outside
// that would take a packet of this size, so the writer is asked itself.
func TestLength(t *testing.T) {
	b := make([]byte, 1+4+maxRemainingLength+1)
	w := writer{b: b[:len(b)-1]}
	w.length("Remaining Length", 1, 5)
	if w.err != nil || b[1] != 0xFF || b[2] != 0xFF || b[3] != 0xFF || b[4] != 0x7F {
		t.Errorf("got % x, %v; want ff ff ff 7f", b[1:5], w.err)
	}
	w = writer{b: b}
	w.length("Remaining Length", 1, 5)
	if w.err == nil || w.err.Code != colibri.PacketTooLarge {
		t.Errorf("got %v, want Packet too large", w.err)
	}
}
