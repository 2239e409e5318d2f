package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/broker"
)

// TestDroppedPage: the pages about dropped messages have each reason, and no other.
func TestDroppedPage(t *testing.T) {
	for _, path := range []string{"../../docs/dropped.md", "../../docs/fr/dropped.md"} {
		t.Run(path, func(t *testing.T) { testDroppedPage(t, path) })
	}
}

func testDroppedPage(t *testing.T, path string) {
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]int)
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "| "); ok {
			name, _, _ = strings.Cut(name, " |")
			rows[name]++
		}
	}
	delete(rows, "reason")
	delete(rows, "raison")
	if len(rows) != broker.DropReasons {
		t.Errorf("got %d reasons, want %d", len(rows), broker.DropReasons)
	}
	for reason := range broker.DropReason(broker.DropReasons) {
		if rows[reason.String()] != 1 {
			t.Errorf("%q has %d rows", reason, rows[reason.String()])
		}
	}
}
