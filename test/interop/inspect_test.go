package interop

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recording is a capture of the loopback interface under way.
type recording struct {
	file    string
	program *program
}

// record begins to capture the ports that freePort gives away.
func record(t *testing.T) *recording {
	t.Helper()
	r := &recording{file: filepath.Join(t.TempDir(), "session.pcapng")}
	r.program = start(t, paths["dumpcap"], "-q", "-B", "64", "-i", "lo", "-f", "tcp portrange 20000-32000", "-w", r.file)
	deadline := time.Now().Add(patience)
	for !strings.Contains(r.program.both.String(), "File: ") {
		if time.Now().After(deadline) {
			t.Fatalf("dumpcap does not begin: %s", r.program.both)
		}
		<-time.After(time.Millisecond)
	}
	return r
}

// end ends the capture when all that was sent before is in it.
func (r *recording) end(t *testing.T, b *broker) {
	t.Helper()
	const mark = "end/of/the/capture"
	toolset(colibri).mark(t, b, mark)
	deadline := time.Now().Add(patience)
	for {
		content, err := os.ReadFile(r.file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(mark)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the end of the session does not come into the capture")
		}
		<-time.After(10 * time.Millisecond)
	}
	if err := r.program.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r.program.wait(t)
}

// mark publishes to a topic.
func (tools toolset) mark(t *testing.T, b *broker, topic string) {
	t.Helper()
	p := start(t, paths[colibri], "pub", "-h", "127.0.0.1", "-p", strconv.Itoa(b.port), "-t", topic, "-n")
	p.succeeds(t)
}

// output runs a program to its end and returns its standard output.
func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	command := exec.Command(paths[name], args...)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &complaint)
	}
	return out
}

// pair is a field as tshark names it.
type pair struct{ name, value string }

// shownPacket is one Control Packet as one of the programs sees it.
type shownPacket struct {
	frame int
	pairs []pair
}

// inspected is what we read of an object of colibri inspect --json.
type inspected struct {
	Frame   int    `json:"frame"`
	Version string `json:"version"`
	Type    string `json:"type"`
	Error   string `json:"error"`
	Source  string `json:"source"`
	Hex     string `json:"hex"`

	Connection int    `json:"connection"`
	Transport  string `json:"transport"`
	Fields     []struct {
		Name  string `json:"name"`
		Start int    `json:"start"`
		End   int    `json:"end"`
		Mask  byte   `json:"mask"`
		Value any    `json:"value"`
		Hex   string `json:"hex"`
	} `json:"fields"`
}

// inspectJSON runs colibri inspect.
func inspectJSON(t *testing.T, file string, args ...string) []inspected {
	t.Helper()
	out := output(t, colibri, append([]string{"inspect", file, "--json", "--secrets", "--port", "20000"}, args...)...)
	var packets []inspected
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.UseNumber()
	for {
		var p inspected
		if err := decoder.Decode(&p); err == io.EOF {
			return packets
		} else if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
	}
}

// tsharkPackets runs tshark on the capture.
func tsharkPackets(t *testing.T, file string, args ...string) []shownPacket {
	t.Helper()
	command := exec.Command(paths["tshark"], append([]string{"-r", file, "-Y", "mqtt", "-T", "json", "-J", "mqtt frame"}, args...)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var packets []shownPacket
	d := json.NewDecoder(bufio.NewReaderSize(out, 1<<20))
	walkJSON(t, d, "", func(path []string, value string) {
		last := path[len(path)-1]
		layer := -1
		for i, name := range path {
			if name == "mqtt" {
				layer = i
			}
		}
		switch {
		case last == "frame.number":
			n, _ := strconv.Atoi(value)
			packets = append(packets, shownPacket{frame: n})
		case layer < 0 || strings.HasPrefix(last, "_ws."): // tshark's remarks
		case last == "mqtt.hdrflags" && len(packets[len(packets)-1].pairs) > 0:
			packets = append(packets, shownPacket{frame: packets[len(packets)-1].frame})
			fallthrough
		default:
			p := &packets[len(packets)-1]
			p.pairs = append(p.pairs, pair{last, value})
		}
	})
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	return packets
}

// walkJSON calls fn for each string of a JSON text, in order, with the names that lead to
// it. Unlike Unmarshal it keeps names that are there twice, which tshark writes.
func walkJSON(t *testing.T, d *json.Decoder, name string, fn func(path []string, value string)) {
	var path []string
	var walk func()
	walk = func() {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("tshark's JSON: %v", err)
		}
		switch token {
		case json.Delim('{'):
			for d.More() {
				key, err := d.Token()
				if err != nil {
					t.Fatalf("tshark's JSON: %v", err)
				}
				path = append(path, key.(string))
				walk()
				path = path[:len(path)-1]
			}
			d.Token()
		case json.Delim('['):
			for d.More() {
				walk()
			}
			d.Token()
		default:
			if text, ok := token.(string); ok {
				fn(path, text)
			}
		}
	}
	walk()
}

// textNames are the fields with a length of their own in tshark.
var textNames = map[string][2]string{
	"Protocol Name":       {"mqtt.proto_len", "mqtt.protoname"},
	"Client Identifier":   {"mqtt.clientid_len", "mqtt.clientid"},
	"Will Topic":          {"mqtt.willtopic_len", "mqtt.willtopic"},
	"User Name":           {"mqtt.username_len", "mqtt.username"},
	"Password":            {"mqtt.passwd_len", "mqtt.passwd"},
	"Topic Name":          {"mqtt.topic_len", "mqtt.topic"},
	"Topic Filter":        {"mqtt.topic_len", "mqtt.topic"},
	"User Property name":  {"mqtt.prop_key_len", "mqtt.prop_key"},
	"User Property value": {"mqtt.prop_value_len", "mqtt.prop_value"},
}

// numberNames are fields whose value both print in decimal.
var numberNames = map[string]string{
	"Remaining Length": "mqtt.len", "Protocol Version": "mqtt.ver", "Keep Alive": "mqtt.kalive",
	"Packet Identifier": "mqtt.msgid", "MQTT Control Packet type": "mqtt.msgtype",
	"Property Length": "mqtt.property_len", "DUP flag": "mqtt.dupflag", "QoS level": "mqtt.qos", "RETAIN": "mqtt.retain",
	"User Name Flag": "mqtt.conflag.uname", "Password Flag": "mqtt.conflag.passwd", "Will Retain": "mqtt.conflag.retain",
	"Will QoS": "mqtt.conflag.qos", "Will Flag": "mqtt.conflag.willflag", "Clean Start": "mqtt.conflag.cleansess",
	"Clean Session": "mqtt.conflag.cleansess", "Session Present": "mqtt.conack.flags.sp",
	"Retain Handling": "mqtt.subscription_options_retain", "Retain As Published": "mqtt.subscription_options_rap",
	"No Local": "mqtt.subscription_options_nl", "Requested QoS": "mqtt.sub.qos",
	"Connect Return code": "mqtt.conack.val", "Connect Reason Code": "mqtt.connack.reason_code", "Return Code": "mqtt.suback.qos",
	"Disconnect Reason Code": "mqtt.disconnect.reason_code", "Authenticate Reason Code": "mqtt.auth.reason_code",
}

// hexNames are fields that tshark prints as 0x and two digits.
var hexNames = map[string]string{
	"Packet Type and Flags": "mqtt.hdrflags", "Connect Flags": "mqtt.conflags",
	"Connect Acknowledge Flags": "mqtt.conack.flags", "Subscription Options": "mqtt.subscription_options",
	"Property Identifier": "mqtt.property_id",
}

// reservedNames are the names of reserved bits, by their mask.
var reservedNames = map[byte]string{0x0F: "mqtt.hdr_reserved", 0x01: "mqtt.conflag.reserved",
	0xFE: "mqtt.conack.flags.reserved", 0xC0: "mqtt.subscription_options_reserved"}

// allowance is a difference from tshark that is meant, and why.
type allowance struct {
	why    string
	adapts func(p inspected, shown []pair) []pair // makes of ours what tshark has
}

// without leaves out fields.
func without(shown []pair, names ...string) (left []pair) {
	for _, one := range shown {
		if !slices.Contains(names, one.name) {
			left = append(left, one)
		}
	}
	return left
}

// binaryProperty stands for the value of a property that is Binary Data.
const binaryProperty = "Binary Data"

var allowances = []allowance{
	{"Correlation Data and Authentication Data are bytes; tshark shows them as a string, up to the first zero byte",
		func(p inspected, shown []pair) []pair {
			for i := range shown {
				if shown[i].name == binaryProperty {
					text, _, _ := strings.Cut(shown[i].value, "\x00")
					shown[i] = pair{"mqtt.prop_string", text}
				}
			}
			return shown
		}},
	{"in the CONNACK of 3.1 the first byte is reserved; tshark shows it as one number, we show its bits, as today's brokers set Session Present there too",
		func(p inspected, shown []pair) []pair {
			if p.Version == "3.1" && p.Type == "CONNACK" {
				return without(shown, "mqtt.conack.flags", "mqtt.conack.flags.sp")
			}
			return shown
		}},
	{"bit 0 of PUBREL, SUBSCRIBE and UNSUBSCRIBE in 3.1: tshark calls it reserved, 3.1 calls it RETAIN and says that it is not used",
		func(p inspected, shown []pair) []pair {
			if p.Version == "3.1" && (p.Type == "PUBREL" || p.Type == "SUBSCRIBE" || p.Type == "UNSUBSCRIBE") {
				for i := range shown {
					if shown[i].name == "mqtt.retain" {
						shown[i].name = "mqtt.retain_reserved"
					}
				}
			}
			return shown
		}},
	{"the payload of a PUBLISH that has none: tshark shows a field without bytes, we show none",
		func(p inspected, shown []pair) []pair {
			if p.Type == "PUBLISH" && shown[len(shown)-1].name != "mqtt.msg" {
				return append(shown, pair{"mqtt.msg", ""})
			}
			return shown
		}},
}

// asTshark writes the fields of a packet of ours as tshark names them.
func asTshark(p inspected) shownPacket {
	shown := shownPacket{frame: p.Frame}
	add := func(name, value string) { shown.pairs = append(shown.pairs, pair{name, value}) }
	property := 0
	for i := range p.Fields {
		f := &p.Fields[i]
		size := f.End - f.Start
		value := fmt.Sprint(f.Value)
		switch f.Value {
		case nil:
			value = ""
		case true:
			value = "1"
		case false:
			value = "0"
		}
		number, _ := strconv.Atoi(value)
		raw := []byte(value)
		if f.Hex != "" {
			raw, _ = hex.DecodeString(f.Hex)
		}
		if names, ok := textNames[f.Name]; ok {
			add(names[0], strconv.Itoa(size-2))
			add(names[1], string(raw))
			continue
		}
		if name, ok := hexNames[f.Name]; ok {
			add(name, fmt.Sprintf("0x%02x", number))
			if f.Name == "Property Identifier" {
				property = number
			}
			continue
		}
		if name, ok := numberNames[f.Name]; ok {
			add(name, value)
			continue
		}
		switch f.Name {
		case "Reserved":
			name := reservedNames[f.Mask]
			if f.Mask == 0xC0 {
				value = fmt.Sprintf("0x%02x", number)
			}
			if name != "" {
				add(name, value)
			}
		case "Maximum QoS":
			if f.Mask != 0 {
				add("mqtt.subscription_options_qos", value)
			} else if isLeaf(p, i) {
				add("mqtt.property.max_qos", value)
			}
		case "Reason Code":
			add("mqtt."+strings.ToLower(p.Type)+".reason_code", value)
		case "Payload":
			if f.Value != nil || f.Hex != "" {
				add("mqtt.msg", colons(raw))
			}
		case "Will Payload":
			add("mqtt.willmsg_len", strconv.Itoa(size-2))
			add("mqtt.willmsg", colons(raw))
		default:
			if property != 0 && isLeaf(p, i) {
				addProperty(add, property, value, raw, size)
				property = 0
			}
		}
	}
	return shown
}

// isLeaf reports whether field i of a packet has no parts.
func isLeaf(p inspected, i int) bool {
	return i+1 == len(p.Fields) || p.Fields[i+1].Start >= p.Fields[i].End || p.Fields[i].Start == p.Fields[i].End
}

// addProperty adds the value of a property as tshark shows its kind.
func addProperty(add func(name, value string), id int, value string, raw []byte, size int) {
	switch id {
	case 0x03:
		add("mqtt.property.content_type", string(raw))
	case 0x23:
		add("mqtt.property.topic_alias", value)
	case 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F:
		add("mqtt.prop_string_len", strconv.Itoa(size-2))
		add("mqtt.prop_string", string(raw))
	case 0x09, 0x16:
		add("mqtt.prop_string_len", strconv.Itoa(size-2))
		add(binaryProperty, string(raw))
	default:
		add("mqtt.prop_number", value)
	}
}

func colons(b []byte) string {
	digits := make([]string, len(b))
	for i, c := range b {
		digits[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(digits, ":")
}

// TestInspectAgainstTshark captures every scenario of every library, and compares each
// field of each packet of colibri inspect with what tshark sees in the same file.
func TestInspectAgainstTshark(t *testing.T) {
	r := record(t)
	t.Run("sessions", func(t *testing.T) {
		for _, l := range libraries {
			for _, v := range l.versions {
				t.Run(fmt.Sprintf("%s %s", l.name, v), func(t *testing.T) {
					t.Parallel()
					d := l.open(t)
					for _, s := range scenarios {
						if v < s.from {
							continue
						}
						s.run(&scene{T: t, broker: startBroker(t, colibri), driver: d, version: v, library: l.name})
					}
				})
			}
		}
	})
	b := startBroker(t, colibri)
	mosquittoSession(t, b)
	r.end(t, b)
	compareWithTshark(t, r.file)
	compareColumns(t, r.file)
}

// mosquittoSession lets Mosquitto's clients talk to b with what the libraries do not use:
// User Names, passwords, Will Properties, properties of every kind.
func mosquittoSession(t *testing.T, b *broker) {
	t.Helper()
	tools := &bench{T: t, broker: b, tools: toolset(mosquitto)}
	for _, v := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		connection := []string{"-V", v, "-u", "maison", "-P", "secret°"}
		subscriber := append(connection[:6:6], "-i", "sub-"+v, "-t", "maison/+/temperature", "-t", "maison/cuisine/#", "-U", "nothing", "-q", "2", "-C", "1")
		publisher := append(connection[:6:6], "-i", "pub-"+v, "-t", "maison/salon/temperature", "-m", "21", "-q", "2",
			"--will-topic", "maison/absent", "--will-payload", "gone", "--will-qos", "2", "--will-retain")
		if v == "mqttv5" {
			common := strings.Fields("-D connect session-expiry-interval 60 -D connect receive-maximum 7 -D connect maximum-packet-size 9000 " +
				"-D connect topic-alias-maximum 3 -D connect request-response-information 1 -D connect request-problem-information 0 " +
				"-D connect user-property a b")
			subscriber = append(append(subscriber, common...), strings.Fields("-D subscribe subscription-identifier 300 "+
				"-D subscribe user-property e f -D unsubscribe user-property g h")...)
			publisher = append(append(publisher, common...), strings.Fields("-D will will-delay-interval 5 -D will content-type text "+
				"-D will user-property c d -D will message-expiry-interval 9 -D will payload-format-indicator 1 -D will response-topic r "+
				"-D will correlation-data x -D publish message-expiry-interval 60 -D publish topic-alias 2 -D publish content-type text/plain "+
				"-D publish correlation-data x -D publish response-topic answers -D disconnect user-property i j "+
				"-D disconnect session-expiry-interval 5")...)
		}
		s := tools.sub(subscriber...)
		tools.pub(publisher...)
		s.succeeds(t)
	}
}

// longestRow is how many bytes of a row are compared. tshark's columns end at 4,096.
const longestRow = 4000

// compareColumns compares each row of the table with tshark's columns.
func compareColumns(t *testing.T, file string) {
	t.Helper()
	args := []string{"-r", file, "-d", "tcp.port==20000-32000,mqtt", "-Y", "mqtt", "-T", "fields", "-E", "occurrence=f"}
	for _, field := range []string{"frame.number", "frame.time_relative", "_ws.col.Source", "_ws.col.Destination", "_ws.col.Protocol", "frame.len", "_ws.col.Info"} {
		args = append(args, "-e", field)
	}
	want := strings.Split(strings.TrimSpace(string(output(t, "tshark", args...))), "\n")
	got := strings.Split(strings.TrimSpace(string(output(t, colibri, "inspect", file))), "\n")[1:]
	if len(got) != len(want) {
		t.Errorf("%d rows, tshark has %d", len(got), len(want))
	}
	differences := 0
	for i := range min(len(got), len(want)) {
		columns := strings.Split(want[i], "\t")
		since, err := time.ParseDuration(columns[1] + "s")
		if err != nil {
			t.Fatal(err)
		}
		columns[1] = fmt.Sprintf("%.6f", since.Round(time.Microsecond).Seconds())
		row := strings.Join(strings.Fields(got[i]), " ")
		// tshark adds what it takes the payload for.
		columns[6] = strings.ReplaceAll(columns[6], " (text/plain)", "")
		wanted := strings.Join(strings.Fields(strings.Join(columns, " ")), " ")
		if len(wanted) > longestRow { // tshark cuts the column there
			row, wanted = row[:min(len(row), longestRow)], wanted[:longestRow]
		}
		if row != wanted {
			if differences++; differences <= 10 {
				t.Errorf("row %d: %s, tshark %s", i+1, row, wanted)
			}
		}
	}
	t.Logf("%d rows compared, %d differences", min(len(got), len(want)), differences)
}

// largePayload publishes as much as tshark takes the mask off of in one frame: 256 KB less
// what stands before it.
func largePayload(s *scene) {
	a := s.connect("large")
	a.subscribes("large", 2)
	a.publishes(message{Topic: "large", Payload: bytes.Repeat([]byte("0123456789"), 26_000), QoS: 2})
	if got := a.receivesAny(); len(got.Payload) != 260_000 {
		a.Errorf("received %d bytes, want 260000", len(got.Payload))
	}
	a.leaves()
}

// TestInspectWebSocket: tshark does not put MQTT together over the frames of a WebSocket,
// but takes the frames apart. What it finds in them has to be our packets, byte for byte.
func TestInspectWebSocket(t *testing.T) {
	b := startWebSocketBroker(t, colibri)
	r := record(t)
	for _, l := range libraries {
		if l.name != "paho-python" && l.name != "mqtt.js" {
			continue
		}
		for _, v := range l.versions {
			d := l.open(t)
			for _, run := range []func(*scene){qualityOfService, largePayload, will} {
				run(&scene{T: t, broker: b, driver: d, version: v, library: l.name})
			}
		}
	}
	r.end(t, startBroker(t, colibri))

	got := map[string]string{}
	packets := 0
	for _, p := range inspectJSON(t, r.file, "--hex") {
		if p.Transport != "websocket" {
			continue
		}
		packets++
		if p.Error != "" {
			t.Errorf("frame %d: %s", p.Frame, p.Error)
		}
		got[p.Source] += p.Hex
	}
	want := map[string]string{}
	port := strconv.Itoa(b.port)
	for line := range strings.Lines(string(output(t, "tshark", "-r", r.file, "-d", "tcp.port=="+port+",http", "-Y", "websocket && data.data",
		"-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "data.data"))) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		from := "127.0.0.1:" + columns[0]
		if columns[0] == port { // told apart by whom it is for
			from = "to " + columns[1]
		}
		want[from] += strings.ReplaceAll(columns[2], ",", "")
	}
	compared := 0
	for from, digits := range want {
		if strings.HasPrefix(from, "to ") {
			continue
		}
		compared += len(digits) / 2
		if got[from] != digits {
			t.Errorf("%s: %d bytes in packets, tshark has %d in frames, or they differ", from, len(got[from])/2, len(digits)/2)
		}
	}
	fromServer := 0
	for from, digits := range want {
		if strings.HasPrefix(from, "to ") {
			fromServer += len(digits) / 2
		}
	}
	if n := len(got["127.0.0.1:"+port]) / 2; n != fromServer || packets == 0 || compared == 0 {
		t.Errorf("from the server %d bytes in packets, tshark has %d in frames", n, fromServer)
	}
	t.Logf("%d packets over WebSocket, %d bytes compared", packets, compared+fromServer)
}

// compareWithTshark compares packet by packet and field by field.
func compareWithTshark(t *testing.T, file string) {
	t.Helper()
	compareWith(t, inspectJSON(t, file), tsharkPackets(t, file, "-d", "tcp.port==20000-32000,mqtt"))
}

// compareWith compares what we see with what tshark sees.
func compareWith(t *testing.T, got []inspected, want []shownPacket) {
	t.Helper()
	fields, differences := 0, 0
	allowed := make([]int, len(allowances))
	differ := func(format string, values ...any) {
		differences++
		if differences <= 20 {
			t.Errorf(format, values...)
		}
	}
	for i := range min(len(got), len(want)) {
		ours, theirs := asTshark(got[i]), want[i]
		if ours.frame != theirs.frame {
			differ("packet %d: frame %d, tshark %d", i+1, ours.frame, theirs.frame)
			break
		}
		for j, a := range allowances {
			before := slices.Clone(ours.pairs)
			ours.pairs = a.adapts(got[i], ours.pairs)
			if !slices.Equal(before, ours.pairs) {
				allowed[j]++
			}
		}
		if got[i].Error != "" {
			differ("packet %d, frame %d: %s", i+1, ours.frame, got[i].Error)
		}
		if len(ours.pairs) != len(theirs.pairs) {
			differ("packet %d, frame %d, %s: fields\n%.2000v\ntshark\n%.2000v", i+1, ours.frame, got[i].Type, ours.pairs, theirs.pairs)
			continue
		}
		for j, o := range ours.pairs {
			fields++
			if o != theirs.pairs[j] {
				differ("packet %d, frame %d, %s: %.200v, tshark %.200v", i+1, ours.frame, got[i].Type, o, theirs.pairs[j])
			}
		}
	}
	if len(got) != len(want) {
		differ("%d packets, tshark has %d", len(got), len(want))
	}
	for j, a := range allowances {
		if allowed[j] > 0 {
			t.Logf("%d times allowed: %s", allowed[j], a.why)
		}
	}
	t.Logf("%d packets compared, %d fields compared, %d differences", min(len(got), len(want)), fields, differences)
}

// TestInspectLessons makes the captures that people learn MQTT with, and shows them.
func TestInspectLessons(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(t *testing.T, b *broker)
		want []string // the words of the rows
		tree []string // what the tree shows, in this order
	}{
		{"connect and subscribe", func(t *testing.T, b *broker) {
			tools := &bench{T: t, broker: b, tools: toolset(mosquitto)}
			s := tools.sub("-t", "maison/+/temperature", "-i", "thermostat")
			s.terminate(t)
			s.wait(t)
		}, []string{"Connect Command", "Connect Ack", "Subscribe Request (id=1) [maison/+/temperature]", "Subscribe Ack (id=1)"},
			[]string{"Ethernet II", "Internet Protocol Version 4", "Transmission Control Protocol", "MQ Telemetry Transport, Connect Command",
				"Protocol Name: \"MQTT\"", "..1. = Clean Session: 1", "Keep Alive: 60", "Client Identifier: \"thermostat\"",
				"Connect Return code: Accepted (0x00)", "Topic Filter: \"maison/+/temperature\"", "Return Code: Granted QoS 0 (0x00)"}},
		{"keep alive", func(t *testing.T, b *broker) {
			tools := &bench{T: t, broker: b, tools: toolset(mosquitto)}
			s := tools.sub("-t", "maison/#", "-k", "5")
			s.expect(t, "received PINGRESP")
			s.kill() // its handler of SIGTERM may hang when it comes just now
			s.wait(t)
		}, []string{"Connect Command", "Connect Ack", "Subscribe Request (id=1) [maison/#]", "Subscribe Ack (id=1)", "Ping Request", "Ping Response"},
			[]string{"Keep Alive: 5", "MQTT Control Packet type: PINGREQ", "MQTT Control Packet type: PINGRESP"}},
		{"three packets in one segment", func(t *testing.T, b *broker) {
			nc, err := net.Dial("tcp", b.address())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			io.WriteString(nc, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"+"\x30\x08\x00\x03a/bson"+"\xe0\x00")
			nc.SetReadDeadline(time.Now().Add(patience))
			io.Copy(io.Discard, nc)
		}, []string{"Connect Command, Publish Message [a/b], Disconnect Req", "Connect Ack"},
			[]string{"MQTT Control Packet type: CONNECT", "Topic Name: \"a/b\"", "Payload: \"son\"", "MQTT Control Packet type: DISCONNECT", "MQTT Control Packet type: CONNACK"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startBroker(t, colibri)
			r := record(t)
			tt.play(t, b)
			r.end(t, b)
			compareWithTshark(t, r.file)
			compareColumns(t, r.file)
			rows := strings.Split(strings.TrimSpace(string(output(t, colibri, "inspect", r.file))), "\n")[1:]
			for i, want := range tt.want {
				if i >= len(rows) || !strings.HasSuffix(rows[i], " "+want) {
					t.Errorf("row %d: got %q, want %q", i+1, rows[min(i, len(rows)-1)], want)
				}
			}
			tree := string(output(t, colibri, "inspect", r.file, "--tree"))
			for _, want := range tt.tree {
				_, rest, found := strings.Cut(tree, want)
				if !found {
					t.Errorf("the tree does not show %q behind what came before it", want)
					continue
				}
				tree = rest
			}
		})
	}
}

// waits waits until the program has printed text.
func (p *program) waits(t *testing.T, text string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(p.both.String(), text) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not print %q, but:\n%s", p.name, text, p.both)
		}
		<-time.After(time.Millisecond)
	}
}

// TestInspectTLS lets openssl speak TLS 1.2 and 1.3 to Mosquitto and write down the
// secrets: with them, colibri inspect sees what tshark sees.
func TestInspectTLS(t *testing.T) {
	dir, _ := makePKI(t)
	for _, suite := range [][]string{
		{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"},
		{"-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"},
		{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"}, // with encrypt_then_mac
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"},
	} {
		t.Run(strings.Join(suite, " "), func(t *testing.T) {
			b := startMosquitto(t, "user root", "allow_anonymous true", "certfile "+filepath.Join(dir, "server.crt"), "keyfile "+filepath.Join(dir, "server.key"))
			r := record(t)
			keys := filepath.Join(t.TempDir(), "keys")
			client := start(t, paths["openssl"], append([]string{"s_client", "-connect", b.address(), "-keylogfile", keys, "-CAfile", filepath.Join(dir, "ca.crt")}, suite...)...)
			io.WriteString(client.stdin, "\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"+"\x82\x09\x00\x01\x00\x00\x03a/b\x00")
			if suite[0] == "-tls1_3" {
				// Its command K changes the keys, once the answers are there.
				client.waits(t, "\x90\x04\x00\x01\x00\x00")
				io.WriteString(client.stdin, "K\n")
				client.waits(t, "KEYUPDATE")
			}
			io.WriteString(client.stdin, "\x30\xae\x9c\x01\x00\x03a/b\x00"+strings.Repeat("x", 20_000+8)+"\xe0\x00")
			client.wait(t)
			r.end(t, startBroker(t, colibri))

			want := tsharkPackets(t, r.file, "-o", "tls.keylog_file:"+keys, "-d", fmt.Sprintf("tls.port==%d,mqtt", b.port), "-d", fmt.Sprintf("tcp.port==%d,tls", b.port))
			got := slices.DeleteFunc(inspectJSON(t, r.file, "--port", strconv.Itoa(b.port), "--keylog", keys), func(p inspected) bool { return p.Transport != "tls" })
			if len(got) < 6 {
				t.Errorf("%d packets in TLS, want at least the 6 before DISCONNECT", len(got))
			}
			compareWith(t, got, want)
		})
	}
}
