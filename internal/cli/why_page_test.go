package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/broker"
)

// TestWhyPage: the pages about why have each verdict in its order, and those that end with exit
// code 0 first.
func TestWhyPage(t *testing.T) {
	t.Run("English", func(t *testing.T) { testWhyPage(t, "../../docs/why.md", "| verdict |") })
	t.Run("French", func(t *testing.T) { testWhyPage(t, "../../docs/fr/why.md", "| réponse |") })
}

func testWhyPage(t *testing.T, path, head string) {
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	_, table, _ := strings.Cut(string(page), head)
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
