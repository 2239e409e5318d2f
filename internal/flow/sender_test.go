package flow

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/colibri-mqtt/colibri"
)

// model is the plain way to do what Sender does: a list of entries in order.
type model struct {
	window   int
	entries  []entry
	reserved []uint16
}

type entry struct {
	id    uint16
	state State
	v     int
	sent  bool
}

func (m *model) index(id uint16) int {
	return slices.IndexFunc(m.entries, func(e entry) bool { return e.id == id })
}

func (m *model) sent() (n int) {
	for _, e := range m.entries {
		if e.sent {
			n++
		}
	}
	return n
}

// TestSenderPlays runs long fixed plays against the model, among them peers that
// acknowledge everything but a few, and the wrap of the identifiers.
func TestSenderPlays(t *testing.T) {
	for seed := range uint32(8) {
		calls := make([]byte, 60_000)
		x := seed*2_654_435_761 + 1
		for i := range calls {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			calls[i] = byte(x >> 7)
			if seed >= 4 && calls[i]%13 >= 9 {
				calls[i] = byte(seed % 2) // mostly add and acknowledge
			}
		}
		playSender(t, int(seed)*40+1, calls)
	}
}

func FuzzSender(f *testing.F) {
	f.Add(1, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add(20, []byte{0, 0, 0, 13, 13, 13, 1, 1, 8, 9, 9, 9, 2})
	f.Fuzz(func(t *testing.T, window int, calls []byte) {
		playSender(t, window, calls[:min(len(calls), 4096)])
	})
}

// playSender makes the calls that the bytes name, on a Sender and on a model, and
// compares: the window is never exceeded [MQTT-4.9.0-2], identifiers are unused and
// not zero [MQTT-2.2.1-3], the order is that of sending [MQTT-4.6.0-1].
func playSender(t *testing.T, window int, calls []byte) {
	t.Helper()
	var s Sender[int]
	s.SetWindow(window)
	m := model{window: min(max(window, 1), 65_535)}
	for i, call := range calls {
		pick := int(call) / 13
		var e *entry
		if len(m.entries) > 0 {
			e = &m.entries[pick*len(m.entries)/20]
		}
		switch call % 13 {
		case 0, 12:
			qos := colibri.QoS(1 + pick%2)
			id, ok := s.Add(qos, i)
			want := len(m.entries) < m.window && m.sent() == len(m.entries)
			if ok != want {
				t.Fatalf("call %d: Add with %d of %d in flight: got %v, want %v", i, len(m.entries), m.window, ok, want)
			}
			if !ok {
				continue
			}
			if id == 0 || m.index(id) >= 0 || slices.Contains(m.reserved, id) {
				t.Fatalf("call %d: Add: got identifier %d, which is not free", i, id)
			}
			m.entries = append(m.entries, entry{id, AwaitPuback + State(qos-1), i, true})
		case 1, 2, 3, 4: // the answer that is due; 3 and 4 are those of an unfriendly peer
			if e == nil {
				continue
			}
			id, v, state := e.id, e.v, e.state
			if call%13 == 3 {
				state = AwaitPuback + State(pick%3)
			}
			got, err := 0, error(nil)
			gone := true
			wantErr := error(nil)
			switch state {
			case AwaitPuback:
				got, err = s.Puback(id)
			case AwaitPubrec:
				var release bool
				got, release, err = s.Pubrec(id, call%13 == 4)
				gone = call%13 == 4
				if err == nil && release == gone {
					t.Fatalf("call %d: Pubrec(%d): got release %v, want %v", i, id, release, !gone)
				}
			case AwaitPubcomp:
				got, err = s.Pubcomp(id)
			}
			if state != e.state && !(state == AwaitPubrec && e.state == AwaitPubcomp) {
				wantErr, v, gone = colibri.ProtocolError, 0, false
			} else if !gone {
				e.state, e.sent = AwaitPubcomp, true
			}
			if err != wantErr || got != v {
				t.Fatalf("call %d: %v of %d: got %d, %v, want %d, %v", i, state, id, got, err, v, wantErr)
			}
			if gone {
				at := m.index(id)
				m.entries = slices.Delete(m.entries, at, at+1)
			}
		case 5:
			id := uint16(i)
			if m.index(id) >= 0 || slices.Contains(m.reserved, id) {
				continue
			}
			if _, err := s.Puback(id); err != colibri.PacketIdentifierNotFound {
				t.Fatalf("call %d: Puback of the unused %d: got %v", i, id, err)
			}
			if s.Unreserve(id) || s.Value(id) != nil {
				t.Fatalf("call %d: the unused %d has something", i, id)
			}
		case 6:
			id, ok := s.Reserve()
			if !ok || id == 0 || m.index(id) >= 0 || slices.Contains(m.reserved, id) {
				t.Fatalf("call %d: Reserve: got %d, %v", i, id, ok)
			}
			m.reserved = append(m.reserved, id)
		case 7:
			if len(m.reserved) > 0 {
				if !s.Unreserve(m.reserved[0]) {
					t.Fatalf("call %d: Unreserve(%d): got false", i, m.reserved[0])
				}
				m.reserved = m.reserved[1:]
			}
		case 8:
			if pick > 3 {
				continue
			}
			s.Resume()
			for i := range m.entries {
				m.entries[i].sent = false
			}
		case 9, 10:
			id, state, v, ok := s.Resend()
			next := slices.IndexFunc(m.entries, func(e entry) bool { return !e.sent })
			want := next >= 0 && (m.entries[next].state == AwaitPubcomp || m.sent() < m.window)
			if ok != want {
				t.Fatalf("call %d: Resend: got %v, want %v", i, ok, want)
			}
			if ok {
				e := &m.entries[next]
				if id != e.id || state != e.state || *v != e.v {
					t.Fatalf("call %d: Resend: got %d %v %d, want %+v", i, id, state, *v, *e)
				}
				e.sent = true
			}
		case 11:
			if pick != 0 {
				continue
			}
			// Rebuild from what Pending says.
			var r Sender[int]
			r.SetWindow(window)
			s.Pending(func(id uint16, state State, v *int) bool {
				if !r.Restore(id, state, *v) {
					t.Fatalf("call %d: Restore(%d): got false", i, id)
				}
				return true
			})
			r.Resume()
			s = r
			m.reserved = nil
			for i := range m.entries {
				m.entries[i].sent = false
			}
		}
		if i%64 == 0 || len(calls) < 4096 {
			compare(t, i, &s, &m)
		}
	}
	compare(t, len(calls), &s, &m)
}

func compare(t *testing.T, call int, s *Sender[int], m *model) {
	t.Helper()
	var got []entry
	s.Pending(func(id uint16, state State, v *int) bool {
		got = append(got, entry{id, state, *v, s.slot(id).sent})
		return true
	})
	if !slices.Equal(got, m.entries) {
		t.Fatalf("call %d: Pending: got %v, want %v", call, got, m.entries)
	}
	if s.Len() != len(m.entries) {
		t.Fatalf("call %d: Len: got %d, want %d", call, s.Len(), len(m.entries))
	}
}

// TestSenderAllIdentifiers fills the whole space of 65,535 identifiers.
func TestSenderAllIdentifiers(t *testing.T) {
	var s Sender[int]
	seen := make([]bool, 65_536)
	for i := range 65_535 {
		id, ok := s.Add(colibri.AtLeastOnce, i)
		if !ok || id == 0 || seen[id] {
			t.Fatalf("Add number %d: got %d, %v", i, id, ok)
		}
		seen[id] = true
	}
	if id, ok := s.Add(colibri.AtLeastOnce, 0); ok {
		t.Errorf("Add with all identifiers in use: got %d", id)
	}
	if id, ok := s.Reserve(); ok {
		t.Errorf("Reserve with all identifiers in use: got %d", id)
	}
	// A peer that acknowledges one and keeps the rest costs no search.
	for range 200_000 {
		if _, err := s.Puback(40_000); err != nil {
			t.Fatal(err)
		}
		if id, ok := s.Add(colibri.AtLeastOnce, 0); !ok || id != 40_000 {
			t.Fatalf("Add with one identifier left: got %d, %v, want 40000", id, ok)
		}
	}
	for id := 65_535; id > 0; id-- {
		if _, err := s.Puback(uint16(id)); err != nil {
			t.Fatal(err)
		}
	}
	if s.slots != nil {
		t.Errorf("a table of %d slots is kept while nothing is pending", len(s.slots))
	}
	if id, _ := s.Add(colibri.AtLeastOnce, 0); id != 40_001 {
		t.Errorf("Add after all were acknowledged: got %d, want 40001, the one after the last", id)
	}
}

// TestSenderIdentifiersAdvance shows that identifiers are taken in order, and used
// again only after nearly all others.
func TestSenderIdentifiersAdvance(t *testing.T) {
	var s Sender[int]
	taken := map[uint16]int{}
	for i := range 200_000 {
		id, _ := s.Add(colibri.AtLeastOnce, 0)
		if i < 65_535 && id != uint16(i+1) {
			t.Fatalf("Add number %d: got %d, want %d", i, id, i+1)
		}
		if before, ok := taken[id]; ok && i-before < 65_000 {
			t.Fatalf("Add number %d: %d again after %d others", i, id, i-before)
		}
		taken[id] = i
		if _, err := s.Puback(id); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSenderMemory holds the price of an idle Session, and of a message in flight.
func TestSenderMemory(t *testing.T) {
	var s Sender[*int]
	if got := unsafe.Sizeof(s); got > 56 {
		t.Errorf("an idle Sender takes %d bytes, want 56 at most", got)
	}
	if got := unsafe.Sizeof(slot[*int]{}); got != 16 {
		t.Errorf("a slot takes %d bytes, want 16", got)
	}
	id, _ := s.Add(colibri.ExactlyOnce, nil)
	allocs := testing.AllocsPerRun(1000, func() {
		s.Pubrec(id, false)
		s.Pubcomp(id)
		id, _ = s.Add(colibri.ExactlyOnce, nil)
	})
	if allocs != 0 {
		t.Errorf("a QoS 2 handshake allocates %v times, want 0", allocs)
	}
}

func BenchmarkSender(b *testing.B) {
	var s Sender[*int]
	s.SetWindow(100)
	ids := make([]uint16, 0, 100)
	for b.Loop() {
		for s.Free() > 0 {
			id, _ := s.Add(colibri.AtLeastOnce, nil)
			ids = append(ids, id)
		}
		for _, id := range ids {
			s.Puback(id)
		}
		ids = ids[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/message")
}
