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

// sample is a standard of one statement with a test in newModule and one that nobody can
// observe.
func sample(t *testing.T) []standard {
	t.Helper()
	tested, ok := spec.Lookup("MQTT-3.1.2-5")
	hidden, found := spec.Lookup("MQTT311-7.0.0-2")
	if !ok || !found {
		t.Fatal("the statements of the sample do not exist")
	}
	return []standard{{"MQTT", []spec.Statement{tested, hidden}}}
}

func TestWriteThenCheck(t *testing.T) {
	root := newModule(t)
	var out strings.Builder
	if err := run(root, sample(t), nil, true, &out); err == nil {
		t.Error("check: got no error while the page does not exist")
	}
	out.Reset()
	if err := run(root, sample(t), nil, false, &out); err != nil {
		t.Fatal(err)
	}
	want := "MQTT: 1 of 1 observable statements tested\nNot observable:\n  MQTT311-7.0.0-2 (No extension is needed to work with other implementations): speaks of"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got output %q, want %q", out.String(), want)
	}
	if err := run(root, sample(t), nil, true, &out); err != nil {
		t.Errorf("check of a fresh page: got %v, want no error", err)
	}
	write(t, filepath.Join(root, "client/connect_test.go"), strings.Replace(connectTest, "package broker", "package client", 1))
	write(t, filepath.Join(root, "test/interop/any_test.go"), strings.Replace(connectTest, "package broker", "package interop", 1))
	err := run(root, sample(t), nil, true, &out)
	if err == nil || !strings.Contains(err.Error(), command) {
		t.Errorf("check of an old page: got error %v, want one that names the command", err)
	}
}

// TestLostTest shows that a statement which loses its last test fails both ways of
// running, unless it stands in the list of those that wait.
func TestLostTest(t *testing.T) {
	root := newModule(t)
	write(t, filepath.Join(root, "broker/connect_test.go"), strings.Replace(connectTest, "3.1.2-5", "3.1.2-6", 1))
	lost := "MQTT-3.1.2-5 has no test: Clean Start 0 resumes the Session that exists"
	for _, check := range []bool{false, true} {
		if err := run(root, sample(t), nil, check, &strings.Builder{}); err == nil || err.Error() != lost {
			t.Errorf("check %v: got %v, want %q", check, err, lost)
		}
	}
	waiting := map[string]string{"MQTT-3.1.2-5": "Sessions"}
	var out strings.Builder
	if err := run(root, sample(t), waiting, false, &out); err != nil {
		t.Errorf("a statement that waits: got %v", err)
	}
	if want := "MQTT: 0 of 1 observable statements tested\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("got output %q, want %q", out.String(), want)
	}
	page, err := os.ReadFile(filepath.Join(root, outputFile))
	if err != nil || !strings.Contains(string(page), "| none yet; waits for Sessions |") {
		t.Errorf("got page\n%s\n%v, want what the statement waits for", page, err)
	}
}

// TestWrongLists shows that neither list keeps what no longer belongs into it.
func TestWrongLists(t *testing.T) {
	root := newModule(t)
	for _, c := range []struct {
		waiting map[string]string
		test    string
		want    string
	}{
		{map[string]string{"MQTT-3.1.2-5": "Sessions"}, "", "MQTT-3.1.2-5 has a test and still waits for Sessions"},
		{map[string]string{"nonsense": "nothing"}, "", "nonsense waits for nothing and is no statement"},
		{nil, "MQTT311-7.0.0-2", "MQTT311-7.0.0-2 has a test and is called not observable"},
	} {
		write(t, filepath.Join(root, "broker/connect_test.go"), strings.Replace(connectTest, "MQTT311-3.1.0-2", c.test, 1))
		err := run(root, sample(t), c.waiting, false, &strings.Builder{})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestOutsideOfAModule(t *testing.T) {
	if err := run(t.TempDir(), nil, nil, false, &strings.Builder{}); err == nil {
		t.Error("got no error without a go.mod")
	}
}

func TestPageRows(t *testing.T) {
	first, _ := spec.Lookup("MQTT-3.1.2-5")
	none, _ := spec.Lookup("MQTT-3.1.0-2")
	hidden, _ := spec.Lookup("MQTT311-7.0.0-2")
	got := page([]standard{{"MQTT", []spec.Statement{first, none, hidden}}}, map[string][]spec.Test{
		first.ID: {{File: "a_test.go", Name: "TestA"}, {File: "a_test.go", Name: "TestB"}, {File: "testdata/c.txt"}},
	}, nil)
	for _, want := range []string{
		"| MQTT-3.1.2-5 | Server | Clean Start 0 resumes the Session that exists | `a_test.go` TestA TestB<br>`testdata/c.txt` |\n",
		"| MQTT-3.1.0-2 | Server | A second CONNECT is a Protocol Error and ends the connection | – |\n",
		"\n## Not observable\n",
		"| MQTT311-7.0.0-2 | Both | No extension is needed to work with other implementations | speaks of ",
		"MQTT: 1 of 2 observable statements tested",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got page:\n%s\nwant in it: %s", got, want)
		}
	}
}
