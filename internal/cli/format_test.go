package cli

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
)

// fullMessage has everything that a format can print.
func fullMessage() received {
	at := time.Date(2026, 11, 22, 13, 12, 3, 60_000_007, time.FixedZone("CET", 3600))
	return received{at: at, packetID: 1, Message: &colibri.Message{
		Topic:   "fmt/a",
		Payload: []byte(`{"temp":27.50,"s":"é\n","a":[1,2]}`),
		QoS:     colibri.AtLeastOnce,
		Retain:  true,
		Properties: colibri.Properties{}.
			AppendValue(colibri.ContentType, "text/plain").
			AppendValue(colibri.CorrelationData, "corr").
			AppendValue(colibri.ResponseTopic, "re/top").
			AppendNumber(colibri.PayloadFormatIndicator, 1).
			AppendUser("k1", "v1").
			AppendUser("k2", "v2").
			AppendNumber(colibri.MessageExpiryInterval, 5000),
	}}
}

// bareMessage has nothing that it need not have.
func bareMessage() received {
	m := fullMessage()
	m.packetID = 0
	m.Message = &colibri.Message{Topic: "fmt/b", Payload: []byte("ab"), Retain: true}
	return m
}

func rendered(t *testing.T, text string, m received, pretty bool) string {
	t.Helper()
	f, err := parseFormat(text)
	if err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	line, err := f.append(nil, m, pretty)
	if err != nil {
		t.Fatalf("print %q: %v", text, err)
	}
	return string(line)
}

// The wanted values of these two tables are what mosquitto_sub 2.0.11 prints for the
// same messages, but for %x with a width, which 2.1 has repaired, and %R with a width
// and no Response Topic, which is padded here as all other properties are.
func TestFormatAsMosquittoPrints(t *testing.T) {
	for _, test := range fullFormats {
		t.Run("full "+test[0], func(t *testing.T) {
			if got := rendered(t, test[0], fullMessage(), false); got != test[1] {
				t.Errorf("got %q, want %q", got, test[1])
			}
		})
	}
	for _, test := range bareFormats {
		t.Run("bare "+test[0], func(t *testing.T) {
			if got := rendered(t, test[0], bareMessage(), false); got != test[1] {
				t.Errorf("got %q, want %q", got, test[1])
			}
		})
	}
}

func TestFormatTimeAndEscapes(t *testing.T) {
	for _, test := range [][2]string{
		{`%I`, "2026-11-22T13:12:03+0100"},
		{`%.4I`, "2026"},
		{`%12.4I`, "        2026"},
		{`%-12.4I|`, "2026        |"},
		{`%U`, "1795349523.060000007"},
		{`@N`, "060000007"},
		{`@Y-@m @@ @q`, "2026-11 @ %q"},
		{`@H:@M %% @s @Z @z @a @b @j @U @p @D @T @F @c`, "13:12 % 1795349523 CET +0100 Sun Nov 326 47 PM 11/22/26 13:12:03 2026-11-22 Sun Nov 22 13:12:03 2026"},
		{`@A @B @C @d @e @g @G @h @I @k @l @M`, "Sunday November 20 22 22 26 2026 Nov 01 13  1 12"},
		{`@n@P@r@R@S@t@u@V@w@W@x@X@y@%`, "\npm01:12:03 PM13:1203\t74704611/22/2613:12:0326%"},
		{`a\\\0\a\e\n\r\t\vb`, "a\\\x00\a\x1b\n\r\t\vb"},
		{`%-05l|`, "35   |"},
		{`%05.03t|`, "  fmt|"},
		{`plain`, "plain"},
		{``, ""},
	} {
		t.Run(test[0], func(t *testing.T) {
			if got := rendered(t, test[0], fullMessage(), false); got != test[1] {
				t.Errorf("got %q, want %q", got, test[1])
			}
		})
	}
}

func TestFormatOfPayload(t *testing.T) {
	float := []byte{0, 0, 0x2a, 0x42} // 42.5 as a float
	double := []byte{0, 0, 0, 0, 0, 0x40, 0x45, 0xc0}
	for _, test := range []struct {
		format, payload, want string
	}{
		{"%:x", "abc", "61:62:63"},
		{"%.2:x", "abcde", "6162:6364:65"},
		{"%. X", "no", "6E 6F"},
		{"%12.1-x|", "ab", "       61-62|"},
		{"%-8.1,x|", "ab", "61,62   |"},
		{"%5x", "ab", " 6162"},
		{"%3x", "ab", " 61"},
		{"%f", string(float), "42.500000"},
		{"%8.1f", string(float), "    42.5"},
		{"%-8.1f|", string(float), "42.5    |"},
		{"%08.1f", string(float), "000042.5"},
		{"%f", "abc", ""},
		{"%4f|", "abc", "    |"},
		{"%d", string(double), "-42.500000"},
		{"%08.1d", string(double), "-00042.5"},
		{"%.0d", string(double), "-42"},
		{"%5f", string([]byte{0, 0, 0x80, 0x7f}), "  inf"},
		{"%5f", string([]byte{0, 0, 0x80, 0xff}), " -inf"},
		{"%f", string([]byte{0, 0, 0xc0, 0x7f}), "nan"},
		{"%p|%x|%5p|%-5x|%l", "", "||     |     |0"},
		{"%5t", "x", "fmt/b"},
	} {
		t.Run(test.format+" "+test.payload, func(t *testing.T) {
			m := bareMessage()
			m.Payload = []byte(test.payload)
			if got := rendered(t, test.format, m, false); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if math.Float32frombits(0x422a0000) != 42.5 {
		t.Error("the table's float is not 42.5")
	}
}

func TestFormatOfPropertiesSeldomSeen(t *testing.T) {
	m := bareMessage()
	m.Properties = colibri.Properties{}.AppendNumber(colibri.SubscriptionIdentifier, 77).AppendNumber(colibri.TopicAlias, 5)
	if got, want := rendered(t, "%S|%5S|%05S|%-5S|%A|%3A", m, false), "77|   77|00077|77   |5|  5"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The width counts bytes, as Mosquitto's does; the precision never cuts a character.
func TestFormatOfAccents(t *testing.T) {
	m := bareMessage()
	m.Topic = "été/à"
	if got, want := rendered(t, "%10t|%.3t|%-9.4t|", m, false), "  été/à|été|été/   |"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFormatMistakes(t *testing.T) {
	for _, test := range [][2]string{
		{`%z`, "Invalid format specifier 'z'."},
		{`%@`, "Invalid format specifier '@'."},
		{`%é`, "Invalid format specifier 'é'."},
		{`abc%`, "Incomplete format specifier."},
		{`%0`, "Incomplete format specifier."},
		{`%-`, "Incomplete format specifier."},
		{`%5`, "Incomplete format specifier."},
		{`%.`, "Incomplete format specifier."},
		{`%5.3`, "Incomplete format specifier."},
		{`%0-5l`, "Invalid format specifier '-'."},
		{`%5-l`, "Invalid format specifier '-'."},
		{`%:t`, "Invalid format specifier ':'."},
		{`%5.2.1t`, "Invalid format specifier '.'."},
		{`%65536t`, "Invalid format specifier: 65536 is more than 65535 columns."},
		{`%99999999999999999999t`, "Invalid format specifier: 99999999999999999999 is more than 65535 columns."},
		{`a@`, "Incomplete format specifier."},
		{`abc\`, "Incomplete escape specifier."},
		{`abc\q`, "Invalid escape specifier 'q'."},
	} {
		t.Run(test[0], func(t *testing.T) {
			_, err := parseFormat(test[0])
			if err == nil || err.Error() != test[1] {
				t.Errorf("got error %v, want %q", err, test[1])
			}
		})
	}
}

func TestJSON(t *testing.T) {
	const full = `{"tst":"2026-11-22T13:12:03.060000+0100","topic":"fmt/a","qos":1,"retain":true,"payloadlen":35,"mid":1,` +
		`"properties":{"content-type":"text/plain","correlation-data":"corr","response-topic":"re/top","payload-format-indicator":1,` +
		`"user-properties":[{"k1":"v1"},{"k2":"v2"}],"message-expiry-interval":5000},"payload":`
	m := fullMessage()
	if got, want := rendered(t, "%j", m, false), full+`"{\"temp\":27.50,\"s\":\"é\\n\",\"a\":[1,2]}"}`; got != want {
		t.Errorf("%%j: got\n%s\nwant\n%s", got, want)
	}
	if got, want := rendered(t, "%J", m, false), full+`{"temp":27.50,"s":"é\n","a":[1,2]}}`; got != want {
		t.Errorf("%%J: got\n%s\nwant\n%s", got, want)
	}
	m = bareMessage()
	m.Payload = []byte("<&>\x00\x01\xff\"\\\t")
	if got, want := rendered(t, "%j", m, false), `{"tst":"2026-11-22T13:12:03.060000+0100","topic":"fmt/b","qos":0,"retain":true,"payloadlen":9,"payload":"<&>\u0000\u0001`+"\ufffd"+`\"\\\t"}`; strings.ReplaceAll(got, `\ufffd`, "\ufffd") != want {
		t.Errorf("%%j of bytes: got\n%s\nwant\n%s", got, want)
	}
	m.Payload, m.Retain = nil, false
	if got, want := rendered(t, "%J", m, true), "{\n\t\"tst\": \"2026-11-22T13:12:03.060000+0100\",\n\t\"topic\": \"fmt/b\",\n\t\"qos\": 0,\n\t\"retain\": false,\n\t\"payloadlen\": 0,\n\t\"payload\": null\n}"; got != want {
		t.Errorf("%%J --pretty: got\n%s\nwant\n%s", got, want)
	}
}

func TestJSONOfOtherPayloads(t *testing.T) {
	f, err := parseFormat("[%J]")
	if err != nil {
		t.Fatal(err)
	}
	for payload, valid := range map[string]bool{`true`: true, `"s"`: true, `12345678901234567890`: true, `1 2`: false, `{"a":}`: false, "ab": false} {
		m := bareMessage()
		m.Payload = []byte(payload)
		line, err := f.append(nil, m, false)
		if (err == nil) != valid {
			t.Errorf("payload %s: got error %v, want valid %t", payload, err, valid)
		}
		if valid && !strings.Contains(string(line), `"payload":`+payload+`}`) {
			t.Errorf("payload %s: got %s", payload, line)
		}
		if !valid && (string(line) != "[]" || err.Error() != "message payload is not valid JSON on topic fmt/b") {
			t.Errorf("payload %s: got %q and error %v", payload, line, err)
		}
	}
}

// FuzzFormatParse checks that every text either is refused or prints without a panic.
func FuzzFormatParse(f *testing.F) {
	for _, seed := range []string{"%t %p", "%-05.3t", `\e[92m%t @H:@M\n`, "%.2:x", "%J%j", "%f%d", "%%@@@N", "%", `\`, "@é", "%12.4I"} {
		f.Add(seed, []byte("payload"))
	}
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		parsed, err := parseFormat(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		m := fullMessage()
		m.Payload = payload
		first, _ := parsed.append(nil, m, false)
		second, _ := parsed.append([]byte("x"), m, true)
		if len(second) == 0 || second[0] != 'x' || len(first) > 0 && text == "" {
			t.Errorf("format %q printed %q and %q", text, first, second)
		}
	})
}
