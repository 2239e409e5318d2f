package packet_test

import (
	"encoding/hex"
	"strings"
	"testing"
)

// wire turns the notation of the tables into bytes:
//
//	3A     a byte in hex
//	#      the Remaining Length: the number of bytes from here to the end
//	{ }    the bytes between the braces, with their number before them
//	"abc"  a UTF-8 Encoded String or Binary Data, with its length of two bytes
//	'abc'  the bytes of abc
func wire(t testing.TB, text string) []byte {
	t.Helper()
	b, rest := parseWire(t, text)
	if rest != "" {
		t.Fatalf("wire %q: %q is left", text, rest)
	}
	return b
}

// parseWire parses text up to its end or to a closing brace.
func parseWire(t testing.TB, text string) (b []byte, rest string) {
	t.Helper()
	for {
		text = strings.TrimLeft(text, " \n\t")
		if text == "" {
			return b, ""
		}
		switch text[0] {
		case '}':
			return b, text[1:]
		case '{':
			inner, after := parseWire(t, text[1:])
			b = append(append(b, shortest(len(inner))...), inner...)
			text = after
		case '#':
			inner, after := parseWire(t, text[1:])
			return append(append(b, shortest(len(inner))...), inner...), after
		case '\'', '"':
			s, after, ok := strings.Cut(text[1:], text[:1])
			if !ok {
				t.Fatalf("wire: no end of %s", text)
			}
			if text[0] == '"' {
				b = append(b, byte(len(s)>>8), byte(len(s)))
			}
			b = append(b, s...)
			text = after
		default:
			c, err := hex.DecodeString(text[:min(2, len(text))])
			if err != nil {
				t.Fatalf("wire: %v in %q", err, text)
			}
			b = append(b, c...)
			text = text[2:]
		}
	}
}

// shortest is the Variable Byte Integer n, written down a second time on purpose.
func shortest(n int) (b []byte) {
	for {
		digit := byte(n % 128)
		n /= 128
		if n == 0 {
			return append(b, digit)
		}
		b = append(b, digit+128)
	}
}
