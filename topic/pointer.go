package topic

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pointer returns two lines without a final newline: the text, and under the offending
// character a "^" with the reason.
//
//	maison/#/temperature
//	       ^ must be the last level
//
// The column is counted as a terminal shows it, so that accents and wide characters
// before the offence do not shift the "^". Invisible characters and ill-formed bytes are
// drawn as one visible character each. Of a long text only the part around the offending
// character is shown.
func (e *SyntaxError) Pointer() string {
	text, offset := e.excerpt()
	var line strings.Builder
	column := 0
	for i, r := range text {
		if r < 0x20 {
			r += 0x2400 // the pictures of the control characters
		} else if r == 0x7f {
			r = 0x2421
		} else if !strconv.IsPrint(r) {
			r = utf8.RuneError // among them those that reverse or hide what follows
		}
		line.WriteRune(r)
		if i < offset {
			column += columns(r)
		}
	}
	return line.String() + "\n" + strings.Repeat(" ", column) + "^ " + e.Reason
}

// columns returns how many columns of a terminal r takes.
func columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	if unicode.Is(wide, r) {
		return 2
	}
	return 1
}

// wide holds the characters that take two columns: Hangul, Kana, ideographs, their
// full-width punctuation, and emoji.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1},
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1},
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}
