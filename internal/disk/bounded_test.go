package disk

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/mqtest"
	"github.com/colibri-mqtt/colibri/internal/wal"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestBounded shows how large the directory gets while what lives is replaced again and
// again: four times what lives, or what is asked for and what lives once; and three files.
func TestBounded(t *testing.T) {
	mqtest.Run(t, "Retained Messages", mqtest.V311, broker.Config{}, func(scene *mqtest.Scene) {
		const checkpoint, segment, payload, at, rounds = 64 << 10, 16 << 10, 1000, 40, 100
		dir := scene.TempDir()
		scene.Use(mqtest.New(scene, broker.Config{Log: mustOpen(scene, dir, wal.Options{SegmentBytes: segment, SyncInterval: time.Hour}), CheckpointBytes: checkpoint}))
		p := scene.Connect("publisher")
		message := make([]byte, payload)
		id := uint16(0)
		for _, topics := range []int{20, 400, 100} { // 20 kB, 400 kB, and what is removed does not live
			most := int64(0)
			for round := range 2 * rounds {
				for n := range at {
					id = id%65_535 + 1
					topic := strconv.Itoa((round*at + n) % topics)
					p.Write(p.Encode(&packet.Publish{Topic: topic, Payload: message, QoS: 1, PacketID: id, Retain: true}))
				}
				if got := p.Received(); len(got) != at {
					scene.Fatalf("got %d PUBACKs, want %d", len(got), at)
				}
				if round >= rounds { // what lived before has no say any more
					most = max(most, directoryBytes(scene, dir))
				}
			}
			live := int64(topics * (payload + 40))
			if limit := max(4*live, checkpoint+live) + 3*segment + at*(payload+40); most > limit {
				scene.Errorf("%d topics: got up to %d bytes, want at most %d", topics, most, limit)
			}
			for n := range topics {
				id = id%65_535 + 1
				p.Write(p.Encode(&packet.Publish{Topic: strconv.Itoa(n), QoS: 1, PacketID: id, Retain: true}))
			}
			p.Received()
		}
	})
}

// directoryBytes returns how large the files of a directory are.
func directoryBytes(t testing.TB, dir string) (sum int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil { // it may be gone meanwhile
			sum += info.Size()
		}
	}
	return sum
}
