package topic

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckName(t *testing.T) {
	tests := []struct {
		why    string
		name   string
		offset int
		rule   string // empty: the name is legal
	}{
		{"one level", "maison", 0, ""},
		{"empty levels", "/maison//salon/", 0, ""},
		{"only a separator", "/", 0, ""},
		{"a space", "maison/salle de bain", 0, ""},
		{"a leading dollar", "$SYS/broker", 0, ""},
		{"several bytes per character", "maison/étage/温度", 0, ""},
		{"U+FEFF is a character like others [MQTT-1.5.4-3]", "\ufeffmaison", 0, ""},
		{"the replacement character itself", "maison/\ufffd", 0, ""},
		{"exactly 65,535 bytes", strings.Repeat("a", 65535), 0, ""},
		{"empty [MQTT-4.7.3-1]", "", 0, "MQTT-4.7.3-1"},
		{"65,536 bytes [MQTT-4.7.3-3]", strings.Repeat("a", 65536), 65535, "MQTT-4.7.3-3"},
		{"the limit inside a character [MQTT-4.7.3-3]", strings.Repeat("a", 65534) + "é", 65534, "MQTT-4.7.3-3"},
		{"U+0000 [MQTT-4.7.3-2]", "maison\x00", 6, "MQTT-4.7.3-2"},
		{"a stray byte [MQTT-1.5.4-1]", "a/\xc3/b", 2, "MQTT-1.5.4-1"},
		{"a surrogate [MQTT-1.5.4-1]", "a/\xed\xa0\x80", 2, "MQTT-1.5.4-1"},
		{"an overlong form [MQTT-1.5.4-1]", "a/\xc0\xaf", 2, "MQTT-1.5.4-1"},
		{"multi-level wildcard [MQTT-4.7.0-1] [MQTT311-4.7.1-1]", "maison/#", 7, "MQTT-4.7.0-1"},
		{"single-level wildcard [MQTT-4.7.0-1]", "maison/+/temperature", 7, "MQTT-4.7.0-1"},
		{"a wildcard inside a level [MQTT-4.7.0-1]", "c++", 1, "MQTT-4.7.0-1"},
		{"the first offence counts", "a+\x00", 1, "MQTT-4.7.0-1"},
		{"the first offence counts, other order", "a\x00+", 1, "MQTT-4.7.3-2"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			wantFault(t, CheckName(test.name), "Topic Name", test.name, test.offset, test.rule)
		})
	}
}

func TestCheckFilter(t *testing.T) {
	tests := []struct {
		why    string
		filter string
		offset int
		rule   string
	}{
		{"B1", "maison/+/temperature", 0, ""},
		{"B2", "maison/salon/#", 0, ""},
		{"B4", "#", 0, ""},
		{"all wildcards", "+/+/#", 0, ""},
		{"empty levels", "//+//", 0, ""},
		{"a level that looks shared", "$shared/a", 0, ""},
		{"$share alone is a level", "$share", 0, ""},
		{"shared", "$share/salon/maison/#", 0, ""},
		{"shared, empty first level", "$share/salon//maison", 0, ""},
		{"shared, only #", "$share/salon/#", 0, ""},
		{"B3: # before the end [MQTT-4.7.1-1] [MQTT311-4.7.1-2]", "maison/#/temperature", 7, "MQTT-4.7.1-1"},
		{"# before an empty level [MQTT-4.7.1-1]", "maison/#/", 7, "MQTT-4.7.1-1"},
		{"# after text [MQTT-4.7.1-1]", "maison/salon#", 12, "MQTT-4.7.1-1"},
		{"# before text [MQTT-4.7.1-1]", "#maison", 0, "MQTT-4.7.1-1"},
		{"+ after text [MQTT-4.7.1-2] [MQTT311-4.7.1-3]", "maison+", 6, "MQTT-4.7.1-2"},
		{"++ [MQTT-4.7.1-2]", "a/++/b", 2, "MQTT-4.7.1-2"},
		{"+# [MQTT-4.7.1-2]", "a/+#", 2, "MQTT-4.7.1-2"},
		{"empty [MQTT-4.7.3-1]", "", 0, "MQTT-4.7.3-1"},
		{"++ just before the limit [MQTT-4.7.1-2]", strings.Repeat("+/", 32767) + "++", 65534, "MQTT-4.7.1-2"},
		{"too long [MQTT-4.7.3-3]", strings.Repeat("+/", 32768) + "+", 65535, "MQTT-4.7.3-3"},
		{"U+0000 [MQTT-4.7.3-2]", "+/\x00", 2, "MQTT-4.7.3-2"},
		{"ill-formed [MQTT-3.8.3-1] [MQTT-1.5.4-1]", "+/\xff", 2, "MQTT-1.5.4-1"},
		{"the first offence counts", "a#/\x00", 1, "MQTT-4.7.1-1"},
		{"the first offence counts, other order", "\x00/a#", 0, "MQTT-4.7.3-2"},
		{"nothing after $share/ [MQTT-4.8.2-1]", "$share/", 7, "MQTT-4.8.2-1"},
		{"empty Share Name [MQTT-4.8.2-1]", "$share//maison", 7, "MQTT-4.8.2-1"},
		{"wildcard in the Share Name [MQTT-4.8.2-2]", "$share/sa+lon/maison", 9, "MQTT-4.8.2-2"},
		{"wildcard as the Share Name [MQTT-4.8.2-2]", "$share/#", 7, "MQTT-4.8.2-2"},
		{"no separator after the Share Name [MQTT-4.8.2-2]", "$share/salon", 12, "MQTT-4.8.2-2"},
		{"no filter after the Share Name [MQTT-4.8.2-2]", "$share/salon/", 13, "MQTT-4.8.2-2"},
		{"the inner filter is checked [MQTT-4.7.1-1]", "$share/salon/#/a", 13, "MQTT-4.7.1-1"},
		{"a bad byte in the Share Name [MQTT-1.5.4-1]", "$share/\xff", 7, "MQTT-1.5.4-1"},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			wantFault(t, CheckFilter(test.filter), "Topic Filter", test.filter, test.offset, test.rule)
		})
	}
}

func wantFault(t *testing.T, err error, what, text string, offset int, rule string) {
	t.Helper()
	if rule == "" {
		if err != nil {
			t.Errorf("got %v, want no error", err)
		}
		return
	}
	var got *SyntaxError
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want a *SyntaxError of %s", err, rule)
	}
	if got.What != what || got.Text != text || got.Offset != offset || got.Rule != rule {
		t.Errorf("got %s at %d by %s, want %s at %d by %s", got.What, got.Offset, got.Rule, what, offset, rule)
	}
}

func TestSplitShared(t *testing.T) {
	tests := []struct {
		filter, share, inner string
		ok                   bool
	}{
		{"$share/salon/maison/#", "salon", "maison/#", true},
		{"$share/salon//", "salon", "/", true},
		{"$share/a/$share/b/c", "a", "$share/b/c", true},
		{"maison/#", "", "", false},
		{"$share", "", "", false},
		{"$share/", "", "", false},
		{"$share//a", "", "", false},
		{"$share/a", "", "", false},
		{"$share/a/", "", "", false},
		{"$share/+/a", "", "", false},
		{"/$share/a/b", "", "", false},
	}
	for _, test := range tests {
		share, inner, ok := SplitShared(test.filter)
		if share != test.share || inner != test.inner || ok != test.ok {
			t.Errorf("SplitShared(%q): got %q, %q, %t, want %q, %q, %t", test.filter, share, inner, ok, test.share, test.inner, test.ok)
		}
	}
}

func TestSyntaxErrorTexts(t *testing.T) {
	long := strings.Repeat("é/", 100)
	tests := []struct {
		filter, line, pointer string
	}{
		{
			"maison/#/temperature",
			`Topic Filter "maison/#/temperature": "#" must be the last level [MQTT-4.7.1-1]`,
			"maison/#/temperature\n       ^ must be the last level",
		},
		{
			"étage/salon+",
			`Topic Filter "étage/salon+": "+" must stand alone in its level [MQTT-4.7.1-2]`,
			"étage/salon+\n           ^ must stand alone in its level",
		},
		{
			"温度/e\u0301/#a", // two columns each, then one for e and its accent together
			"Topic Filter \"温度/e\u0301/#a\": \"#\" must stand alone in its level [MQTT-4.7.1-1]",
			"温度/e\u0301/#a\n       ^ must stand alone in its level",
		},
		{
			"a\tb\u202e\x00",
			`Topic Filter "a\tb\u202e\x00": U+0000 is not allowed [MQTT-4.7.3-2]`,
			"a␉b\ufffd␀\n    ^ is not allowed",
		},
		{
			"a/\xc3(",
			`Topic Filter "a/\xc3(": byte 0xC3 is not well-formed UTF-8 [MQTT-1.5.4-1]`,
			"a/\ufffd(\n  ^ is not well-formed UTF-8",
		},
		{
			"",
			`Topic Filter "": must be at least one character long [MQTT-4.7.3-1]`,
			"\n^ must be at least one character long",
		},
		{
			"$share/salon",
			`Topic Filter "$share/salon": must go on with "/" and a Topic Filter [MQTT-4.8.2-2]`,
			"$share/salon\n            ^ must go on with \"/\" and a Topic Filter",
		},
		{
			long + "#/" + long,
			`Topic Filter "…` + long[:60] + "#/" + long[:57] + `…": "#" must be the last level [MQTT-4.7.1-1]`,
			"…" + long[:60] + "#/" + long[:57] + "…\n" + strings.Repeat(" ", 41) + "^ must be the last level",
		},
	}
	for _, test := range tests {
		var got *SyntaxError
		if !errors.As(CheckFilter(test.filter), &got) {
			t.Errorf("CheckFilter(%q): got no error", test.filter)
			continue
		}
		if got.Error() != test.line {
			t.Errorf("Error:\ngot  %s\nwant %s", got.Error(), test.line)
		}
		if got.Pointer() != test.pointer {
			t.Errorf("Pointer:\ngot\n%s\nwant\n%s", got.Pointer(), test.pointer)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	got := testing.AllocsPerRun(100, func() {
		if CheckName("maison/étage/temperature") != nil || CheckFilter("$share/salon/maison/+/#") != nil {
			t.Error("got an error, want none")
		}
	})
	if got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

// FuzzCheck holds the checks against the rules said plainly, and looks that what they
// report can be shown.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{"", "a/b", "a/#", "#/a", "a+", "$share/g/a", "$share//a", "\x00", "\xff", "é/#b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		legal := text != "" && len(text) <= 65535 && utf8.ValidString(text) && !strings.Contains(text, "\x00")
		legalName := legal && !strings.ContainsAny(text, "+#")
		legalFilter := legal
		levels := strings.Split(text, "/")
		if levels[0] == "$share" && len(levels) > 1 {
			_, inner, shared := SplitShared(text)
			if legalFilter = legalFilter && shared; shared {
				levels = strings.Split(inner, "/")
			}
		}
		for i, level := range levels {
			if strings.ContainsAny(level, "+#") && len(level) > 1 || level == "#" && i < len(levels)-1 {
				legalFilter = false
			}
		}
		checkVerdict(t, "CheckName", text, CheckName(text), legalName)
		checkVerdict(t, "CheckFilter", text, CheckFilter(text), legalFilter)
	})
}

func checkVerdict(t *testing.T, function, text string, err error, legal bool) {
	t.Helper()
	if (err == nil) != legal {
		t.Fatalf("%s(%q): got %v, want legal %t", function, text, err, legal)
	}
	if err == nil {
		return
	}
	var fault *SyntaxError
	if !errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > len(text) || fault.Reason == "" || fault.Rule == "" || fault.Text != text {
		t.Fatalf("%s(%q): got %#v, want a complete *SyntaxError", function, text, err)
	}
	if line := err.Error(); strings.Contains(line, "\n") || !utf8.ValidString(line) || len(line) > 2000 {
		t.Errorf("%s(%q): got %q, want one short line", function, text, line)
	}
	if lines := strings.Split(fault.Pointer(), "\n"); len(lines) != 2 || !strings.HasSuffix(lines[1], "^ "+fault.Reason) {
		t.Errorf("%s(%q): got pointer %q, want two lines", function, text, lines)
	}
}

func BenchmarkCheckName(b *testing.B) {
	for b.Loop() {
		if err := CheckName("maison/salon/lumieres/plafond/couleur"); err != nil {
			b.Fatal(err)
		}
	}
}
