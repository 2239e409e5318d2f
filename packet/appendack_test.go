package packet

import (
	"bytes"
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// TestAppendAck holds AppendAck against Append: one format, two ways to write it.
func TestAppendAck(t *testing.T) {
	for _, v := range []colibri.Version{colibri.V31, colibri.V311, colibri.V5} {
		for _, code := range []colibri.ReasonCode{colibri.Success, colibri.PacketIdentifierNotFound, colibri.NoMatchingSubscribers} {
			if v < colibri.V5 && code != colibri.Success {
				continue
			}
			for _, p := range []Packet{&Puback{PacketID: 513, Code: code}, &Pubrec{PacketID: 513, Code: code},
				&Pubrel{PacketID: 513, Code: code}, &Pubcomp{PacketID: 513, Code: code}, &Pingresp{}} {
				want, err := Append(nil, p, v)
				if err != nil {
					continue // this packet does not have this Reason Code
				}
				ackCode := code
				if p.Type() == PINGRESP {
					ackCode = colibri.Success
				}
				if got := AppendAck(nil, p.Type(), 513, ackCode, v); !bytes.Equal(got, want) {
					t.Errorf("AppendAck of %v, %v in %v: got % x, want % x", p.Type(), code, v, got, want)
				}
			}
		}
	}
}
