package packet

import (
	"bytes"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// TestAppendAcknowledgement shows that the short way writes what Append writes.
func TestAppendAcknowledgement(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V31, colibri.V311, colibri.V5} {
		for _, id := range []uint16{1, 255, 256, 65_535} {
			for kind, codes := range map[Type][]colibri.ReasonCode{
				PUBACK: {0, 0x10, 0x97}, PUBREC: {0, 0x10, 0x87}, PUBREL: {0, 0x92}, PUBCOMP: {0, 0x92}, PINGRESP: {0},
			} {
				for _, code := range codes {
					if v < colibri.V5 && code != 0 {
						continue
					}
					p := map[Type]Packet{PUBACK: &Puback{PacketID: id, Code: code}, PUBREC: &Pubrec{PacketID: id, Code: code},
						PUBREL: &Pubrel{PacketID: id, Code: code}, PUBCOMP: &Pubcomp{PacketID: id, Code: code}, PINGRESP: &Pingresp{}}[kind]
					want, err := Append(nil, p, v)
					if err != nil {
						t.Fatal(err)
					}
					if got := AppendAcknowledgement(nil, kind, id, code, v); !bytes.Equal(got, want) {
						t.Errorf("%v %d %v in %v: got % x, want % x", kind, id, code, v, got, want)
					}
				}
			}
		}
	}
	b := make([]byte, 0, 16)
	if n := testing.AllocsPerRun(100, func() { AppendAcknowledgement(b, PUBREC, 7, 0x10, colibri.V5) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}
