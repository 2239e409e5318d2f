package transcript

import (
	"strings"
	"testing"
)

func TestPlay(t *testing.T) {
	text := "# a comment\n\nadd 1\n    old\nadd 2\nsilent\n    old\n"
	got := play(text, func(words []string) string {
		if words[0] == "silent" {
			return ""
		}
		return "added " + strings.Join(words[1:], " ") + "\nand a second line\n"
	})
	want := "# a comment\n\nadd 1\n    added 1\n    and a second line\nadd 2\n    added 2\n    and a second line\nsilent\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
