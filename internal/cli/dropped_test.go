package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/broker"
)

// TestDroppedPage: the page about dropped messages has each reason, and no other.
func TestDroppedPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/dropped.md")
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
	if delete(rows, "reason"); len(rows) != broker.DropReasons {
		t.Errorf("got %d reasons, want %d", len(rows), broker.DropReasons)
	}
	for reason := range broker.DropReason(broker.DropReasons) {
		if rows[reason.String()] != 1 {
			t.Errorf("%q has %d rows", reason, rows[reason.String()])
		}
	}
}
