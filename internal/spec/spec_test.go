package spec

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestStatements(t *testing.T) {
	lists := []struct {
		name   string
		prefix string
		list   []Statement
		want   int
	}{
		{"5.0", "MQTT-", Statements5(), 251},
		{"3.1.1", "MQTT311-", Statements311(), 140},
	}
	seen := map[string]bool{}
	for _, list := range lists {
		if len(list.list) != list.want {
			t.Errorf("%s: got %d statements, want %d", list.name, len(list.list), list.want)
		}
		for _, s := range list.list {
			if seen[s.ID] {
				t.Errorf("%s stands in the lists twice", s.ID)
			}
			seen[s.ID] = true
			if !strings.HasPrefix(s.ID, list.prefix) || !slices.Equal(Named(s.ID), []string{s.ID}) {
				t.Errorf("%q is not an id of %s", s.ID, list.name)
			}
			if !slices.Contains([]Party{Server, Client, Both}, s.Binds) {
				t.Errorf("%s binds %q, want Server, Client or Both", s.ID, s.Binds)
			}
			if words := len(strings.Fields(s.Short)); words < 3 || words > 13 {
				t.Errorf("%s: %q has %d words, want a short sentence", s.ID, s.Short, words)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	got, ok := Lookup("MQTT-3.1.0-2")
	want := Statement{"MQTT-3.1.0-2", Server, "3.1", "A second CONNECT is a Protocol Error and ends the connection"}
	if !ok || got != want {
		t.Errorf("got %+v, %v, want %+v, true", got, ok, want)
	}
	if got, ok := Lookup("MQTT-3.1.0"); ok {
		t.Errorf("got %+v for an id that does not exist", got)
	}
	for id, want := range map[string]string{"MQTT-4.2-1": "4.2", "MQTT-6.0.0-1": "6", "MQTT311-3.10.4-2": "3.10.4"} {
		if got, _ := Lookup(id); got.Section != want {
			t.Errorf("%s: got section %q, want %q", id, got.Section, want)
		}
	}
}

func TestListsAreTheCallers(t *testing.T) {
	Statements5()[0].ID = "changed"
	if got := Statements5()[0].ID; got == "changed" {
		t.Error("a change to the returned slice changed the list")
	}
}

func TestUnobservable(t *testing.T) {
	for id := range unobservable {
		if _, ok := Lookup(id); !ok {
			t.Errorf("%s does not exist", id)
		}
		if reason, ok := Unobservable(id); !ok || reason == "" {
			t.Errorf("%s: got reason %q, %v, want one", id, reason, ok)
		}
	}
	if reason, ok := Unobservable("MQTT-3.1.2-5"); ok {
		t.Errorf("MQTT-3.1.2-5: got reason %q, want none", reason)
	}
}

const testFile = `package broker

// Not in a test: [MQTT-1.5.4-1].

// What the table is for: [MQTT-1.5.4-2].
var table = []string{"[MQTT-1.5.4-3]"}

const id = "MQTT-1.5.5-1"

// TestConnect shows [MQTT-3.1.2-5].
func TestConnect(t *testing.T) {
	t.Run("second [MQTT-3.1.0-2] [MQTT311-3.1.0-2]", func(t *testing.T) {
		// MQTT-3.1.2-1, and again MQTT-3.1.0-2
	})
}

func FuzzConnect(f *testing.F) { _ = "MQTT-3.1.0-2" }

func BenchmarkConnect(b *testing.B) { _ = "MQTT-3.1.2-2" }

func check() { _ = "MQTT-3.1.2-3" }

func (s suite) TestMethod() { _ = "MQTT-3.1.2-4" }
`

func TestCoverage(t *testing.T) {
	fsys := fstest.MapFS{}
	for name, text := range map[string]string{
		"broker/connect_test.go":                   testFile,
		"broker/connect.go":                        "package broker // MQTT-3.1.3-1",
		"session/testdata/will/delay.txt":          "# [MQTT-3.1.2-8]",
		"cli/testdata/pub.txtar":                   "# MQTT-3.1.2-5",
		"cli/notes.txt":                            "MQTT-3.1.3-2",
		"client/server_test.go":                    "package client\n\nfunc TestServer() { /* MQTT-4.12.0-2 binds the Server, MQTT-4.12.0-3 the Client */ }\n",
		"internal/session/client_test.go":          "package session\n\nfunc TestClient() { /* MQTT-4.12.0-2, MQTT-4.12.0-3 */ }\n",
		"session/testdata/bad_test.go.md":          "MQTT-3.1.3-3",
		"test/interop/paho_test.go":                "package interop\n\nfunc TestPaho() { /* MQTT-3.1.2-5 */ }\n",
		"internal/spec/spec_test.go":               "package spec\n\nfunc TestSpec() { /* MQTT-3.1.3-4 */ }\n",
		".git/old_test.go":                         "package old\n\nfunc TestOld() { /* MQTT-3.1.3-5 */ }\n",
		"web/node_modules/testdata/something.txt":  "MQTT-3.1.3-6",
		"internal/tidy/testdata/something/bad.txt": "MQTT-3.1.3-7",
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	got, err := Coverage(fsys)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Test{
		"MQTT-1.5.4-2": {{"broker/connect_test.go", ""}},
		"MQTT-1.5.4-3": {{"broker/connect_test.go", ""}},
		"MQTT-3.1.2-5": {
			{"broker/connect_test.go", "TestConnect"},
			{"cli/testdata/pub.txtar", ""},
			{"test/interop/paho_test.go", "TestPaho"},
		},
		"MQTT-3.1.0-2":    {{"broker/connect_test.go", "FuzzConnect"}, {"broker/connect_test.go", "TestConnect"}},
		"MQTT311-3.1.0-2": {{"broker/connect_test.go", "TestConnect"}},
		"MQTT-3.1.2-1":    {{"broker/connect_test.go", "TestConnect"}},
		"MQTT-4.12.0-2":   {{"internal/session/client_test.go", "TestClient"}},
		"MQTT-4.12.0-3":   {{"client/server_test.go", "TestServer"}},
		"MQTT-3.1.2-8":    {{"session/testdata/will/delay.txt", ""}},
	}
	for id, tests := range want {
		if !slices.Equal(got[id], tests) {
			t.Errorf("%s: got %v, want %v", id, got[id], tests)
		}
	}
	for id, tests := range got {
		if _, ok := want[id]; !ok {
			t.Errorf("%s: got %v, want nothing", id, tests)
		}
	}
}

func TestCoverageOfFileThatDoesNotParse(t *testing.T) {
	fsys := fstest.MapFS{"broker/bad_test.go": &fstest.MapFile{Data: []byte("package")}}
	if got, err := Coverage(fsys); err == nil {
		t.Errorf("got %v and no error, want an error", got)
	}
}
