package main

import "testing"

func TestWithSection(t *testing.T) {
	const live, durable = "<!-- live: made by make bench -->\n1\n<!-- end of live -->\n", "<!-- durable: made by make bench -->\n2\n<!-- end of durable -->\n"
	for _, test := range []struct {
		name, page, want string
	}{
		{"the others stay", "a\n" + live + "b\n<!-- durable: made by make bench -->\nold\n<!-- end of durable -->\nc\n", "a\n" + live + "b\n" + durable + "c\n"},
		{"empty", live + "<!-- durable: made by make bench -->\n<!-- end of durable -->\n", live + durable},
		{"not there yet", live, live + "\n" + durable},
		{"not closed", "<!-- durable: made by make bench -->\nold\n", "<!-- durable: made by make bench -->\nold\n\n" + durable},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := withSection(test.page, "durable", "2\n"); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
