package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/colibri-mqtt/colibri"
)

// appendJSON prints m as one JSON object, the keys in the order that people know from
// mosquitto_sub: %j with the payload as a string, %J (parsed) with the payload as the
// JSON value that it holds. Bytes that are not UTF-8 become U+FFFD. With %J and another
// payload it prints nothing and returns an error.
func appendJSON(b []byte, m received, parsed, pretty bool) ([]byte, error) {
	if parsed && len(m.Payload) > 0 && !json.Valid(m.Payload) {
		return b, fmt.Errorf("message payload is not valid JSON on topic %s", m.Topic)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"tst":"%s","topic":%s,"qos":%d,"retain":%t,"payloadlen":%d`,
		m.at.Format("2006-01-02T15:04:05.000000-0700"), quoteJSON(m.Topic), m.QoS, m.Retain, len(m.Payload))
	if m.QoS > colibri.AtMostOnce {
		fmt.Fprintf(&out, `,"mid":%d`, m.packetID)
	}
	if len(m.Properties) > 0 {
		out.WriteString(`,"properties":`)
		writeJSONProperties(&out, m.Properties)
	}
	out.WriteString(`,"payload":`)
	switch {
	case len(m.Payload) == 0:
		out.WriteString("null")
	case parsed:
		if err := json.Compact(&out, m.Payload); err != nil {
			return b, fmt.Errorf("compact a valid payload: %w", err)
		}
	default:
		out.WriteString(quoteJSON(string(m.Payload)))
	}
	out.WriteByte('}')
	if !pretty {
		return append(b, out.Bytes()...), nil
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, out.Bytes(), "", "\t"); err != nil {
		return b, fmt.Errorf("indent the JSON output: %w", err)
	}
	return append(b, indented.Bytes()...), nil
}

// writeJSONProperties writes each property under its name with hyphens, and all User
// Properties as an array of objects of one pair each, because names may repeat.
func writeJSONProperties(out *bytes.Buffer, properties colibri.Properties) {
	separator := "{"
	userDone := false
	for _, p := range properties {
		if p.ID == colibri.UserProperty && userDone {
			continue
		}
		out.WriteString(separator)
		separator = ","
		switch {
		case p.ID == colibri.UserProperty:
			userDone = true
			out.WriteString(`"user-properties":`)
			comma := "["
			for name, value := range properties.UserProperties() {
				fmt.Fprintf(out, `%s{%s:%s}`, comma, quoteJSON(name), quoteJSON(value))
				comma = ","
			}
			out.WriteByte(']')
		case isNumber(p.ID):
			fmt.Fprintf(out, `"%s":%d`, propertyName(p.ID), p.Number)
		default:
			fmt.Fprintf(out, `"%s":%s`, propertyName(p.ID), quoteJSON(p.Value))
		}
	}
	out.WriteByte('}')
}

// quoteJSON returns text as a JSON string, with <, > and & as they are.
func quoteJSON(text string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return strconv.Quote(text)
	}
	return strings.TrimSuffix(out.String(), "\n")
}
