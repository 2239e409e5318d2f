package topic

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxBytes is the length of the longest Topic Name or Topic Filter, in bytes of UTF-8.
const maxBytes = 65535

const sharePrefix = "$share/"

// CheckName returns nil if name is a legal Topic Name, and a *SyntaxError for the first
// offence otherwise: 1 to 65,535 bytes of well-formed UTF-8 without U+0000 and without
// wildcards. It allocates only when there is an error.
func CheckName(name string) error {
	if legalText(name) && strings.IndexByte(name, '+') < 0 && strings.IndexByte(name, '#') < 0 {
		return nil
	}
	fault := textFault(name)
	if wildcard := strings.IndexAny(name[:faultOffset(name, fault)], "+#"); wildcard >= 0 {
		fault = &SyntaxError{Offset: wildcard, Reason: "is a wildcard, which only a Topic Filter may hold", Rule: "MQTT-4.7.0-1"} // [MQTT-4.7.0-1]
	}
	fault.What, fault.Text = "Topic Name", name
	return fault
}

// CheckFilter returns nil if filter is a legal Topic Filter, and a *SyntaxError for the
// first offence otherwise. On top of the rules for names, "+" and "#" must be alone in
// their level and "#" must be the last level. A filter that begins with "$share/" is a
// Shared Subscription: its Share Name and its inner filter are checked too. It allocates
// only when there is an error.
func CheckFilter(filter string) error {
	if legalText(filter) && strings.IndexByte(filter, '+') < 0 && strings.IndexByte(filter, '#') < 0 && !strings.HasPrefix(filter, sharePrefix) {
		return nil
	}
	fault := textFault(filter)
	if earlier := wildcardFault(filter, faultOffset(filter, fault)); earlier != nil {
		fault = earlier
	}
	if fault == nil {
		return nil
	}
	fault.What, fault.Text = "Topic Filter", filter
	return fault
}

// SplitShared takes the filter of a Shared Subscription, "$share/NAME/FILTER", apart. ok is
// false if filter is not of that form: then it is an ordinary filter, or one that
// CheckFilter refuses. The inner filter itself is not checked.
func SplitShared(filter string) (share, inner string, ok bool) {
	rest, shared := strings.CutPrefix(filter, sharePrefix) // [MQTT-4.8.2-1]
	if !shared {
		return "", "", false
	}
	share, inner, _ = strings.Cut(rest, "/")
	if share == "" || inner == "" || strings.ContainsAny(share, "+#") { // [MQTT-4.8.2-2]
		return "", "", false
	}
	return share, inner, true
}

// legalText reports whether text keeps the rules that names and filters share.
func legalText(text string) bool {
	return text != "" && len(text) <= maxBytes && utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// textFault returns the first offence against the rules that names and filters share, or
// nil. What and Text are left to the caller.
func textFault(text string) *SyntaxError {
	if text == "" {
		return &SyntaxError{Reason: "must be at least one character long", Rule: "MQTT-4.7.3-1"} // [MQTT-4.7.3-1]
	}
	if len(text) > maxBytes {
		offset := maxBytes
		for offset > maxBytes-utf8.UTFMax && !utf8.RuneStart(text[offset]) {
			offset--
		}
		return &SyntaxError{Offset: offset, Reason: "is beyond the limit of 65,535 bytes", Rule: "MQTT-4.7.3-3"} // [MQTT-4.7.3-3]
	}
	for offset, r := range text {
		if r == 0 {
			return &SyntaxError{Offset: offset, Reason: "is not allowed", Rule: "MQTT-4.7.3-2"} // [MQTT-4.7.3-2]
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[offset:]); size == 1 {
				return &SyntaxError{Offset: offset, Reason: "is not well-formed UTF-8", Rule: "MQTT-1.5.4-1"} // [MQTT-1.5.4-1]
			}
		}
	}
	return nil
}

// faultOffset returns where fault stands in text, or the end of text if there is none.
func faultOffset(text string, fault *SyntaxError) int {
	if fault == nil {
		return len(text)
	}
	return fault.Offset
}

// wildcardFault returns the first offence of filter against the rules on wildcards and
// Shared Subscriptions that stands before byte end, or nil.
func wildcardFault(filter string, end int) *SyntaxError {
	start := 0
	if strings.HasPrefix(filter, sharePrefix) {
		var fault *SyntaxError
		if start, fault = shareFault(filter); fault != nil {
			if fault.Offset < end || end == len(filter) {
				return fault
			}
			return nil
		}
	}
	for start < end {
		level, _, more := strings.Cut(filter[start:], "/")
		at := strings.IndexAny(level, "+#")
		if at >= 0 && start+at < end {
			if level[at] == '+' && level != "+" {
				return &SyntaxError{Offset: start + at, Reason: "must stand alone in its level", Rule: "MQTT-4.7.1-2"} // [MQTT-4.7.1-2]
			}
			if level[at] == '#' && level != "#" {
				return &SyntaxError{Offset: start + at, Reason: "must stand alone in its level", Rule: "MQTT-4.7.1-1"} // [MQTT-4.7.1-1]
			}
			if level == "#" && more {
				return &SyntaxError{Offset: start, Reason: "must be the last level", Rule: "MQTT-4.7.1-1"} // [MQTT-4.7.1-1]
			}
		}
		start += len(level) + 1
	}
	return nil
}

// shareFault checks the Share Name of a filter that begins with "$share/" and returns
// where the inner filter starts.
func shareFault(filter string) (inner int, fault *SyntaxError) {
	share, rest, more := strings.Cut(filter[len(sharePrefix):], "/")
	end := len(sharePrefix) + len(share)
	if wildcard := strings.IndexAny(share, "+#"); wildcard >= 0 {
		return 0, &SyntaxError{Offset: len(sharePrefix) + wildcard, Reason: "must not be in a Share Name", Rule: "MQTT-4.8.2-2"} // [MQTT-4.8.2-2]
	}
	switch {
	case share == "" && more:
		return 0, &SyntaxError{Offset: end, Reason: "must come after a Share Name", Rule: "MQTT-4.8.2-1"} // [MQTT-4.8.2-1]
	case share == "":
		return 0, &SyntaxError{Offset: end, Reason: `must go on with a Share Name, "/" and a Topic Filter`, Rule: "MQTT-4.8.2-1"} // [MQTT-4.8.2-1]
	case !more:
		return 0, &SyntaxError{Offset: end, Reason: `must go on with "/" and a Topic Filter`, Rule: "MQTT-4.8.2-2"} // [MQTT-4.8.2-2]
	case rest == "":
		return 0, &SyntaxError{Offset: end + 1, Reason: "must go on with a Topic Filter", Rule: "MQTT-4.8.2-2"} // [MQTT-4.8.2-2]
	}
	return end + 1, nil
}

// SyntaxError says what is wrong with a Topic Name or Topic Filter, and where.
type SyntaxError struct {
	What   string // "Topic Name" or "Topic Filter"
	Text   string // the whole text, as it was given
	Offset int    // of the offending character in Text, in bytes; len(Text) if something is missing at the end
	Reason string // in plain words, such as "must be the last level"
	Rule   string // statement id, such as "MQTT-4.7.1-1"
}

// Error returns one line such as
//
//	Topic Filter "maison/#/temperature": "#" must be the last level [MQTT-4.7.1-1]
//
// Of a long text only the part around the offending character is shown.
func (e *SyntaxError) Error() string { return e.Fault() + " [" + e.Rule + "]" }

// Fault returns what Error does, without the rule.
func (e *SyntaxError) Fault() string {
	text, _ := e.excerpt()
	line := e.What + " " + strconv.Quote(text) + ": "
	if offender := e.Offender(); offender != "" {
		line += offender + " "
	}
	return line + e.Reason
}

// Offender returns the offending character as it is shown to people: `"#"`, "U+0000" or
// "byte 0xFF"; "" if something is missing at the end.
func (e *SyntaxError) Offender() string {
	if e.Offset >= len(e.Text) {
		return ""
	}
	r, size := utf8.DecodeRuneInString(e.Text[e.Offset:])
	if r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("byte 0x%02X", e.Text[e.Offset])
	}
	if !strconv.IsPrint(r) {
		return fmt.Sprintf("U+%04X", r)
	}
	return strconv.Quote(string(r))
}

// excerptBytes is how much of a long text is shown on either side of the offence.
const excerptBytes = 60

// excerpt returns Text, or the part of it around Offset if it is long, and where the
// offending character stands in the returned text.
func (e *SyntaxError) excerpt() (text string, offset int) {
	text, offset = e.Text, e.Offset
	if end := offset + excerptBytes; end+excerptBytes < len(text) {
		for end > offset && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	if start := offset - excerptBytes; start > excerptBytes {
		for start < offset && !utf8.RuneStart(text[start]) {
			start++
		}
		text = "…" + text[start:]
		offset += len("…") - start
	}
	return text, offset
}
