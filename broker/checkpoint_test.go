package broker

import (
	"testing"
	"time"
)

// TestCheckpointDue shows when a Log is shortened.
func TestCheckpointDue(t *testing.T) {
	future := time.Now().Add(time.Hour).UnixNano()
	for _, test := range []struct {
		name               string
		at, resting, after int64
		size               int64
		full, want         bool
	}{
		{name: "small", size: 99},
		{name: "small and full", size: 99, full: true},
		{name: "for the first time", size: 100, want: true},
		{name: "not grown enough", at: 600, after: 200, size: 599},
		{name: "grown enough", at: 600, after: 200, size: 600, want: true},
		{name: "full", at: 600, after: 300, size: 400, full: true, want: true},
		{name: "full, and the last has not helped", at: 600, after: 300, resting: future, size: 400, full: true},
		{name: "full, and twice as large", at: 900, after: 300, resting: future, size: 600, full: true, want: true},
		{name: "grown, and the last has failed", at: 600, after: 600, resting: future, size: 700},
	} {
		var c checkpoints
		c.least = 100
		c.at.Store(test.at)
		c.resting.Store(test.resting)
		c.after.Store(test.after)
		if got := c.due(test.size, test.full); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
