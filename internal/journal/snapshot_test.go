package journal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// diff compares two States; what they ignored is no part of them.
func diff(want, got *State) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(State{}, Session{}, Delivery{}, stored{}, gap{}),
		cmpopts.IgnoreFields(State{}, "Ignored", "Latest"), cmpopts.EquateEmpty())
}

// snapshot returns the bytes of the entries of s.
func (s *State) snapshot() (b []byte) {
	for e := range s.Entries {
		b = Append(b, e)
	}
	return b
}

func fold(t *testing.T, b []byte) *State {
	t.Helper()
	s := NewState()
	if err := s.Fold(b); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkReferences reports Messages that are kept for more or fewer Deliveries than there are.
func checkReferences(t *testing.T, s *State) {
	t.Helper()
	references := map[uint64]int{}
	for _, session := range s.Sessions {
		for _, d := range session.Deliveries() {
			if d.Message != nil {
				references[d.MessageNumber]++
			}
		}
	}
	for number, stored := range s.messages {
		if stored.references != references[number] {
			t.Errorf("Message %d: got %d references, want %d", number, stored.references, references[number])
		}
		delete(references, number)
	}
	if len(references) > 0 {
		t.Errorf("Messages that Deliveries refer to are gone: %v", references)
	}
}

// randomEntry returns an entry that a log could hold after what made s.
func randomEntry(random *rand.Rand, s *State) Entry {
	clients := []string{"a", "b", "c"}
	session := 1 + random.Uint64N(s.LastSession+1)
	client := clients[random.IntN(len(clients))]
	if known := s.numbered[session]; known != nil {
		client = known.ClientID
	}
	topic := fmt.Sprintf("t/%d", random.IntN(4))
	m := &colibri.Message{Topic: topic, QoS: colibri.QoS(random.IntN(3)), Retain: random.IntN(2) == 0}
	if random.IntN(2) == 0 {
		m.Payload = make([]byte, random.IntN(200))
		m.Expires = random.Int64N(3)
		m.Properties = m.Properties.AppendUser("k", "v")
	}
	delivery := 1 + random.Uint64N(12)
	packetID := uint16(1 + random.IntN(5))
	retained := 1 + random.Uint64N(s.LastRetained+3)
	switch random.IntN(30) {
	case 0:
		return Recovered{1 + random.Int64N(100)}
	case 1, 2:
		return SessionOpened{session, client, colibri.V5, random.Uint32()}
	case 3:
		return SessionClosed{session, 1 + random.Int64N(100), random.Uint32()}
	case 4:
		if random.IntN(3) == 0 {
			return SessionEnded{session}
		}
		return WillRemoved{session}
	case 5:
		if random.IntN(2) == 0 {
			return WillAuthor{session, client, random.IntN(2) == 0}
		}
		return WillStored{session, random.Uint32(), m}
	case 6, 7:
		return SubscriptionGranted{session, colibri.Subscription{Filter: topic, QoS: m.QoS, NoLocal: m.Retain, Identifier: uint32(delivery)}}
	case 8:
		return SubscriptionRemoved{session, topic}
	case 9, 10:
		return RetainedSet{retained, m}
	case 11:
		return RetainedRemoved{retained, topic}
	case 12, 13, 14:
		return MessageStored{1 + random.Uint64N(s.LastMessage+2), m}
	case 15:
		return DeliveriesSettled{session, delivery, delivery + random.Uint64N(5)}
	case 16, 17:
		return DeliveryEnded{session, delivery}
	case 18, 19:
		return DeliverySent{session, delivery, packetID}
	case 20:
		return PubrecReceived{session, delivery, packetID}
	case 21:
		return PublishReceived{session, packetID}
	case 22:
		return PubrelReceived{session, packetID}
	}
	if stored := slices.Sorted(maps.Keys(s.messages)); len(stored) > 0 {
		number := stored[random.IntN(len(stored))]
		return DeliveryQueued{session, delivery, number, m.QoS, m.Retain, []uint32{uint32(delivery)}, "$share/g/a"}
	}
	return MessageStored{1, m}
}

func TestSnapshotFoldsToTheSameState(t *testing.T) {
	deliveries, ended, gapped := 0, 0, 0
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := NewState()
		for range 200 {
			if err := s.Fold(Append(nil, randomEntry(random, s))); err != nil {
				t.Fatal(err)
			}
			if random.IntN(50) != 0 {
				continue
			}
			checkReferences(t, s)
			b := s.snapshot()
			got := fold(t, b)
			if diff := diff(s, got); diff != "" {
				t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
			}
			if got.Ignored != 0 {
				t.Fatalf("seed %d: the snapshot has %d entries that change nothing", seed, got.Ignored)
			}
			if again := got.snapshot(); string(again) != string(b) {
				t.Fatalf("seed %d: snapshots of equal States differ: %x, %x", seed, b, again)
			}
			for _, session := range s.Sessions {
				deliveries += len(session.deliveries)
				ended += int(session.LastDelivery) - len(session.deliveries)
				gapped += len(session.gaps)
			}
		}
	}
	if min(deliveries, ended, gapped) < 300 {
		t.Errorf("the sequences are too poor: %d deliveries, %d ended, %d gaps", deliveries, ended, gapped)
	}
}

// TestOrderOfDeliveries plays the entries about many Deliveries in their order, and
// shuffled with some of them repeated, as batches that overtake each other may do.
func TestOrderOfDeliveries(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		begin := Append(nil, SessionOpened{1, "a", colibri.V5, 60})
		var entries []Entry
		for number := uint64(1); number <= 8; number++ {
			begin = Append(begin, MessageStored{number, &colibri.Message{Topic: "t"}})
			id := uint16(number)
			steps := []Entry{
				DeliveryQueued{1, number, number, colibri.ExactlyOnce, false, nil, ""},
				DeliverySent{1, number, id}, PubrecReceived{1, number, id}, DeliveryEnded{1, number},
			}
			entries = append(entries, steps[:1+random.IntN(4)]...)
		}
		play := func() *State {
			s := fold(t, begin)
			for _, e := range append(entries[:len(entries):len(entries)], Recovered{1}) {
				if err := s.Apply(e); err != nil {
					t.Fatal(err)
				}
			}
			return s
		}
		want := play()
		entries = append(entries, entries[:random.IntN(len(entries))]...)
		random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		got := play()
		checkReferences(t, got)
		if diff := diff(want, got); diff != "" {
			t.Fatalf("seed %d, %v (-want +got):\n%s", seed, entries, diff)
		}
	}
}

// TestSnapshotCanBeStopped ends the loop after each of its entries.
func TestSnapshotCanBeStopped(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	s := NewState()
	for range 300 {
		if err := s.Apply(randomEntry(random, s)); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for range s.Entries {
		total++
	}
	for stop := 1; stop < total; stop++ {
		n := 0
		for range s.Entries {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Fatalf("stopped after %d: got %d", stop, n)
		}
	}
}
