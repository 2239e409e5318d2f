package pcap_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// FuzzReader: any bytes are read to an end without a panic, in frames that do not grow
// with what lengths promise, and what is decoded lies within its frame.
func FuzzReader(f *testing.F) {
	le := binary.LittleEndian
	f.Add(append(append(section(le), describe(le, pcap.Ethernet, 0)...), enhanced(le, 0, 5, "data of a frame")...))
	f.Add(append(words(le, 0xA1B2C3D4, 4<<16|2, 0, 0, 65535, 1), append(words(le, 1, 2, 4, 4), "data"...)...))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := pcap.NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		for {
			frame, err := r.Next()
			if err != nil {
				break
			}
			if len(frame.Data) > len(file) {
				t.Fatalf("a frame has %d bytes, the file %d", len(frame.Data), len(file))
			}
			var s pcap.Segment
			for _, link := range []pcap.LinkType{frame.Link, pcap.Ethernet, pcap.Raw, pcap.LinuxSLL2} {
				if pcap.Decode(link, frame.Data, &s) == pcap.IsTCP {
					s.Layers(frame.Data)
					if s.PayloadAt+len(s.Payload) > len(frame.Data) || s.Cut < 0 {
						t.Fatalf("payload of %d bytes at %d, cut %d, in a frame of %d", len(s.Payload), s.PayloadAt, s.Cut, len(frame.Data))
					}
				}
			}
		}
		if r.Offset() > int64(len(file)) {
			t.Fatalf("read %d bytes of %d", r.Offset(), len(file))
		}
	})
}
