package auth

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/passwd"
)

// TestMemoryBound shows that logins at once take the memory of those inside the gate, and
// not of all: 46 MiB each for the hashes of Mosquitto 2.1, and about twice as much again that
// the collector has not taken back yet.
func TestMemoryBound(t *testing.T) {
	const logins, each = 24, 46 << 20
	p := newPasswords(t, passwordFile(t, passwd.Argon2id, "ann:one"), NewGate(1, logins), 0)
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() uint64 { metrics.Read(sample); return sample[0].Value.Uint64() }
	before, peak := heap(), uint64(0)
	var all sync.WaitGroup
	for range logins {
		all.Go(func() {
			if v, err := p.Check(t.Context(), login("ann", "one")); v != Allow {
				t.Errorf("got %v, %v, want Allow", v, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); all.Wait() }()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		peak = max(peak, heap())
		select {
		case <-done:
			tick.Stop()
			if peak > before+4*each {
				t.Errorf("the heap grew by %d MiB, want at most 4 times 46 MiB for %d logins", (peak-before)>>20, logins)
			}
			return
		default:
		}
	}
}

// TestMillionWrongPasswords shows what guessing at full speed gets to compare: a handful.
func TestMillionWrongPasswords(t *testing.T) {
	guarding(t, five, func(d *door) {
		for range 1_000_000 {
			d.try(here, "ann", "no")
		}
		if d.asked > 6 || len(d.entries) > 3 {
			d.Errorf("got %d compared and %d entries, want 6 and 3", d.asked, len(d.entries))
		}
	})
}
