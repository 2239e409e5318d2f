package interop

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// formats are what both mosquitto_sub 2.0 and ours have to print alike, byte
// for byte.
var formats = []string{
	"%p", "%t %p", "%%", "%A", "%C", "%D", "%F", "%l", "%m", "%P", "%q", "%R", "%r", "%S", "%x", "%X", "%E",
	"%t|%q|%r|%m|%l|%p", `a\tb\\c\e\a`, `%t\0%p`, `\r\v%q`, "plain text", "@@ %t", "@Y-@m-@d",
	"%20t|%-20t|%.5t|%20.5t|%-20.5t|", "%6l|%-6l|%06l|", "%4m|%04m|%-4m|", "%12C|%-12C|%.4C|%12.4C|",
	"%.4R|%.20R|", "%12p|%-12p|", "%6S|%06S|%-6S|", "%4F|%04F|%-4F|", "%6A|%06A|",
}

// clocks are formats whose value differs between two programs; only their shape
// is compared.
var clocks = []string{"%I", "%U", "%40I|%-40I|", "@H:@M:@S.@N"}

// jsonFormats print JSON; jsonLine says where ours follows Mosquitto 2.1 instead.
var jsonFormats = []string{"%j", "%J"}

// formatMessages are published for each comparison. Each payload is JSON, as %J
// asks, and holds no end of line, as a line is what tells two messages apart.
var formatMessages = []struct {
	args  []string
	empty bool
}{
	{args: []string{"-V", "5", "-t", "format/all", "-q", "2", "-m", `{"temperature": 21.5, "unit": "°C"}`,
		"-D", "publish", "content-type", "application/json", "-D", "publish", "response-topic", "answers/a/b",
		"-D", "publish", "correlation-data", "a1", "-D", "publish", "payload-format-indicator", "1",
		"-D", "publish", "user-property", "unit", "celsius", "-D", "publish", "user-property", "sensor", "7",
		"-D", "publish", "message-expiry-interval", "3600"}},
	{args: []string{"-V", "5", "-t", "format/plain", "-q", "1", "-m", "12"}},
	{args: []string{"-V", "311", "-t", "format/empty", "-q", "0", "-n"}, empty: true},
	{args: []string{"-V", "311", "-t", "format/été", "-q", "1", "-r", "-m", `"quoted \\ text"`}},
}

// TestFormats lets mosquitto_sub and each set of tools print the same messages
// side by side and compares what they print.
func TestFormats(t *testing.T) {
	forEachBench(t, func(b *bench) {
		reference := &bench{T: b.T, broker: b.broker, tools: mosquitto}
		var pairs []formatPair
		add := func(normalized func(*testing.T, string) any, args ...string) {
			args = append([]string{"-q", "2", "-t", "format/#"}, args...)
			pairs = append(pairs, formatPair{
				name: strings.Join(args[4:], " "), want: reference.sub(args...), got: b.sub(args...), normalized: normalized,
			})
		}
		five := []string{"-V", "5", "-D", "subscribe", "subscription-identifier", "42"}
		for _, f := range formats {
			add(expiryLine, append(five, "-F", f)...)
		}
		for _, f := range clocks {
			add(clockLine, append(five, "-F", f)...)
		}
		for _, f := range jsonFormats {
			add(jsonLine, append(five, "-F", f)...)
		}
		add(expiryLine, "-v")
		add(expiryLine, "-V", "5", "-v")
		add(expiryLine)
		pairs[len(pairs)-1].quiet = true

		// One message after the other: QoS 2 takes longer than QoS 1, and only
		// messages of one topic and QoS keep their order.
		for _, m := range formatMessages {
			reference.pub(m.args...)
			for i := range pairs {
				pairs[i].read(b.T, m.empty)
			}
		}
		for _, p := range pairs {
			b.Run("sub "+p.name, func(t *testing.T) {
				for i, want := range p.wantLines {
					if w, g := p.normalized(t, want), p.normalized(t, p.gotLines[i]); !reflect.DeepEqual(g, w) {
						t.Errorf("printed\n\t%q, but mosquitto_sub\n\t%q", p.gotLines[i], want)
					}
				}
			})
		}
	})
}

// formatPair is two subscribers with the same arguments, Mosquitto's and ours,
// and what they printed.
type formatPair struct {
	name                string
	quiet               bool // prints nothing for a payload of no byte
	want, got           *program
	wantLines, gotLines []string
	normalized          func(t *testing.T, line string) any
}

// read reads the line that each of the two prints for a message.
func (p *formatPair) read(t *testing.T, empty bool) {
	t.Helper()
	if empty && p.quiet {
		return
	}
	p.wantLines = append(p.wantLines, p.want.nextMessage(t))
	p.gotLines = append(p.gotLines, p.got.nextMessage(t))
}

var expiry = regexp.MustCompile(`\b(3600|359\d)\b`)

// expiryLine hides the seconds by which two deliveries may differ.
func expiryLine(_ *testing.T, line string) any { return expiry.ReplaceAllString(line, "36xx") }

var digits = regexp.MustCompile(`[0-9]`)

// clockLine keeps the shape of a time only.
func clockLine(_ *testing.T, line string) any { return digits.ReplaceAllString(line, "9") }

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z?[+-]\d{4}$`)

// jsonLine returns the value of a line in the form of Mosquitto 2.1: retain is a
// boolean (0 or 1 in 2.0), user-properties a list of objects with one name each
// (one object in 2.0), tst without a stray Z. The order of the outermost keys
// counts.
func jsonLine(t *testing.T, line string) any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(line), &value); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, line)
	}
	if tst, _ := value["tst"].(string); !timestamp.MatchString(tst) {
		t.Errorf("tst is %v, want it like 2020-05-06T21:48:00.000000+0100", value["tst"])
	}
	delete(value, "tst")
	if n, ok := value["retain"].(float64); ok {
		value["retain"] = n == 1
	}
	if properties, ok := value["properties"].(map[string]any); ok {
		if users, ok := properties["user-properties"].([]any); ok {
			all := map[string]any{}
			for _, user := range users {
				for name, v := range user.(map[string]any) {
					all[name] = v
				}
			}
			properties["user-properties"] = all
		}
		if seconds, ok := properties["message-expiry-interval"].(float64); ok {
			properties["message-expiry-interval"] = seconds > 3500
		}
	}
	return map[string]any{"keys": keysOf(t, line), "value": value}
}

// keysOf returns the outermost keys of a JSON object in order.
func keysOf(t *testing.T, line string) []string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(line))
	var keys []string
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, fmt.Sprint(key))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("value of %s: %v", strconv.Quote(fmt.Sprint(key)), err)
		}
	}
	return keys
}
