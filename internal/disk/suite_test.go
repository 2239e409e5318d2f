package disk

import (
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/logtest"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// TestLog runs the suite of every broker.Log.
func TestLog(t *testing.T) {
	for name, o := range map[string]wal.Options{
		"synced always":    {SegmentBytes: 16 << 10},
		"synced each hour": {SegmentBytes: 16 << 10, SyncInterval: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T) (broker.Log, func() broker.Log) {
				dir := t.TempDir()
				var last *Log
				open := func() broker.Log {
					t.Helper()
					if last != nil {
						if err := last.Close(); err != nil {
							t.Fatalf("Close: %v", err)
						}
					}
					var err error
					if last, err = Open(dir, o); err != nil {
						t.Fatal(err)
					}
					return last
				}
				return open(), open
			})
		})
	}
}
