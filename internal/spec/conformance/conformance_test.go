package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colibri-mqtt/colibri/internal/spec"
)

const connectTest = "package broker\n\nfunc TestConnect() { /* [MQTT-3.1.2-5] [MQTT311-3.1.0-2] */ }\n"

// newModule returns the root of a module with one test in it.
func newModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                 "module example.org/house\n",
		"broker/connect_test.go": connectTest,
		"docs/index.md":          "# Documents\n",
	} {
		write(t, filepath.Join(root, name), text)
	}
	return root
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWriteThenCheck(t *testing.T) {
	root := newModule(t)
	var out strings.Builder
	if err := run(root, true, &out); err == nil {
		t.Error("check: got no error while the page does not exist")
	}
	out.Reset()
	if err := run(root, false, &out); err != nil {
		t.Fatal(err)
	}
	want := "MQTT 5.0: 1 of 251 statements have a test\nMQTT 3.1.1: 1 of 140 statements have a test\n"
	if out.String() != want {
		t.Errorf("got output %q, want %q", out.String(), want)
	}
	if err := run(root, true, &out); err != nil {
		t.Errorf("check of a fresh page: got %v, want no error", err)
	}

	write(t, filepath.Join(root, "broker/connect_test.go"), strings.Replace(connectTest, "3.1.2-5", "3.1.2-6", 1))
	out.Reset()
	err := run(root, true, &out)
	if err == nil || !strings.Contains(err.Error(), command) {
		t.Errorf("check of an old page: got error %v, want one that names the command", err)
	}
	if out.String() != want {
		t.Errorf("check of an old page: got output %q, want %q", out.String(), want)
	}
}

func TestOutsideOfAModule(t *testing.T) {
	if err := run(t.TempDir(), false, &strings.Builder{}); err == nil {
		t.Error("got no error without a go.mod")
	}
}

func TestPageRows(t *testing.T) {
	first, _ := spec.Lookup("MQTT-3.1.2-5")
	none, _ := spec.Lookup("MQTT-3.1.0-2")
	hidden, _ := spec.Lookup("MQTT311-7.0.0-2")
	got := page([]standard{{"MQTT", []spec.Statement{first, none, hidden}}}, map[string][]spec.Test{
		first.ID: {{File: "a_test.go", Name: "TestA"}, {File: "a_test.go", Name: "TestB"}, {File: "testdata/c.txt"}},
	})
	for _, want := range []string{
		"| MQTT-3.1.2-5 | Server | Clean Start 0 resumes the Session that exists | `a_test.go` TestA TestB<br>`testdata/c.txt` |\n",
		"| MQTT-3.1.0-2 | Server | A second CONNECT is a Protocol Error and ends the connection | – |\n",
		"| MQTT311-7.0.0-2 | Both | No extension is needed to work with other implementations | not observable: ",
		"MQTT: 1 of 3 statements have a test",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got page:\n%s\nwant in it: %s", got, want)
		}
	}
}
