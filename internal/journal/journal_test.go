package journal

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/google/go-cmp/cmp"
)

const second = int64(1_000_000_000)

var wholeMessage = &colibri.Message{
	Topic:   "a/b",
	Payload: []byte("hi"),
	QoS:     colibri.ExactlyOnce,
	Retain:  true,
	Expires: 2 * second,
	Properties: colibri.Properties{}.AppendNumber(colibri.MessageExpiryInterval, 300).
		AppendValue(colibri.ContentType, "t").AppendUser("k", "v"),
}

// formatTable is the format on disk. A line of it never changes, as there are logs that
// hold these bytes.
var formatTable = []struct {
	name  string
	entry Entry
	hex   string
}{
	{"format", Format{FormatVersion, 2, 300, 4}, "06 01 01 02 ac02 04"},
	{"recovered", Recovered{second}, "06 02 8094ebdc03"},
	{"checkpoint", Checkpoint{300, End}, "04 03 ac02 03"},
	{"session opened", SessionOpened{1, "ab", colibri.V5, 3600}, "08 10 01 05 901c 02 6162"},
	{"session opened, no ClientID, for ever", SessionOpened{200, "", colibri.V311, 0xFFFFFFFF}, "0a 10 c801 04 ffffffff0f 00"},
	{"session closed", SessionClosed{1, second, 0}, "08 11 01 8094ebdc03 00"},
	{"session ended", SessionEnded{129}, "03 12 8101"},
	{"will stored", WillStored{1, 5, &colibri.Message{Topic: "w", Payload: []byte("x"), QoS: 1}}, "08 18 01 05 01 01 77 01 78"},
	{"will's author", WillAuthor{1, "ann", true}, "07 1A 01 01 03 61 6E 6E"},
	{"will removed", WillRemoved{1}, "02 19 01"},
	{"subscription granted", SubscriptionGranted{1, colibri.Subscription{Filter: "a/#", QoS: 2, NoLocal: true,
		RetainAsPublished: true, RetainHandling: colibri.NoRetained, Identifier: 130}}, "09 20 01 2e 8201 03 612f23"},
	{"subscription granted, plain", SubscriptionGranted{1, colibri.Subscription{Filter: "a"}}, "06 20 01 00 00 01 61"},
	{"subscription removed", SubscriptionRemoved{1, "a/#"}, "06 21 01 03 612f23"},
	{"retained set", RetainedSet{7, wholeMessage}, "20 30 07 1e 03 612f62 80a8d6b907 03 02ac020000 0300000174 2600016b0176 02 6869"},
	{"retained removed", RetainedRemoved{8, "a/b"}, "06 31 08 03 612f62"},
	{"message stored", MessageStored{300, &colibri.Message{Topic: "t", Payload: []byte("p"), QoS: 1}}, "08 40 ac02 01 01 74 01 70"},
	{"message stored, nothing in it", MessageStored{1, &colibri.Message{}}, "05 40 01 00 00 00"},
	{"message stored, length of two bytes", MessageStored{1, &colibri.Message{Payload: make([]byte, 123)}},
		"8001 40 01 00 00 7b" + strings.Repeat("00", 123)},
	{"delivery queued", DeliveryQueued{1, 2, 3, colibri.AtLeastOnce, false, nil, ""}, "05 50 01 02 03 01"},
	{"delivery queued, shared", DeliveryQueued{1, 2, 3, colibri.AtLeastOnce, false, nil, "$share/g/a"},
		"10 50 01 02 03 11 0A 24 73 68 61 72 65 2F 67 2F 61"},
	{"delivery queued, identifiers", DeliveryQueued{1, 2, 3, colibri.ExactlyOnce, true, []uint32{1, 268_435_455}, ""},
		"0b 50 01 02 03 0e 02 01 ffffff7f"},
	{"delivery sent", DeliverySent{1, 2, 65_535}, "06 51 01 02 ffff03"},
	{"pubrec received", PubrecReceived{1, 2, 3}, "04 52 01 02 03"},
	{"delivery ended", DeliveryEnded{1, 2}, "03 53 01 02"},
	{"deliveries settled", DeliveriesSettled{1, 2, 300}, "05 54 01 02 ac02"},
	{"publish received", PublishReceived{1, 2}, "03 60 01 02"},
	{"pubrel received", PubrelReceived{1, 2}, "03 61 01 02"},
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFormat(t *testing.T) {
	for _, test := range formatTable {
		t.Run(test.name, func(t *testing.T) {
			want := unhex(t, test.hex)
			if got := Append([]byte{0xEE}, test.entry); string(got) != "\xEE"+string(want) {
				t.Errorf("Append: got %x, want ee%x", got, want)
			}
			got, n, err := Decode(append(want, 0x02, 0x12))
			if err != nil || n != len(want) {
				t.Fatalf("Decode: got %d bytes, error %v, want %d bytes", n, err, len(want))
			}
			if diff := cmp.Diff(test.entry, got); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFormatIsWhole keeps a type from being without its line in formatTable.
func TestFormatIsWhole(t *testing.T) {
	seen := map[byte]bool{}
	for _, test := range formatTable {
		b := unhex(t, test.hex)
		if b[0] >= 0x80 {
			b = b[1:]
		}
		seen[b[1]] = true
	}
	for code := range 256 {
		known := (&reader{}).entry(byte(code)) != nil
		if known != seen[byte(code)] {
			t.Errorf("type 0x%02X: decoded %v, in the table %v", code, known, seen[byte(code)])
		}
	}
}

func TestEveryPrefixIsIncomplete(t *testing.T) {
	for _, test := range formatTable {
		whole := unhex(t, test.hex)
		for n := range whole {
			if e, size, err := Decode(whole[:n:n]); err != io.ErrUnexpectedEOF || e != nil || size != 0 {
				t.Errorf("%s, %d of %d bytes: got %v, %d, %v, want io.ErrUnexpectedEOF", test.name, n, len(whole), e, size, err)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, test := range []struct{ name, hex, want string }{
		{"space that was never written", "0000", "byte 0: length is 0"},
		{"length of a gigabyte", "8080808004 10", "byte 0: length is greater than 512 MB"},
		{"length of eleven bytes", "ffffffffffffffffffff01", "byte 0: length is greater than 512 MB"},
		{"length too long by a byte", "8300 53 01 02", "byte 0: length is not in its shortest form"},
		{"nothing but a type", "01 53", "byte 2, type 0x53: Session is cut off"},
		{"cut off by the length", "02 53 01 02", "byte 3, type 0x53: Delivery is cut off"},
		{"too long", "05 53 01 02 00 00", "byte 4, type 0x53: 2 bytes too many"},
		{"number too long by a byte", "04 53 8100 02", "byte 2, type 0x53: Session is not in its shortest form"},
		{"Session 0", "03 53 00 02", "byte 3, type 0x53: Session is 0"},
		{"Packet Identifier 0", "04 51 01 02 00", "byte 5, type 0x51: Packet Identifier is 0"},
		{"Packet Identifier 65,536", "06 51 01 02 808004", "byte 4, type 0x51: Packet Identifier is too large"},
		{"Protocol Version 6", "06 10 01 06 00 01 61", "byte 7, type 0x10: Protocol Version is unknown"},
		{"Session Expiry Interval of 33 bits", "0a 10 01 05 ffffffff1f 01 61", "byte 4, type 0x10: Session Expiry Interval is too large"},
		{"ClientID longer than the entry", "06 10 01 05 00 7f 61", "byte 6, type 0x10: Client Identifier is cut off"},
		{"time 0", "04 11 01 00 00", "byte 4, type 0x11: time of closing is 0"},
		{"time of 64 bits", "0d 11 01 ffffffffffffffffff01 00", "byte 3, type 0x11: time of closing is too large"},
		{"Subscription Options with a reserved bit", "06 20 01 40 00 01 61", "byte 3, type 0x20: Subscription Options have unknown bits"},
		{"QoS 3", "06 20 01 03 00 01 61", "byte 4, type 0x20: QoS is 3"},
		{"Retain Handling 3", "06 20 01 30 00 01 61", "byte 7, type 0x20: Retain Handling is 3"},
		{"Message with a flag of the future", "06 40 01 20 00 00 00", "byte 3, type 0x40: Message flags have unknown bits"},
		{"properties that are none", "06 40 01 08 00 00 00", "byte 6, type 0x40: Properties are none"},
		{"more properties than bytes", "08 40 01 08 00 02 02 00 00", "byte 6, type 0x40: Properties are cut off"},
		{"payload longer than the entry", "06 40 01 00 00 7f 00", "byte 6, type 0x40: Payload is cut off"},
		{"identifiers that are none", "06 50 01 02 03 09 00", "byte 7, type 0x50: Subscription Identifiers are none"},
		{"Subscription Identifier 0", "07 50 01 02 03 09 01 00", "byte 8, type 0x50: Subscription Identifier is 0"},
		{"settled from behind", "04 54 01 03 02", "byte 5, type 0x54: first Delivery is after the last"},
		{"type of the future", "03 7f 01 02", "byte 1, type 0x7F: unknown type: a newer version of Colibri wrote it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, n, err := Decode(unhex(t, test.hex))
			if err == nil || err.Error() != "journal entry, "+test.want {
				t.Errorf("got  %v\nwant journal entry, %s", err, test.want)
			}
			want := 0
			if strings.Contains(test.want, "unknown type") {
				want = 4
			}
			if n != want {
				t.Errorf("length: got %d, want %d", n, want)
			}
		})
	}
}

func TestFoldSaysWhere(t *testing.T) {
	opened := Append(nil, SessionOpened{1, "a", colibri.V5, 60}) // 7 bytes
	queued := Append(opened, DeliveryQueued{1, 1, 9, 1, false, nil, ""})
	for _, test := range []struct {
		name string
		b    []byte
		want string
	}{
		{"unknown type", append(opened[:7:7], 2, 0x7F, 1), "journal entry, byte 8, type 0x7F: unknown type: a newer version of Colibri wrote it"},
		{"incomplete", append(opened[:7:7], 2, 0x12), "journal entry, byte 7: unexpected EOF"},
		{"no such Message", queued, `journal entry, byte 7: no Message 9 is stored, and Delivery 1 of Session 1 (client "a") refers to it`},
		{"another's Session", Append(opened[:7:7], SessionOpened{1, "b", colibri.V5, 60}),
			`journal entry, byte 7: the Session with number 1 belongs to client "a", not to "b"`},
		{"format of the future", Append(nil, Format{Version: 2}),
			"journal entry, byte 0: the journal has format 2, this version of Colibri reads format 1: start the version that wrote it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := NewState().Fold(test.b)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	if err := NewState().Fold(opened[:3]); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("incomplete: got %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestFoldKeepsNothingOfItsBytes(t *testing.T) {
	b := Append(nil, RetainedSet{1, wholeMessage})
	s := NewState()
	if err := s.Fold(b); err != nil {
		t.Fatal(err)
	}
	clear(b)
	if diff := cmp.Diff(wholeMessage, s.Retained["a/b"].Message); diff != "" {
		t.Errorf("after the bytes changed (-want +got):\n%s", diff)
	}
}

func TestAppendPanics(t *testing.T) {
	for name, e := range map[string]Entry{
		"nil":        nil,
		"pointer":    &SessionEnded{1},
		"no Message": MessageStored{Number: 1},
		"no time":    SessionClosed{Session: 1},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			Append(nil, e)
		})
	}
}
