package display

import (
	"strings"
	"testing"
	"unicode"
)

func TestSafe(t *testing.T) {
	for text, want := range map[string]string{
		"maison/étage/温度":      "maison/étage/温度",
		"a\x1b[2J\r\nb":        "a␛[2J␍␊b",
		"\x00\x7f\u009b31m":    "␀␡\ufffd31m",
		"a\u202eb\u200b\ufeff": "a\ufffdb\ufffd\ufffd",
		"\xc3(":                "\ufffd(",
	} {
		if got := Safe(text); got != want {
			t.Errorf("Safe(%q): got %q, want %q", text, got, want)
		}
	}
}

func TestCutAndPad(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		cut     string
		padded  string
	}{
		{"salon", 5, "salon", "salon"},
		{"salon", 6, "salon", "salon "},
		{"salon", 4, "sal…", "salon"},
		{"été", 3, "été", "été"},
		{"étés", 3, "ét…", "étés"},
		{"温度", 4, "温度", "温度"},
		{"温度", 3, "温…", "温度"},
		{"温度", 2, "…", "温度"},
		{"e\u0301e\u0301", 2, "e\u0301e\u0301", "e\u0301e\u0301"},
		{"e\u0301e\u0301", 3, "e\u0301e\u0301", "e\u0301e\u0301 "},
	} {
		if got := Cut(test.text, test.columns); got != test.cut {
			t.Errorf("Cut(%q, %d): got %q, want %q", test.text, test.columns, got, test.cut)
		}
		if got := Pad(test.text, test.columns); got != test.padded {
			t.Errorf("Pad(%q, %d): got %q, want %q", test.text, test.columns, got, test.padded)
		}
	}
	if got := Quote("a\nbcdef", 4); got != `"a␊b…"` {
		t.Errorf("Quote: got %s", got)
	}
}

// FuzzSafe holds that nothing that a terminal obeys comes through, and that what is cut
// fits.
func FuzzSafe(f *testing.F) {
	f.Add("a\x1b]0;title\a\u202e\xff温度", 3)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		safe := Safe(text)
		if at := strings.IndexFunc(safe, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) }); at >= 0 {
			t.Errorf("Safe(%q) holds %q", text, safe[at:])
		}
		if columns = columns & 0xff; columns > 0 && Width(Cut(safe, columns)) > columns {
			t.Errorf("Cut(%q, %d) takes %d columns", safe, columns, Width(Cut(safe, columns)))
		}
	})
}
