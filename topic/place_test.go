package topic

import (
	"errors"
	"testing"
)

func TestSyntaxErrorPlace(t *testing.T) {
	for _, test := range []struct {
		filter           string
		level, character int
		offender         string
	}{
		{"maison/#/temperature", 2, 8, `"#"`},
		{"étage/été+", 2, 10, `"+"`},
		{"a//b\x00", 3, 5, "U+0000"},
		{"a/\xc3(", 2, 3, "byte 0xC3"},
		{"$share/g/#/a", 3, 10, `"#"`},
		{"$share/g", 2, 9, ""},
		{"", 1, 1, ""},
	} {
		var fault *SyntaxError
		if !errors.As(CheckFilter(test.filter), &fault) {
			t.Fatalf("CheckFilter(%q): got no fault", test.filter)
		}
		if fault.Level() != test.level || fault.Character() != test.character || fault.Offender() != test.offender {
			t.Errorf("%q: got level %d, character %d, %s, want %d, %d, %s", test.filter,
				fault.Level(), fault.Character(), fault.Offender(), test.level, test.character, test.offender)
		}
	}
}
