package flow

import (
	"testing"

	"github.com/colibri-mqtt/colibri"
)

// FuzzReceiver compares a Receiver with two plain sets: what is held, and what
// counts against the Receive Maximum.
func FuzzReceiver(f *testing.F) {
	f.Add(2, []byte{0, 1, 2, 3, 4, 5, 40, 41, 42})
	f.Fuzz(func(t *testing.T, grant int, calls []byte) {
		var r Receiver
		r.SetWindow(grant)
		grant = min(max(grant, 1), 65_535)
		held, open, qos1 := map[uint16]bool{}, map[uint16]bool{}, 0
		for i, call := range calls {
			id := uint16(call/6) + 1
			switch call % 6 {
			case 0, 1, 2:
				isNew, err := r.Publish(id, colibri.ExactlyOnce)
				wantErr := error(nil)
				if !open[id] && len(open)+qos1 >= grant {
					wantErr = colibri.ReceiveMaximumExceeded
				}
				if err != wantErr || err == nil && isNew == held[id] {
					t.Fatalf("call %d: Publish(%d, 2) with held %v: got %v, %v, want %v", i, id, held[id], isNew, err, wantErr)
				}
				if err == nil {
					held[id], open[id] = true, true
				}
			case 3:
				if known := r.Pubrel(id); known != held[id] {
					t.Fatalf("call %d: Pubrel(%d): got %v, want %v", i, id, known, held[id])
				}
				delete(held, id)
				delete(open, id)
			case 4:
				if _, err := r.Publish(id, colibri.AtLeastOnce); err == nil {
					qos1++
				} else if !held[id] && len(open)+qos1 < grant {
					t.Fatalf("call %d: Publish(%d, 1): got %v", i, id, err)
				}
			case 5:
				if qos1 > 0 {
					r.Puback()
					qos1--
				} else if id == 1 {
					r.Resume()
					clear(open)
				}
			}
			if r.Len() != len(held) || r.Open() != len(open)+qos1 {
				t.Fatalf("call %d: got %d held, %d open, want %d, %d", i, r.Len(), r.Open(), len(held), len(open)+qos1)
			}
			if r.Open() > grant {
				t.Fatalf("call %d: %d open, %d granted", i, r.Open(), grant)
			}
		}
		for id := range r.All() {
			if !held[id] || !r.Has(id) {
				t.Fatalf("All: got %d, which is not held", id)
			}
		}
	})
}

// TestReceiverShrinks shows that a large set is given back once it is empty.
func TestReceiverShrinks(t *testing.T) {
	var r Receiver
	for id := uint16(1); id <= 1000; id++ {
		if _, err := r.Publish(id, colibri.ExactlyOnce); err != nil {
			t.Fatal(err)
		}
	}
	for id := uint16(1); id <= 1000; id++ {
		if !r.Pubrel(id) {
			t.Fatalf("Pubrel(%d): got unknown", id)
		}
	}
	if r.ids != nil {
		t.Error("the map of 1000 identifiers is kept while none is held")
	}
}
