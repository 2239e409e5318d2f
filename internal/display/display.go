// Package display prepares foreign text for a terminal: nothing in it moves the cursor,
// hides or reverses what follows, and its columns are counted as a terminal counts them.
// It is pure, and all of it is safe for concurrent use.
package display

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Safe returns text with one visible character in place of each that a terminal may obey
// or not show: the pictures of the control characters, U+FFFD for other invisible
// characters and for bytes that are no UTF-8.
func Safe(text string) string {
	plain := true
	for i := 0; plain && i < len(text); i++ {
		plain = text[i] >= ' ' && text[i] < 0x7f
	}
	if plain {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		b.WriteRune(Visible(r))
	}
	return b.String()
}

// Visible returns r, or the character that Safe puts in its place.
func Visible(r rune) rune {
	switch {
	case r < 0x20:
		return r + 0x2400 // the pictures of the control characters
	case r == 0x7f:
		return 0x2421
	case !strconv.IsPrint(r):
		return utf8.RuneError // among them those that reverse or hide what follows
	}
	return r
}

// Quote returns text in quotation marks, safe, and cut to at most columns columns within
// them.
func Quote(text string, columns int) string { return `"` + Cut(Safe(text), columns) + `"` }

// Cut returns text, or its beginning and "…" in at most columns columns if it is longer.
// Text is safe already.
func Cut(text string, columns int) string {
	if len(text) <= columns {
		return text
	}
	used, end := 0, 0 // end is where the last character ends that has the "…" behind it
	for i, r := range text {
		used += Columns(r)
		if used > columns {
			return text[:end] + "…"
		}
		if used < columns {
			end = i + utf8.RuneLen(r)
		}
	}
	return text
}

// Pad returns text with spaces behind it, so that it takes at least columns columns.
// Text is safe already.
func Pad(text string, columns int) string {
	if missing := columns - Width(text); missing > 0 {
		return text + strings.Repeat(" ", missing)
	}
	return text
}

// Width returns how many columns text takes, which is safe already.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += Columns(r)
	}
	return n
}

// Columns returns how many columns of a terminal r takes: 0, 1 or 2.
func Columns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
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
