package cli

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
)

// received is a Message as a client received it, with what -F can print about it.
type received struct {
	*colibri.Message
	packetID uint16 // 0 with QoS 0
	at       time.Time
}

// format is a parsed -F text: a sequence of fields, printed one after the other.
type format []field

// field is one piece of a format.
type field struct {
	kind      byte   // 0 for literal text, '@' for a piece of the time, else the letter after "%"
	literal   string // kind 0
	verb      byte   // kind '@': the letter for strftime
	left      bool   // "-": pad on the right
	zero      bool   // "0": pad with zeros
	width     int    // least number of bytes
	precision int    // most characters, decimals, or bytes in a group of hex digits; -1 if not given
	separator byte   // between groups of hex digits; 0 if there is none
}

// formatCodes are the letters that may follow "%" and its modifiers.
const formatCodes = "%ACDEFIJPRSUXdfjlmpqrtx"

// hexSeparators are the characters that may stand between groups of hex digits.
const hexSeparators = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ "

// maxWidth bounds the columns of one field, so that a slip of the finger does not fill
// the memory.
const maxWidth = 65535

// parseFormat reads the text of -F. Its errors are whole sentences.
func parseFormat(text string) (format, error) {
	var fields format
	literal := func(s string) {
		if n := len(fields); n > 0 && fields[n-1].kind == 0 {
			fields[n-1].literal += s
			return
		}
		fields = append(fields, field{literal: s})
	}
	for len(text) > 0 {
		special := strings.IndexAny(text, `%@\`)
		if special != 0 {
			if special < 0 {
				special = len(text)
			}
			literal(text[:special])
			text = text[special:]
			continue
		}
		switch text[0] {
		case '%':
			f, rest, err := parseField(text[1:])
			if err != nil {
				return nil, err
			}
			if f.kind == '%' {
				literal("%")
			} else {
				fields = append(fields, f)
			}
			text = rest
		case '@':
			if len(text) == 1 {
				return nil, usagef("Incomplete format specifier.")
			}
			if text[1] == '@' {
				literal("@")
			} else {
				fields = append(fields, field{kind: '@', verb: text[1]})
			}
			text = text[2:]
		default:
			s, err := parseEscape(text[1:])
			if err != nil {
				return nil, err
			}
			literal(s)
			text = text[2:]
		}
	}
	return fields, nil
}

// parseField reads the modifiers and the letter that follow "%".
func parseField(text string) (f field, rest string, err error) {
	f.precision = -1
	if strings.HasPrefix(text, "-") {
		f.left, text = true, text[1:]
	}
	if strings.HasPrefix(text, "0") {
		f.zero, text = true, text[1:]
	}
	if f.width, text, err = parseWidth(text); err != nil {
		return f, "", err
	}
	if strings.HasPrefix(text, ".") {
		if f.precision, text, err = parseWidth(text[1:]); err != nil {
			return f, "", err
		}
	}
	if len(text) >= 2 && strings.IndexByte(hexSeparators, text[0]) >= 0 && (text[1] == 'x' || text[1] == 'X') {
		f.separator, text = text[0], text[1:]
	}
	if text == "" {
		return f, "", usagef("Incomplete format specifier.")
	}
	if strings.IndexByte(formatCodes, text[0]) < 0 {
		letter := []rune(text)[0]
		return f, "", usagef("Invalid format specifier '%c'.", letter)
	}
	f.kind = text[0]
	return f, text[1:], nil
}

func parseWidth(text string) (n int, rest string, err error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits == 0 {
		return 0, text, nil
	}
	n, err = strconv.Atoi(text[:digits])
	if err != nil || n > maxWidth {
		return 0, "", usagef("Invalid format specifier: %s is more than %d columns.", text[:digits], maxWidth)
	}
	return n, text[digits:], nil
}

// parseEscape returns what a backslash and the first character of text stand for.
func parseEscape(text string) (string, error) {
	if text == "" {
		return "", usagef("Incomplete escape specifier.")
	}
	switch text[0] {
	case '\\':
		return `\`, nil
	case '0':
		return "\x00", nil
	case 'a':
		return "\a", nil
	case 'e':
		return "\x1b", nil
	case 'n':
		return "\n", nil
	case 'r':
		return "\r", nil
	case 't':
		return "\t", nil
	case 'v':
		return "\v", nil
	}
	return "", usagef("Invalid escape specifier '%c'.", []rune(text)[0])
}

// append returns b with m printed as f says. The error is that of %J when the payload
// is not JSON; b then holds the rest of the line.
func (f format) append(b []byte, m received, pretty bool) ([]byte, error) {
	var failed error
	for i := range f {
		var err error
		if b, err = f[i].append(b, m, pretty); err != nil {
			failed = err
		}
	}
	return b, failed
}

func (f *field) append(b []byte, m received, pretty bool) ([]byte, error) {
	switch f.kind {
	case 0:
		return append(b, f.literal...), nil
	case '@':
		if f.verb == 'N' {
			return fmt.Appendf(b, "%09d", m.at.Nanosecond()), nil
		}
		return append(b, strftime(m.at, f.verb)...), nil
	case 'A':
		return f.appendNumberOf(b, m, colibri.TopicAlias), nil
	case 'C':
		return f.appendTextOf(b, m, colibri.ContentType), nil
	case 'D':
		data, _ := m.Properties.Value(colibri.CorrelationData)
		return append(b, data...), nil
	case 'E':
		return f.appendNumberOf(b, m, colibri.MessageExpiryInterval), nil
	case 'F':
		return f.appendNumberOf(b, m, colibri.PayloadFormatIndicator), nil
	case 'I':
		return f.appendText(b, m.at.Format("2006-01-02T15:04:05-0700")), nil
	case 'j', 'J':
		return appendJSON(b, m, f.kind == 'J', pretty)
	case 'l':
		return f.appendNumber(b, strconv.Itoa(len(m.Payload))), nil
	case 'm':
		return f.appendNumber(b, strconv.Itoa(int(m.packetID))), nil
	case 'P':
		first := true
		for name, value := range m.Properties.UserProperties() {
			if !first {
				b = append(b, ' ')
			}
			first = false
			b = append(append(append(b, name...), ':'), value...)
		}
		return b, nil
	case 'p':
		payload := m.Payload
		if f.width > 0 && len(payload) > f.width {
			payload = payload[:f.width]
		}
		return f.pad(b, string(payload), f.zero), nil
	case 'q':
		return strconv.AppendInt(b, int64(m.QoS), 10), nil
	case 'R':
		return f.appendTextOf(b, m, colibri.ResponseTopic), nil
	case 'r':
		if m.Retain {
			return append(b, '1'), nil
		}
		return append(b, '0'), nil
	case 'S':
		return f.appendNumberOf(b, m, colibri.SubscriptionIdentifier), nil
	case 't':
		return f.appendText(b, m.Topic), nil
	case 'U':
		return fmt.Appendf(b, "%d.%09d", m.at.Unix(), m.at.Nanosecond()), nil
	case 'x', 'X':
		return f.appendHex(b, m.Payload), nil
	case 'f', 'd':
		return f.appendFloat(b, m.Payload), nil
	}
	panic("cli: a format holds the unknown code " + string(f.kind))
}

// appendNumberOf prints an integer property, or blanks if m does not have it.
func (f *field) appendNumberOf(b []byte, m received, id colibri.PropertyID) []byte {
	value, ok := m.Properties.Number(id)
	if !ok {
		return appendFill(b, f.width, f.zero)
	}
	return f.appendNumber(b, strconv.FormatUint(uint64(value), 10))
}

// appendTextOf prints a string property, or blanks if m does not have it.
func (f *field) appendTextOf(b []byte, m received, id colibri.PropertyID) []byte {
	value, ok := m.Properties.Value(id)
	if !ok {
		return appendFill(b, f.width, false)
	}
	return f.appendText(b, value)
}

func (f *field) appendNumber(b []byte, digits string) []byte {
	return f.pad(b, digits, f.zero)
}

// appendText prints at most precision characters; zeros never pad text. The width counts
// bytes, as it does in Mosquitto's programs.
func (f *field) appendText(b []byte, text string) []byte {
	if f.precision >= 0 && len(text) > f.precision && utf8.RuneCountInString(text) > f.precision {
		text = string([]rune(text)[:f.precision])
	}
	return f.pad(b, text, false)
}

// appendHex prints two digits a byte, as many bytes as fit into the width.
func (f *field) appendHex(b []byte, payload []byte) []byte {
	if f.width > 0 && 2*len(payload) > f.width {
		payload = payload[:f.width/2]
	}
	digits := hex.EncodeToString(payload)
	if f.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if f.separator != 0 {
		group := 2 * max(f.precision, 1)
		var split strings.Builder
		for i := 0; i < len(digits); i += group {
			if i > 0 {
				split.WriteByte(f.separator)
			}
			split.WriteString(digits[i:min(i+group, len(digits))])
		}
		digits = split.String()
	}
	return f.pad(b, digits, f.zero)
}

// appendFloat prints a payload of 4 (%f) or 8 (%d) bytes as an IEEE 754 number, least
// significant byte first. A payload of another length prints as blanks.
func (f *field) appendFloat(b []byte, payload []byte) []byte {
	var value float64
	bits := 64
	switch {
	case f.kind == 'f' && len(payload) == 4:
		value, bits = float64(math.Float32frombits(binary.LittleEndian.Uint32(payload))), 32
	case f.kind == 'd' && len(payload) == 8:
		value = math.Float64frombits(binary.LittleEndian.Uint64(payload))
	default:
		return appendFill(b, f.width, false)
	}
	decimals := f.precision
	if decimals < 0 {
		decimals = 6
	}
	digits := strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(value, 'f', decimals, bits), "+")) // nan and inf as in C
	zero := f.zero && !math.IsNaN(value) && !math.IsInf(value, 0)
	if zero && !f.left && strings.HasPrefix(digits, "-") {
		b = append(b, '-')
		narrower := *f
		narrower.width = max(f.width-1, 0)
		return narrower.pad(b, digits[1:], true)
	}
	return f.pad(b, digits, zero)
}

// pad prints text, filled up to the width.
func (f *field) pad(b []byte, text string, zero bool) []byte {
	if f.left {
		return appendFill(append(b, text...), f.width-len(text), false)
	}
	return append(appendFill(b, f.width-len(text), zero), text...)
}

func appendFill(b []byte, n int, zero bool) []byte {
	fill := byte(' ')
	if zero {
		fill = '0'
	}
	for range max(n, 0) {
		b = append(b, fill)
	}
	return b
}
