package journal

import (
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// hotEntries are those of each QoS 1 and 2 message.
var hotEntries = []struct {
	name   string
	append func(b []byte, n uint64) []byte
}{
	{"MessageStored256", func(b []byte, n uint64) []byte { return Append(b, MessageStored{n, benchMessage}) }},
	{"DeliveryQueued", func(b []byte, n uint64) []byte {
		return Append(b, DeliveryQueued{n & 0xFFFF, n, n, colibri.AtLeastOnce, false, nil, ""})
	}},
	{"DeliverySent", func(b []byte, n uint64) []byte { return Append(b, DeliverySent{n & 0xFFFF, n, uint16(n)}) }},
	{"PubrecReceived", func(b []byte, n uint64) []byte { return Append(b, PubrecReceived{n & 0xFFFF, n, uint16(n)}) }},
	{"DeliveryEnded", func(b []byte, n uint64) []byte { return Append(b, DeliveryEnded{n & 0xFFFF, n}) }},
	{"PublishReceived", func(b []byte, n uint64) []byte { return Append(b, PublishReceived{n & 0xFFFF, uint16(n)}) }},
	{"PubrelReceived", func(b []byte, n uint64) []byte { return Append(b, PubrelReceived{n & 0xFFFF, uint16(n)}) }},
}

var benchMessage = &colibri.Message{Topic: "house/kitchen/temperature", Payload: make([]byte, 256), QoS: colibri.AtLeastOnce}

func TestAppendMakesNoGarbage(t *testing.T) {
	b := make([]byte, 0, 1024)
	for _, hot := range hotEntries {
		n := uint64(1_000_000)
		got := testing.AllocsPerRun(100, func() {
			n++
			b = hot.append(b[:0], n)
		})
		if got != 0 {
			t.Errorf("%s: got %v allocations, want 0", hot.name, got)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, hot := range hotEntries {
		b.Run(hot.name, func(b *testing.B) {
			b.ReportAllocs()
			buffer := make([]byte, 0, 1024)
			n := uint64(1_000_000)
			for b.Loop() {
				n++
				buffer = hot.append(buffer[:0], n)
			}
			b.SetBytes(int64(len(buffer)))
		})
	}
}

// BenchmarkFold is the recovery of a QoS 1 message: stored, queued, sent, ended.
func BenchmarkFold(b *testing.B) {
	s := NewState()
	record := Append(nil, SessionOpened{1, "a", colibri.V5, 3600})
	if err := s.Fold(record); err != nil {
		b.Fatal(err)
	}
	n := uint64(1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		n++
		record = Append(record[:0], MessageStored{n, benchMessage})
		record = Append(record, DeliveryQueued{1, n, n, colibri.AtLeastOnce, false, nil, ""})
		record = Append(record, DeliverySent{1, n, 1})
		record = Append(record, DeliveryEnded{1, n})
		if err := s.Fold(record); err != nil {
			b.Fatal(err)
		}
	}
}
