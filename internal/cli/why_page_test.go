package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/broker"
)

// TestWhyPage: the page about why has each verdict in its order, and those that end with exit
// code 0 first.
func TestWhyPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/why.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	_, table, _ := strings.Cut(string(page), "| verdict |")
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.Lines(table) {
		if name, ok := strings.CutPrefix(line, "| "); ok {
			name, _, _ = strings.Cut(name, " |")
			rows = append(rows, name)
		}
	}
	if len(rows) != broker.Verdicts {
		t.Errorf("got %d verdicts, want %d: %q", len(rows), broker.Verdicts, rows)
	}
	for i, name := range rows {
		if v := broker.Verdict(i); v.String() != name || v.Delivered() != (i < 5) {
			t.Errorf("row %d: got %q, want %q", i+1, name, v)
		}
	}
}
