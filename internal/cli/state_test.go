package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/wal"
	"github.com/colibri-mqtt/colibri/packet"
)

// stateEntries are a Session with two messages that wait and one in flight, the queue of a
// Shared Subscription, and a Retained Message.
func stateEntries() [][]journal.Entry {
	text := &colibri.Message{Topic: "a", Payload: []byte("é<1>"), QoS: 1, Properties: colibri.Properties{
		{ID: colibri.CorrelationData, Value: "\xff\x00"}, {ID: colibri.UserProperty, Name: "n", Value: "v"},
		{ID: colibri.PayloadFormatIndicator, Number: 1}}}
	binary := &colibri.Message{Topic: "b", Payload: []byte{0xff, 0}, QoS: 2, Expires: 3_000_000_001, Retain: true}
	return [][]journal.Entry{
		{journal.Format{Version: journal.FormatVersion}, journal.Recovered{At: 1_000_000_000}},
		{journal.SessionOpened{Session: 1, ClientID: "one", Version: colibri.V5, ExpiryInterval: 60},
			journal.WillStored{Session: 1, Delay: 5, Message: binary}, journal.WillAuthor{Session: 1, UserName: "ann", OwnRights: true}, journal.WillRemoved{Session: 1},
			journal.SubscriptionGranted{Session: 1, Subscription: colibri.Subscription{Filter: "a/#", QoS: 2, NoLocal: true, Identifier: 7}},
			journal.SubscriptionGranted{Session: 1, Subscription: colibri.Subscription{Filter: "b"}},
			journal.SubscriptionRemoved{Session: 1, Filter: "b"}},
		{journal.MessageStored{Number: 1, Message: text},
			journal.DeliveryQueued{Session: 1, Delivery: 1, Message: 1, QoS: 2, Identifiers: []uint32{7}, Share: "x"},
			journal.DeliveryQueued{Session: 1, Delivery: 2, Message: 1, QoS: 1},
			journal.DeliveryQueued{Session: 1, Delivery: 3, Message: 1, QoS: 1},
			journal.DeliverySent{Session: 1, Delivery: 1, PacketID: 9}, journal.PubrecReceived{Session: 1, Delivery: 1, PacketID: 9}},
		{journal.PublishReceived{Session: 1, PacketID: 4}, journal.PubrelReceived{Session: 1, PacketID: 4},
			journal.SessionClosed{Session: 1, At: 2_000_000_000, ExpiryInterval: 60},
			journal.SessionOpened{Session: 2, ClientID: "\x00$share/g/a", Version: colibri.V5, ExpiryInterval: 0xFFFFFFFF},
			journal.DeliveryQueued{Session: 2, Delivery: 1, Message: 1, QoS: 1}, journal.DeliveryEnded{Session: 2, Delivery: 1},
			journal.DeliveriesSettled{Session: 2, First: 1, Last: 4}},
		{journal.RetainedSet{Number: 1, Message: binary}, journal.RetainedRemoved{Number: 2, Topic: "c"},
			journal.SessionOpened{Session: 3, ClientID: "gone", Version: colibri.V311}, journal.SessionEnded{Session: 3}},
	}
}

// writeState writes a state, one record for each list of entries, and returns its directory.
func writeState(t *testing.T, records [][]journal.Entry) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "colibri")
	l, err := wal.Open(dir, wal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range records {
		var b []byte
		for _, e := range entries {
			b = journal.Append(b, e)
		}
		done := make(chan error, 1)
		l.Append(b, func(_ wal.Pos, err error) { done <- err })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

const firstSegment = "0000000001.wal"

// editState changes the first segment of a state.
func editState(t *testing.T, dir string, change func(b []byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, firstSegment)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func cutLast(b []byte) []byte { return b[:len(b)-3] }

// damageSecond changes a byte of the second record: the first ends within its sector.
func damageSecond(b []byte) []byte {
	b[1024+20] ^= 1
	return b
}

func otherVersion(b []byte) []byte {
	b[8] = 2
	return b
}

// runStateCommand runs "colibri state" and returns what it printed. DIR stands for dir.
func runStateCommand(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "DIR", dir)
	}
	var out, errors bytes.Buffer
	code = run(t.Context(), append([]string{"colibri", "state"}, args...), strings.NewReader(""), &out, &errors)
	return code, strings.ReplaceAll(out.String(), dir, "DIR"), strings.ReplaceAll(errors.String(), dir, "DIR")
}

// wantState runs "colibri state" and compares all that comes of it.
func wantState(t *testing.T, dir, command string, code int, stdout, stderr string) {
	t.Helper()
	gotCode, gotOut, gotErr := runStateCommand(t, dir, strings.Fields(command)...)
	if gotCode != code {
		t.Errorf("state %s: exit code: got %d, want %d", command, gotCode, code)
	}
	if diff := cmp.Diff(stdout, gotOut); diff != "" {
		t.Errorf("state %s: standard output: want (-), got (+):\n%s", command, diff)
	}
	if diff := cmp.Diff(stderr, gotErr); diff != "" {
		t.Errorf("state %s: standard error: want (-), got (+):\n%s", command, diff)
	}
}

const wholeState = `The state in DIR is whole.
  segments             1
  bytes                2604
  entries              26
  sessions             1
  shared queues        1
  subscriptions        1
  queued messages      2
  messages in flight   1
  retained messages    1
`

func TestStateCheck(t *testing.T) {
	dir := writeState(t, stateEntries())
	wantState(t, dir, "check DIR", exitOK, wholeState, "")
	wantState(t, dir, "check --json DIR", exitOK, `{"directory":"DIR","ok":true,"segments":1,"bytes":2604,"frames":5,"entries":26,`+
		`"sessions":1,"shared_queues":1,"subscriptions":1,"queued":2,"in_flight":1,"retained":1,"torn":null}`+"\n", "")
	wantState(t, dir, "repair DIR", exitOK, "Nothing has to be repaired.\n", "")

	t.Run("where a configuration says", func(t *testing.T) {
		conf := writeConfig(t, "persistence_location "+filepath.Dir(dir)+"\n")
		wantState(t, dir, "check -c "+conf, exitOK, wholeState, "")
	})
	t.Run("where a broker without a configuration has it", func(t *testing.T) {
		home := t.TempDir()
		t.Setenv("XDG_STATE_HOME", home)
		own := filepath.Join(home, "colibri", "1883")
		if err := os.CopyFS(own, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		wantState(t, own, "check", exitOK, wholeState, "")
		conf := writeConfig(t, "listener 0 127.0.0.1\n")
		wantState(t, own, "check -c "+conf, exitConfig, "", "Error: A broker of this configuration keeps no state, as its port changes with each start.\n")
	})
	t.Run("a directory above", func(t *testing.T) {
		wantState(t, filepath.Dir(dir), "check DIR", exitStateBad, "", "Error: There is no state in DIR: did you mean DIR/colibri.\n")
	})
	t.Run("a directory that is not there", func(t *testing.T) {
		wantState(t, dir+"2", "check DIR", exitStateBad, "", "Error: Open log: open DIR: no such file or directory.\n")
		wantState(t, dir+"2", "repair DIR --yes", exitStateBad, "", "Error: Open log: open DIR: no such file or directory.\n")
	})
	t.Run("an empty directory", func(t *testing.T) {
		empty := t.TempDir()
		const text = "Error: There is no state in DIR: a broker keeps it in the directory colibri of its persistence_location, or in colibri/PORT where it has none.\n"
		for _, verb := range []string{"check", "dump", "repair", "repair --yes"} {
			wantState(t, empty, verb+" DIR", exitStateBad, "", text)
		}
		if left, err := os.ReadDir(empty); len(left) > 0 || err != nil {
			t.Errorf("got %v and error %v, want it left empty", left, err)
		}
	})
}

func TestStateDump(t *testing.T) {
	dir := writeState(t, stateEntries())
	code, got, _ := runStateCommand(t, dir, "dump", "DIR")
	if code != exitOK {
		t.Errorf("exit code: got %d, want 0", code)
	}
	want := []string{
		`{"segment":1,"offset":512,"byte":0,"entry":"Format","version":1,"last_session":0,"last_message":0,"last_retained":0}`,
		`{"segment":1,"offset":512,"byte":6,"entry":"Recovered","at":"1970-01-01T00:00:01Z"}`,
		`"entry":"SessionOpened","session":1,"client_id":"one","version":"5.0","expiry_interval":60}`,
		`"entry":"WillStored","session":1,"delay":5,"message":{"topic":"b","qos":2,"retain":true,"expires":"1970-01-01T00:00:03.000000001Z","payload_base64":"/wA="}}`,
		`"entry":"WillAuthor","session":1,"user":"ann","own_rights":true}`,
		`"entry":"WillRemoved","session":1}`,
		`"entry":"SubscriptionGranted","session":1,"filter":"a/#","qos":2,"no_local":true,"retain_as_published":false,"retain_handling":0,"identifier":7}`,
		`"entry":"SubscriptionGranted","session":1,"filter":"b","qos":0,"no_local":false,"retain_as_published":false,"retain_handling":0,"identifier":0}`,
		`"entry":"SubscriptionRemoved","session":1,"filter":"b"}`,
		`"entry":"MessageStored","number":1,"message":{"topic":"a","qos":1,"retain":false,"properties":[{"property":"correlation-data","value_base64":"/wA="},` +
			`{"property":"user-property","name":"n","value":"v"},{"property":"payload-format-indicator","value":1}],"payload":"é<1>"}}`,
		`"entry":"DeliveryQueued","session":1,"delivery":1,"message":1,"qos":2,"retain":false,"identifiers":[7],"share":"x"}`,
		`"entry":"DeliveryQueued","session":1,"delivery":2,"message":1,"qos":1,"retain":false}`,
		`"entry":"DeliveryQueued","session":1,"delivery":3,"message":1,"qos":1,"retain":false}`,
		`"entry":"DeliverySent","session":1,"delivery":1,"packet_id":9}`,
		`"entry":"PubrecReceived","session":1,"delivery":1,"packet_id":9}`,
		`"entry":"PublishReceived","session":1,"packet_id":4}`,
		`"entry":"PubrelReceived","session":1,"packet_id":4}`,
		`"entry":"SessionClosed","session":1,"at":"1970-01-01T00:00:02Z","expiry_interval":60}`,
		`"entry":"SessionOpened","session":2,"shared_queue":"$share/g/a","version":"5.0","expiry_interval":4294967295}`,
		`"entry":"DeliveryQueued","session":2,"delivery":1,"message":1,"qos":1,"retain":false}`,
		`"entry":"DeliveryEnded","session":2,"delivery":1}`,
		`"entry":"DeliveriesSettled","session":2,"first":1,"last":4}`,
		`"entry":"RetainedSet","number":1,"message":{"topic":"b","qos":2,"retain":true,"expires":"1970-01-01T00:00:03.000000001Z","payload_base64":"/wA="}}`,
		`"entry":"RetainedRemoved","number":2,"topic":"c"}`,
		`"entry":"SessionOpened","session":3,"client_id":"gone","version":"3.1.1","expiry_interval":0}`,
		`"entry":"SessionEnded","session":3}`,
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d:\n%s", len(lines), len(want), got)
	}
	for i, line := range lines {
		if !json.Valid([]byte(line)) || !strings.HasSuffix(line, want[i]) {
			t.Errorf("line %d: got  %s\nwant the end %s", i+1, line, want[i])
		}
	}
}

// A crash has cut off the last record: state says so and cuts it when it is told to, and a
// broker cuts it when it starts.
func TestStateTorn(t *testing.T) {
	torn := func(t *testing.T) string {
		dir := writeState(t, stateEntries())
		editState(t, dir, cutLast)
		return dir
	}
	dir := torn(t)
	const where = "DIR/0000000001.wal, offset 2560: the record is not whole"
	code, out, _ := runStateCommand(t, dir, "check", "DIR")
	if want := "A crash has cut off its last write, which nobody was promised: " + where + ". The broker cuts it when it starts.\n"; code != exitOK || !strings.HasSuffix(out, want) {
		t.Errorf("check: got exit code %d and %q, want 0 and the end %q", code, out, want)
	}
	code, out, _ = runStateCommand(t, dir, "check", "--json", "DIR")
	if want := `"torn":{"file":"DIR/0000000001.wal","offset":2560,"reason":"the record is not whole"}}`; code != exitOK || !strings.Contains(out, want) {
		t.Errorf("check --json: got exit code %d and %s, want 0 and %s", code, out, want)
	}
	if _, _, got := runStateCommand(t, dir, "dump", "DIR"); !strings.HasPrefix(got, "Warning: The last write was cut off by a crash and is not printed: "+where) {
		t.Errorf("dump: got %q, want a warning", got)
	}
	before, err := os.ReadFile(filepath.Join(dir, firstSegment))
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, dir, "repair DIR", exitStateUntold, "This would be cut: "+where+": the end of a write that a crash has cut off. Say --yes to cut it.\n", "")
	if after, _ := os.ReadFile(filepath.Join(dir, firstSegment)); !bytes.Equal(before, after) {
		t.Error("repair without --yes has changed the file")
	}
	wantState(t, dir, "repair --yes DIR", exitOK, "Cut: "+where+": the end of a write that a crash has cut off.\n", "")
	wantState(t, dir, "repair DIR", exitOK, "Nothing has to be repaired.\n", "")
	if after, _ := os.ReadFile(filepath.Join(dir, firstSegment)); !bytes.HasPrefix(before, after) {
		t.Error("repair has changed more than the end")
	}

	dir = torn(t)
	b := startConfigured(t, fmt.Sprintf("listener 0 127.0.0.1\npersistence true\npersistence_location %s\n", filepath.Dir(dir)))
	b.until("The state was cut where the last write before a crash had stopped, which nobody was promised: " +
		regexp.QuoteMeta(strings.ReplaceAll(where, "DIR", dir)))
	b.address()
	b.end()
}

// What was recorded and is not there any more is never repaired, and no broker starts with it.
func TestStateDamaged(t *testing.T) {
	unknown := append(stateEntries()[:1:1], []journal.Entry{journal.DeliveryQueued{Session: 1, Delivery: 1, Message: 5}})
	unknown[1] = append([]journal.Entry{journal.SessionOpened{Session: 1, ClientID: "c", Version: colibri.V5}}, unknown[1]...)
	tests := []struct {
		name    string
		records [][]journal.Entry
		damage  func(b []byte) []byte
		offset  int
		text    string
		fold    bool // the checksums are right
	}{
		{"an earlier record", stateEntries(), damageSecond, 1024, `DIR/0000000001.wal, offset 1024: the record is not whole, but what was written after it, at offset 1536, is whole: ` +
			`the log is damaged; bring the file back from a copy, or move the directory away and begin an empty log`, false},
		{"another version", stateEntries(), otherVersion, 0, `DIR/0000000001.wal: has format 2 and this program reads format 1: use the program that wrote it`, false},
		{"an entry that cannot be", unknown, nil, 1024, `DIR/0000000001.wal, offset 1024: journal entry, byte 7: no Message 5 is stored, and Delivery 1 of Session 1 (client "c") refers to it`, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := writeState(t, test.records)
			if test.damage != nil {
				editState(t, dir, test.damage)
			}
			before, err := os.ReadFile(filepath.Join(dir, firstSegment))
			if err != nil {
				t.Fatal(err)
			}
			sentence := "The state cannot be read: " + test.text + "."
			wantState(t, dir, "check DIR", exitStateBad, "", "Error: "+sentence+"\n")
			code, out, _ := runStateCommand(t, dir, "check", "DIR", "--json")
			var got struct {
				OK          bool
				Error, File string
				Offset      int
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitStateBad || got.OK || got.Error != sentence || got.File != "DIR/"+firstSegment || got.Offset != test.offset {
				t.Errorf("check --json: got exit code %d and %s (%v), want 1 and file and offset %d", code, out, err, test.offset)
			}
			if !test.fold {
				if code, _, text := runStateCommand(t, dir, "dump", "DIR"); code != exitStateBad || text != "Error: "+sentence+"\n" {
					t.Errorf("dump: got exit code %d and %q, want 1 and the same sentence", code, text)
				}
				wantState(t, dir, "repair --yes DIR", exitStateBad, "", "Error: "+sentence+"\n")
			}

			b := startConfigured(t, fmt.Sprintf("listener 0 127.0.0.1\npersistence true\npersistence_location %s\n", filepath.Dir(dir)))
			inner := strings.ReplaceAll(test.text, "DIR", dir)
			b.until("Error: .*" + regexp.QuoteMeta(inner) + `\.`)
			if code := <-b.exit; code != exitBrokerFailed {
				t.Errorf("exit code of the broker: got %d, want 1", code)
			}
			if after, _ := os.ReadFile(filepath.Join(dir, firstSegment)); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// While a broker runs, repair refuses.
func TestStateInUse(t *testing.T) {
	location := t.TempDir()
	dir := filepath.Join(location, "colibri")
	b := startConfigured(t, fmt.Sprintf("listener 0 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s\n", location))
	client := dialRaw(t, "tcp", b.address(), colibri.V311)
	client.connect(packet.Connect{ClientID: "c", CleanStart: true})
	want := fmt.Sprintf("Error: A broker (process %d) keeps its state in DIR: stop it first; it cuts a torn end by itself when it starts.\n", os.Getpid())
	wantState(t, dir, "repair DIR", exitStateBad, "", want)
	wantState(t, dir, "repair DIR --yes", exitStateBad, "", want)
	b.end()
	wantState(t, dir, "repair DIR", exitOK, "Nothing has to be repaired.\n", "")
}

func TestStateUsage(t *testing.T) {
	const see = "\n\nUse 'colibri state --help' to see usage.\n"
	for _, test := range []struct{ command, text string }{
		{"", "Error: Say what to do: check, dump or repair." + see},
		{"chek", "Error: Unknown command 'chek'; there are check, dump and repair." + see},
		{"check a b", "Error: There is a second directory, 'b'; give one." + see},
		{"check -x", "Error: Unknown option '-x'." + see},
		{"check --yes", "Error: '--yes' belongs behind 'repair'." + see},
		{"dump -c", "Error: '-c' needs a FILE behind it." + see},
		{"dump -c x y", "Error: Give a directory or a configuration, not both." + see},
	} {
		wantState(t, "/nowhere", test.command, exitConfig, "", test.text)
	}
	code, out, _ := runStateCommand(t, "/nowhere", "--help")
	if code != exitOK || !strings.Contains(out, "colibri state {check | dump | repair} [DIR] [FLAGS]") {
		t.Errorf("--help: got exit code %d and %s", code, out)
	}
	var offers []string
	for _, args := range [][]string{{}, {"repair"}} {
		for _, typed := range []string{"", "--"} {
			found, _ := completeState(args, typed)
			for _, one := range found {
				name, _, _ := strings.Cut(one, "\t")
				offers = append(offers, name)
			}
		}
	}
	if got, want := strings.Join(offers, " "), "check dump repair --config-file --yes --help"; got != want {
		t.Errorf("completion: got %s, want %s", got, want)
	}
}
